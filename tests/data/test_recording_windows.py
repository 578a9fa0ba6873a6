"""Windows of recordings: which frames, edges, mirror images, what counts."""

import numpy as np
import pytest

from cascadepose.data.recording_windows import RecordingDataset
from cascadepose.data.recordings import Recording
from cascadepose.errors import InputError
from cascadepose.geometry import flip_horizontal, normalize_screen
from cascadepose.skeletons import COCO17, H36M17, MPI_INF_3DHP17

SIZE = (1000, 1002)


@pytest.fixture
def record(rng):
    """record(T): a person whose pelvis is at frame number / 100 metres."""

    def make(frames, **settings):
        joints = rng.normal(0, 1, (frames, 17, 3)).astype(np.float32)
        joints[:, 0] = np.arange(frames)[:, None] / 100
        keypoints = rng.uniform(0, 1000, (frames, 17, 2)).astype(np.float32)
        scores = rng.uniform(0, 1, (frames, 17)).astype(np.float32)
        return Recording("one", "S1", "Walk", "0", keypoints, scores, joints, SIZE, 50.0, **settings)

    return make


def test_every_frame_is_the_centre_of_a_window(record):
    recordings = [record(4), record(7)]
    dataset = RecordingDataset(recordings, num_frames=5, center=2)
    assert len(dataset) == 11
    for index, (number, frame) in enumerate([(0, 0), (0, 3), (1, 0), (1, 6)]):
        item = dataset[(0, 3, 4, 10)[index]]
        recording = recordings[number]
        frames = np.clip(np.arange(frame - 2, frame + 3), 0, len(recording) - 1)
        np.testing.assert_allclose(item["x"], normalize_screen(recording.keypoints[frames], SIZE), atol=1e-6)
        truth = recording.joints[frames] - recording.joints[frames][:, :1]
        np.testing.assert_allclose(item["joints"], truth, atol=1e-6)
        assert item["x"].dtype == item["joints"].dtype == np.float32


def test_last_frame_of_causal_lifters(record):
    recording = record(6)
    item = RecordingDataset([recording], num_frames=3, center=2)[4]
    np.testing.assert_allclose(item["x"], normalize_screen(recording.keypoints[2:5], SIZE), atol=1e-6)


def test_windows_within_recordings(record):
    dataset = RecordingDataset([record(9), record(2)], num_frames=4, stride=3)
    assert dataset.table.tolist() == [[0, 0], [0, 3], [0, 5], [1, 0]]
    assert [len(dataset[i]["x"]) for i in range(4)] == [4] * 4


def test_mirror_images_come_after(record):
    dataset = RecordingDataset([record(5)], num_frames=3, center=1, in_channels=3, mirrored=True)
    assert len(dataset) == 10
    for name in ("x", "joints"):
        np.testing.assert_array_equal(dataset[7][name], flip_horizontal(dataset[2][name], H36M17.flip_index))
    np.testing.assert_array_equal(dataset[(7, 123)]["x"], dataset[7]["x"])
    with pytest.raises(IndexError):
        dataset[10]


def test_frames_that_do_not_count_are_no_centres(record):
    valid = np.array([True, False, True, True, False])
    dataset = RecordingDataset([record(5, valid=valid)], num_frames=3, center=1)
    assert (dataset.table[:, 1] + 1).tolist() == [0, 2, 3]


@pytest.mark.parametrize("style", ["midpoints", "gast"])
def test_joints_of_another_list_are_converted(style, record):
    recording = record(5, keypoint_skeleton=COCO17)
    item = RecordingDataset([recording], num_frames=3, center=1, in_channels=3, style=style)[2]
    joints, scores, _ = COCO17.convert(recording.keypoints[1:4], recording.scores[1:4], style=style)
    np.testing.assert_allclose(item["x"][..., :2], normalize_screen(joints, SIZE), atol=1e-5)
    np.testing.assert_allclose(item["x"][..., 2], scores, atol=1e-6)


def test_lifters_that_see_other_joints_than_they_answer_for(record):
    recording = record(5, keypoint_skeleton=COCO17)
    dataset = RecordingDataset([recording], num_frames=1, center=0, skeleton="coco17", mirrored=True)
    expected = normalize_screen(recording.keypoints[2:3], SIZE)
    np.testing.assert_allclose(dataset[2]["x"], expected, atol=1e-6)
    np.testing.assert_allclose(dataset[7]["x"], flip_horizontal(expected, COCO17.flip_index), atol=1e-6)
    np.testing.assert_array_equal(dataset[7]["joints"], flip_horizontal(dataset[2]["joints"], H36M17.flip_index))


def test_nothing_and_mixtures_are_refused(record):
    with pytest.raises(InputError, match="needs recordings"):
        RecordingDataset([], 3)
    other = record(5, skeleton=MPI_INF_3DHP17, keypoint_skeleton=MPI_INF_3DHP17)
    with pytest.raises(InputError, match="one skeleton"):
        RecordingDataset([record(5), other], 3)
