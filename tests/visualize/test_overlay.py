"""What is drawn lies where it should: sides, places, slots of the 3D strip, files."""

import numpy as np
import pytest
from PIL import Image

from cascadepose.data.frames import open_source
from cascadepose.errors import InputError
from cascadepose.skeletons import COCO17, H36M17
from cascadepose.timing import StageClock
from cascadepose.visualize.overlay import OverlayPainter, draw_pose
from cascadepose.visualize.style import LEFT, RIGHT, draw_tag, edge_colors, person_color

SIZE = (320, 240)


def blank() -> np.ndarray:
    return np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)


def near(image: np.ndarray, point, color, radius: int = 4) -> bool:
    x, y = np.round(point).astype(int)
    patch = image[max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1].reshape(-1, 3).astype(int)
    return bool((np.abs(patch - color).max(1) < 40).any())


def test_left_and_right_have_their_colours(make_people):
    poses, image = make_people([(160, 120, 200, 0)]), blank()
    draw_pose(image, poses.keypoints[0], poses.scores[0])
    for side, color, other in (("left", LEFT, RIGHT), ("right", RIGHT, LEFT)):
        elbow, wrist = (poses.keypoints[0, COCO17.index(f"{side}_{joint}")] for joint in ("elbow", "wrist"))
        middle = (elbow + wrist) / 2
        assert near(image, middle, color) and not near(image, middle, other)
    assert (image[5, 5] == 90).all()


def test_joints_below_the_score_are_not_drawn(make_people):
    poses, image = make_people([(160, 120, 200, 0)]), blank()
    scores = poses.scores[0].copy()
    scores[COCO17.index("left_wrist")] = 0.1
    draw_pose(image, poses.keypoints[0], scores)
    assert (blank() == image)[tuple(np.round(poses.keypoints[0, COCO17.index("left_wrist")][::-1]).astype(int))].all()
    untouched = blank()
    draw_pose(untouched, poses.keypoints[0], np.zeros(17))
    assert (untouched == 90).all()


def test_points_far_outside_do_no_harm(make_people):
    poses, image = make_people([(160, 120, 200, 0)]), blank()
    draw_pose(image, poses.keypoints[0] * 1e5, poses.scores[0])
    draw_pose(image, poses.keypoints[0] - 1e7, poses.scores[0])
    draw_tag(image, "7", (-500, -500), person_color(7), 15)
    draw_tag(image, "1234567890" * 9, (310, 239), person_color(7), 15)


@pytest.mark.parametrize("skeleton", [COCO17, H36M17])
def test_edge_colours_mirror(skeleton):
    colors = {frozenset(edge): color for edge, color in zip(skeleton.edges, edge_colors(skeleton), strict=True)}
    flip, swap = skeleton.flip_index, {LEFT: RIGHT, RIGHT: LEFT}
    for edge, color in colors.items():
        assert colors[frozenset(flip[joint] for joint in edge)] == swap.get(color, color)


def test_strip_keeps_slots_and_size(make_result):
    result = make_result([(0, 9), (0, 3), (5, 9)])
    painter = OverlayPainter(result)
    shapes = {painter.paint(t, blank()).shape for t in range(10)}
    assert len(shapes) == 1 and shapes.pop()[1] > SIZE[0]
    assert painter._slots == {1: 0, 2: 1, 3: 1}  # 3 comes after 2 has gone
    full, gone = painter.paint(2, blank()), painter.paint(4, blank())
    lower = slice(SIZE[1] // 2, None)
    assert (full[lower, SIZE[0] :] != gone[lower, SIZE[0] :]).any()


def test_more_people_than_slots(make_result):
    painter = OverlayPainter(make_result([(0, 9)] * 12))
    assert sorted(painter._slots.values()) == list(range(8))
    assert painter.paint(0, blank()).shape[0] == SIZE[1]


def test_without_panel_or_3d_the_frame_keeps_its_size(make_result):
    assert OverlayPainter(make_result([(0, 9)]), panel=False).paint(0, blank()).shape == blank().shape
    assert OverlayPainter(make_result([])).paint(0, blank()).shape == blank().shape


def test_boxes_and_unseen_frames(make_result):
    result = make_result([(0, 9)])
    box = result.tracks[0].boxes_xyxy[0]
    corner = box[:2] + np.array((0, 30))
    assert near(OverlayPainter(result, boxes=True).paint(0, blank()), corner, person_color(1), 1)
    assert not near(OverlayPainter(result).paint(0, blank()), corner, person_color(1), 1)
    result.tracks[0].observed[0] = False
    assert (OverlayPainter(result).paint(0, blank())[:, : SIZE[0]] == 90).all()


def test_video_overlay_keeps_times(make_result, tmp_path):
    result = make_result([(0, 9)])
    told, clock = [], StageClock()
    path = result.overlay(tmp_path / "o.mp4", source=[blank()] * 10, progress=told.append, clock=clock)
    frames = list(open_source(path))
    np.testing.assert_allclose([frame.timestamp for frame in frames], result.timestamps, atol=1e-4)
    assert sum(told) == 10 and set(clock.seconds) == {"decode", "draw", "write"}


def test_overlay_ends_where_processing_did(make_result, tmp_path):
    path = make_result([(0, 4)], frames=5).overlay(tmp_path / "o.mp4", source=[blank()] * 10)
    assert len(list(open_source(path))) == 5


def test_image_overlay(make_result, tmp_path):
    Image.fromarray(blank()).save(tmp_path / "photo.png")
    result = make_result([(0, 0)], frames=1, fps=None, source=str(tmp_path / "photo.png"))
    for name in ("o.png", "o.jpg"):
        with Image.open(result.overlay(tmp_path / name)) as picture:
            assert picture.size[1] == SIZE[1] and picture.size[0] > SIZE[0]


def test_what_does_not_fit_is_named(make_result, tmp_path):
    video, image = make_result([(0, 9)]), make_result([(0, 0)], frames=1, fps=None)
    for call, words in (
        (lambda: video.overlay(tmp_path / "o.png", source=[blank()] * 10), "overlay of a video is written as .mp4"),
        (lambda: image.overlay(tmp_path / "o.mp4", source=blank()), "overlay of an image is written as .png"),
        (lambda: video.overlay(tmp_path / "o.mp4"), "nowhere.mp4: no such file"),
        (lambda: video.overlay(tmp_path / "o.mp4", source=[blank()[:100]]), "different size"),
        (lambda: make_result([], frames=0).overlay(tmp_path / "o.mp4", source=[blank()]), "no frame was processed"),
    ):
        with pytest.raises(InputError, match=words):
            call()
    assert not list(tmp_path.iterdir())


def test_input_is_never_overwritten(make_result, tmp_path):
    path = make_result([(0, 9)]).overlay(tmp_path / "overlay.mp4", source=[blank()] * 10, panel=False)
    before = path.read_bytes()
    with pytest.raises(InputError, match="its own input"):
        make_result([(0, 9)], source=str(path)).overlay(tmp_path / "overlay.mp4")
    assert path.read_bytes() == before
