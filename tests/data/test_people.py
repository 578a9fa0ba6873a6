"""COCO-format people as whole images and as crops, on a file written here."""

import json
from pathlib import Path

import numpy as np
import pytest

from cascadepose.data.augmentation import CropAugmentation
from cascadepose.data.coco import looks_like_crowd, read_coco
from cascadepose.data.crops import PersonCrops
from cascadepose.data.people import PersonImages, collate_people
from cascadepose.data.warp import crop_matrix, to_crop
from cascadepose.errors import InputError
from cascadepose.skeletons import COCO17

WIDTH, HEIGHT = 120, 90  # of the images in `coco_people`


def test_crowds_are_regions_and_not_people(coco_people):
    first, second = read_coco(coco_people)
    assert len(first.boxes_xyxy) == 2 and first.crowds_xyxy.tolist() == [[0, 0, 120, 20]]
    assert len(second.boxes_xyxy) == 0 and len(second.crowds_xyxy) == 1


def test_a_box_that_holds_three_others_looks_like_a_crowd():
    boxes = np.array([[0, 0, 60, 60], [5, 5, 15, 30], [20, 5, 30, 30], [40, 5, 50, 30], [70, 0, 100, 10]], np.float32)
    assert looks_like_crowd(boxes).tolist() == [True, False, False, False, True]


@pytest.mark.parametrize("canvas", [None, 64])
def test_boxes_and_joints_move_with_the_image(coco_people, canvas):
    """A person painted in one colour stays under its box and its joints, whatever the augmentation."""
    data = PersonImages([coco_people], [80, 100], canvas=canvas)
    record = data.records[0]
    painted = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    x0, y0, x1, y1 = record.boxes_xyxy[1].astype(int)
    painted[y0:y1, x0:x1] = (40, 220, 40)
    data.images._images[record.path] = painted
    seen = 0
    for seed in range(20):
        item = data[(0, seed)]
        image = item["image"].numpy()
        height, width = image.shape[1:]
        if canvas is not None:
            assert (height, width) == (canvas, canvas)
        green = image[1].astype(int) - image[0] > 60
        for box, joints, visible in zip(item["boxes"], item["keypoints"], item["visible"], strict=True):
            x, y = (box[:2].numpy() * [width, height]).tolist()
            if not green[min(int(y), height - 1), min(int(x), width - 1)]:
                continue
            rows, columns = np.nonzero(green)
            found = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            low, high = (box[:2] - box[2:] / 2).numpy(), (box[:2] + box[2:] / 2).numpy()
            assert np.abs(np.concatenate([low, high]) * [width, height, width, height] - found).max() < 8
            points = joints[visible].numpy() * [width, height]
            assert ((points > found[:2] - 4) & (points < found[2:] + 4)).all()
            seen += 1
    assert seen > 3


def test_the_same_seed_gives_the_same_item(coco_people):
    for data in (PersonImages([coco_people], [80]), PersonCrops([coco_people], (64, 48))):
        a, b, c = data[(0, 5)], data[(0, 5)], data[(0, 6)]
        assert all((a[key] == b[key]).all() for key in a)
        assert a["image"].shape != c["image"].shape or (a["image"] != c["image"]).any()


def test_collate_pads_people(coco_people):
    data = PersonImages([coco_people], [80])
    batch = collate_people([data[0], data[1]])
    assert batch["counts"] == [2, 0] and batch["boxes"].shape == (2, 2, 4)
    assert batch["ignore"].shape == (2, 1, 4) and batch["batch_index"].tolist() == [0, 0]


def test_a_mirrored_crop_exchanges_left_and_right(coco_people):
    """Joints that an augmented crop calls visible are the ones that were annotated, after the exchange."""
    still = CropAugmentation(color=0.0, rotation=0.0, scaling=0.0, half_body=0.0)
    data = PersonCrops([coco_people], (64, 48), augmentation=still)
    plain = data[0]["visible"]
    order = list(COCO17.flip_index)
    for seed in range(12):
        visible = data[(0, seed)]["visible"]
        assert not (visible & ~plain).any() or not (visible & ~plain[order]).any()


def test_crop_matrix_and_to_crop_are_inverses():
    matrix = crop_matrix(np.array([30.0, 40.0]), np.array([24.0, 32.0]), (64, 48), 20.0, True)
    points = np.random.default_rng(0).random((9, 2)) * 48
    again = to_crop(points @ matrix[:, :2].T + matrix[:, 2], matrix)
    assert np.abs(again - points).max() < 1e-9


@pytest.mark.parametrize(
    "broken, message",
    [
        ({"keypoints": [0.0] * 9}, "not 17 x 3"),
        ({"keypoints": [float("nan")] * 51}, "NaN"),
    ],
)
def test_bad_annotations_are_named(coco_people, broken, message):
    content = json.loads(Path(coco_people.annotations).read_text())
    content["annotations"][0] |= broken
    Path(coco_people.annotations).write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        read_coco(coco_people)


def test_a_missing_image_is_named(coco_people, tmp_path):
    (tmp_path / "2.png").unlink()
    with pytest.raises(InputError, match=r"2\.png.*missing"):
        read_coco(coco_people)
