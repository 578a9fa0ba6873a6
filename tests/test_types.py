"""Records refuse what does not fit, and can be sliced."""

import numpy as np
import pytest

from cascadepose.errors import InputError
from cascadepose.types import Camera, Detections, Poses2D, Poses3D, Track, VideoResult


def track(count: int = 5, **changes) -> Track:
    values = {
        "track_id": 1,
        "frame_index": np.arange(3, 3 + count),
        "timestamp": np.arange(count) / 25,
        "boxes_xyxy": np.zeros((count, 4)),
        "box_scores": np.ones(count),
        "keypoints": np.arange(count * 34).reshape(count, 17, 2),
        "scores": np.ones((count, 17)),
        "sigma": np.ones((count, 17, 2)),
        "observed": np.ones(count, bool),
        "poses3d": Poses3D(np.zeros((count, 17, 3))),
    }
    return Track(**(values | changes))


def test_arrays_get_their_types_and_are_copies():
    boxes = np.zeros((2, 4))
    detections = Detections(boxes, [1, 0.5])
    boxes[:] = 7
    assert detections.boxes_xyxy.dtype == np.float32 and detections.scores.dtype == np.float32
    assert not detections.boxes_xyxy.any() and len(detections) == 2


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Detections(np.zeros((2, 4)), [1]), r"Detections.scores has shape \(1,\)"),
        (lambda: Detections(np.zeros((2, 5)), [1, 1]), r"Detections.boxes_xyxy has shape \(2, 5\)"),
        (lambda: Detections([[0, 0, np.nan, 1]], [1]), "1 NaN or infinite"),
        (lambda: Poses3D(np.full((1, 17, 3), np.inf)), "51 NaN or infinite"),
        (lambda: Poses3D(np.zeros((1, 16, 3))), "Poses3D.joints"),
        (lambda: Poses3D(np.zeros((1, 17, 3)), "moon"), "'moon', expected one of root-relative"),
        (lambda: track(keypoints=np.zeros((4, 17, 2))), "Track.keypoints"),
        (lambda: track(frame_index=[1, 2, 4, 5, 6]), "rise by one"),
        (lambda: track(poses3d=Poses3D(np.zeros((4, 17, 3)))), "5 frames but 4"),
        (lambda: Camera((0, 1), (1, 1), (2, 2)), "above zero"),
    ],
)
def test_what_does_not_fit_is_named(make, words):
    with pytest.raises(InputError, match=words):
        make()


def test_frozen():
    with pytest.raises(AttributeError):
        track().track_id = 2


def test_people_are_selected(make_people):
    poses = make_people([(100, 100, 150, 0), (300, 100, 150, 0), (500, 100, 150, 0)])
    assert [len(poses[index]) for index in (1, -1, slice(1, None), [0, 2], np.array([True, False, False]))] == [
        1,
        1,
        2,
        2,
        1,
    ]
    np.testing.assert_array_equal(poses[[2, 0]].keypoints[1], poses.keypoints[0])
    with pytest.raises(IndexError, match="3 entries"):
        poses[3]
    assert len(Poses2D.empty()) == 0 and len(poses[[]]) == 0


def test_tracks_are_cut():
    part = track()[1:3]
    assert part.frame_index.tolist() == [4, 5] and len(part.poses3d) == 2
    assert len(track()[-1]) == 1 and len(track()[0:0]) == 0
    with pytest.raises(InputError, match="rise by one"):
        track()[::2]


def test_rows_and_people_of_a_frame():
    result = VideoResult([track()], (640, 480), 25.0, np.arange(20) / 25, "x.mp4")
    assert [track().row(frame) for frame in (2, 3, 7, 8)] == [None, 0, 4, None]
    assert result.people(2) == [] and [(t.track_id, row) for t, row in result.people(5)] == [(1, 2)]
    assert len(result) == 1 and result.num_frames == 20 and next(iter(result)).track_id == 1


def test_camera_matrix():
    camera = Camera((500, 510), (320, 240), (640, 480))
    np.testing.assert_array_equal(camera.matrix @ (0, 0, 1), (320, 240, 1))
    np.testing.assert_array_equal(camera.matrix @ (1, 1, 1), (820, 750, 1))


def test_a_result_prints_short():
    text = repr(VideoResult([track()], (640, 480), 25.0, np.arange(500) / 25, "x.mp4"))
    assert "keypoints=[5, 17, 2]" in text and "timestamps=[500]" in text and "frame_size=(640, 480)" in text
    assert len(text) < 3000
