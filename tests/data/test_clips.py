"""Drawn clips and labelled pictures: pixels agree with their 2D and 3D truth, and depend on index and seed alone."""

import cv2
import numpy as np
import pytest
import torch

from cascadepose.data.bodies import adapt_body
from cascadepose.data.cascade_items import ClipsAndPictures, collate_samples, loosened
from cascadepose.data.clips import DrawnClips, background_paths
from cascadepose.data.figures import CAPSULES, capsule_ends, draw_figure, random_look
from cascadepose.data.motion import MotionDataset
from cascadepose.data.posed_pictures import PosedPictures, with_faces
from cascadepose.errors import InputError
from cascadepose.skeletons import COCO17, H36M17

SIDE = 96
# a person who stands with the arms half raised: H36M17, metres, y up, facing +z
STANDING = np.array(
    [
        [0, 0.95, 0], [-0.09, 0.95, 0], [-0.1, 0.52, 0.02], [-0.1, 0.09, 0], [0.09, 0.95, 0], [0.1, 0.52, 0.02],
        [0.1, 0.09, 0], [0, 1.2, 0], [0, 1.45, 0], [0, 1.55, 0.08], [0, 1.65, 0.02], [0.18, 1.42, 0],
        [0.42, 1.3, 0.05], [0.62, 1.2, 0.12], [-0.18, 1.42, 0], [-0.42, 1.3, 0.05], [-0.62, 1.2, 0.12],
    ],
    np.float32,
)  # fmt: skip


@pytest.fixture
def clips(tmp_path, make_image) -> DrawnClips:
    folder = tmp_path / "backgrounds"
    folder.mkdir()
    for number in range(6):
        cv2.imwrite(str(folder / f"{number}.png"), make_image(96, 120))
    sway = np.sin(np.arange(80) / 9)[:, None, None] * np.float32([0.1, 0, 0.05])
    motion = MotionDataset({"stand": STANDING + sway.astype(np.float32)}, num_frames=3)
    return DrawnClips(motion, background_paths(folder, held_out=False), side=SIDE)


@pytest.fixture
def pictures(coco_people, tmp_path):
    """pictures(teacher): the source of the fixture at twice its size."""
    import json
    from dataclasses import replace
    from pathlib import Path

    content = json.loads(Path(coco_people.annotations).read_text())
    for image in content["images"]:
        path = str(tmp_path / image["file_name"])
        image["width"], image["height"] = 240, 180
        cv2.imwrite(path, cv2.resize(cv2.imread(path), (240, 180)))
    for entry in content["annotations"]:
        entry["bbox"] = [2 * value for value in entry["bbox"]]
        entry["keypoints"] = [value if i % 3 == 2 else 2 * value for i, value in enumerate(entry["keypoints"])]
    (tmp_path / "large.json").write_text(json.dumps(content))
    return lambda teacher: PosedPictures(replace(coco_people, annotations=str(tmp_path / "large.json")), SIDE, teacher)


class TestFigure:
    def test_it_lies_where_its_joints_are(self):
        """Over black, every joint of the body lies on the figure, and the box around what is drawn is the box."""
        points = adapt_body(STANDING[None]) * [1, -1, -1] + [0, 1, 3]  # the camera looks along +z, y down
        ends, scale = capsule_ends(points.astype(np.float32))
        black = np.zeros((120, 100, 3), np.uint8)
        look = random_look(np.random.default_rng(3))
        drawn, box = draw_figure(black, ends[0], 130.0, np.array([50.0, 60.0]), scale, look)
        seen = drawn.max(-1) > 0
        joints = (points[0, :17, :2] / points[0, :17, 2:] * 130 + [50, 60]).astype(int)
        assert seen[joints[:, 1], joints[:, 0]].all()
        rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
        found = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        assert np.abs(box - found).max() < 2.5
        assert 0.05 < seen.mean() < 0.4
        assert not black.any()  # the background is not written to

    def test_the_nearer_limb_is_seen(self):
        """Two capsules over one another: the colour is the nearer one's."""
        ends = np.zeros((len(CAPSULES), 2, 3), np.float32) + np.float32([0, 0, 9])
        ends[:, :, 2] = np.linspace(4, 8, len(CAPSULES))[:, None]
        ends[-1, :, 2] = 2.0  # an eye before everything else
        look = random_look(np.random.default_rng(0))
        drawn, _ = draw_figure(np.zeros((40, 40, 3), np.uint8), ends, 400.0, np.array([20.0, 20.0]), 1.0, look)
        lit = drawn[20, 20] / look.colors[-1]
        np.testing.assert_allclose(lit, lit.mean(), atol=0.05)

    def test_outside_of_the_picture(self):
        ends = np.zeros((len(CAPSULES), 2, 3), np.float32) + np.float32([50, 0, 2])
        background = np.full((30, 30, 3), 7, np.uint8)
        drawn, box = draw_figure(
            background, ends, 50.0, np.array([15.0, 15.0]), 1.0, random_look(np.random.default_rng(0))
        )
        assert (drawn == 7).all()
        assert box[0] == box[2] == 30


class TestClips:
    def test_shapes_and_ranges(self, clips):
        item = clips[(1, 5)]
        assert item["frames"].shape == (3, 3, SIDE, SIDE)
        assert item["frames"].dtype == np.uint8
        assert item["joints"].shape == (3, 17, 3)
        np.testing.assert_array_equal(item["joints"][:, 0], 0)
        low, high = item["boxes"][:, :2] - item["boxes"][:, 2:] / 2, item["boxes"][:, :2] + item["boxes"][:, 2:] / 2
        inside = (item["keypoints"] > low[:, None] - 0.02) & (item["keypoints"] < high[:, None] + 0.02)
        assert inside.all(-1)[item["visible"]].all()

    def test_an_item_depends_on_index_and_seed_alone(self, clips):
        first, again, other = clips[(1, 5)], clips[(1, 5)], clips[(1, 6)]
        assert all(np.array_equal(first[name], again[name]) for name in first)
        assert not np.array_equal(first["frames"], other["frames"])
        assert np.array_equal(clips[1]["frames"], clips[1]["frames"])

    def test_validation_has_pictures_of_its_own(self, clips):
        folder = clips.backgrounds[0].parent
        held_out = background_paths(folder, held_out=True)
        assert held_out
        assert not set(held_out) & set(clips.backgrounds)

    def test_folders_without_pictures(self, tmp_path):
        (tmp_path / "empty").mkdir()
        with pytest.raises(InputError, match="holds no images"):
            background_paths(tmp_path / "empty", held_out=False)
        with pytest.raises(InputError, match="no such file or folder"):
            background_paths(tmp_path / "nowhere", held_out=False)


def mirrored_teacher(keypoints: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Joints that only the right side has: x = 1 for the right shoulder."""
    joints = np.zeros((len(keypoints), 17, 3), np.float32)
    joints[:, H36M17.index("right_shoulder"), 0] = 1
    assert np.isfinite(keypoints).all()
    assert (keypoints > -SIDE).all() and (keypoints < 2 * SIDE).all()  # of the square part
    return joints


class TestPictures:
    def test_items_with_and_without_a_teacher(self, pictures):
        data = pictures(mirrored_teacher)
        assert len(data) == 2
        assert data.taught.all()  # all of the body is labelled, and some of the face
        assert not pictures(None).taught.any()
        item = data[0]
        assert item["frames"].shape == (1, 3, SIDE, SIDE)
        assert item["visible"].sum() == 15
        assert np.abs(item["boxes"][0, :2] - 0.5).max() < 0.01
        assert item["boxes"][0, 2:].max() == pytest.approx(1 / 1.6, abs=0.01)

    def test_a_mirrored_picture_has_a_mirrored_pose(self, pictures):
        data = pictures(mirrored_teacher)
        turned = {int(data[(0, seed)]["joints"][0, H36M17.index("left_shoulder"), 0]) for seed in range(12)}
        assert turned == {0, -1}

    def test_unlabelled_faces_lie_between_the_labelled(self):
        labels = np.ones((1, 17, 3), np.float32) * 2
        labels[0, 1:5, 2] = 0
        labels[0, 0, :2] = (30, 40)
        points, scores = with_faces(labels)
        np.testing.assert_array_equal(points[0, 1:5], [[30, 40]] * 4)
        assert scores[0, 0] == scores[0, COCO17.index("left_hip")] == 1
        assert (scores[0, 1:5] < 0.5).all()

    def test_too_small_people(self, coco_people):
        with pytest.raises(InputError, match="nobody has 8 labelled joints and 64 pixels"):
            PosedPictures(coco_people, SIDE, None)


def test_a_batch_shows_every_frame_once(clips, pictures):
    data = ClipsAndPictures(clips, pictures(mirrored_teacher), per_clip=2)
    samples = data[(0, 1)] + data[(2, 7)]
    batch = collate_samples(samples, num_frames=3)
    assert [len(sample["frames"]) for sample in samples] == [3, 1, 1, 3, 1, 1]
    assert batch["frames"].shape[0] == 10
    assert batch["windows"].tolist() == [[0, 1, 2], [3, 3, 3], [4, 4, 4], [5, 6, 7], [8, 8, 8], [9, 9, 9]]
    assert batch["complete"].tolist() == [True] * 3 + [False] * 2 + [True] * 3 + [False] * 2
    torch.testing.assert_close(batch["joints"][1, 0], batch["joints"][1, 2])
    assert batch["joints"].shape == (6, 3, 17, 3)


def test_loosened_boxes_stay_close(rng):
    boxes = np.tile(np.float32([0.5, 0.5, 0.4, 0.8]), (20, 1))
    loose = loosened(boxes, rng)
    assert not np.array_equal(loose, boxes)
    assert np.abs(loose[:, :2] - boxes[:, :2]).max() < 0.25
    assert np.abs(np.log(loose[:, 2:] / boxes[:, 2:])).max() < 0.5
