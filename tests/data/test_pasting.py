"""Other people laid over crops."""

from dataclasses import replace

import numpy as np
import pytest

from cascadepose.data.augmentation import CropAugmentation
from cascadepose.data.crops import PersonCrops
from cascadepose.data.pasting import donors, place_beside, silhouette
from cascadepose.data.warp import to_crop
from cascadepose.skeletons import COCO17

SIZE = 64, 48  # height, width


@pytest.fixture
def somebody() -> np.ndarray:
    """Joints [17, 3] of somebody who stands, arms hanging, in a picture of 200x100."""
    rows = {"eye": 12, "ear": 13, "shoulder": 30, "elbow": 45, "wrist": 60, "hip": 60, "knee": 80, "ankle": 98}
    aside = {"eye": 1, "ear": 3, "shoulder": 8, "elbow": 10, "wrist": 11, "hip": 5, "knee": 5, "ankle": 5}
    joints = [[100, 14, 2]]
    for name in COCO17.names[1:]:
        side, part = name.split("_")
        joints.append([100 + aside[part] * (1 if side == "left" else -1), rows[part], 2])
    return np.float32(joints)


def test_a_silhouette_covers_limbs_and_torso_and_little_else(somebody):
    mask = silhouette(somebody, (200, 200))
    middles = [(somebody[a, :2] + somebody[b, :2]) / 2 for a, b in COCO17.edges]
    assert all(mask[int(y), int(x)] == 255 for x, y in middles)
    assert mask[45, 100] == 255  # between the arms: the torso
    body = somebody[:, :2]
    assert 0.02 < (mask > 127).mean() < 2 * np.ptp(body[:, 0]) * np.ptp(body[:, 1]) / mask.size
    rows, columns = np.nonzero(mask)
    assert columns.min() > 70 and columns.max() < 130 and rows.max() < 115


def test_limbs_that_are_not_annotated_are_left_out(somebody):
    legs = [COCO17.index(f"{side}_{part}") for side in ("left", "right") for part in ("knee", "ankle")]
    somebody[legs, 2] = 0
    mask = silhouette(somebody, (200, 200))
    assert mask[45, 100] == 255 and not mask[75:].any()
    somebody[:, 2] = 0
    assert not silhouette(somebody, (200, 200)).any()


def test_who_is_pasted_stands_beside_the_middle(somebody, rng):
    lengths, away = [], []
    for _ in range(200):
        joints = to_crop(somebody[:, :2], place_beside(somebody, SIZE, rng))
        lengths.append(np.linalg.norm(joints[0] - joints[15:].mean(0)) / SIZE[0])
        body = to_crop((somebody[:, :2].min(0) + somebody[:, :2].max(0)) / 2, place_beside(somebody, SIZE, rng))
        away.append(np.linalg.norm((body - [SIZE[1] / 2, SIZE[0] / 2]) / [SIZE[1], SIZE[0]]))
    assert 0.2 < min(lengths) < 0.4 and 0.7 < max(lengths) < 0.9
    assert 0.3 - 1e-6 < min(away) < 0.35 and 0.55 < max(away) < 0.6 + 1e-6


def crops(coco_people, somebody, pasted: float) -> PersonCrops:
    """Crops of black pictures; a white picture in which somebody stands is where others are cut out of."""
    data = PersonCrops([coco_people], SIZE, augmentation=CropAugmentation(color=0.0, pasted=pasted))
    record = data.people[0][0]
    white = replace(record, path=record.path.with_name("white.png"), keypoints=somebody[None])
    data.images._images = {image.path: np.zeros((image.height, image.width, 3), np.uint8) for image, _ in data.people}
    data.images._images[white.path] = np.full((200, 200, 3), 255, np.uint8)
    data.people.append((white, 0))
    data.donors = donors(data.people)[-1:]
    return data


def test_pasting_changes_the_picture_and_nothing_else(coco_people, somebody):
    data = crops(coco_people, somebody, 1.0)
    plain = PersonCrops([coco_people], SIZE, augmentation=CropAugmentation(color=0.0))
    changed = 0
    for seed in range(20):
        item, before = data[(0, seed)], plain[(0, seed)]
        assert all((item[key] == before[key]).all() for key in before if key != "image")
        white = (item["image"] > 200).float().mean()
        changed += bool(white > 0)
        assert white < 0.6
    assert changed > 15
    assert not data[0]["image"].any()  # evaluation sees what is there


def test_pasted_as_often_as_asked(coco_people, somebody):
    data = crops(coco_people, somebody, 0.3)
    changed = sum(bool(data[(0, seed)]["image"].any()) for seed in range(200))
    assert 30 < changed < 85


def test_only_whom_enough_is_annotated_of_is_cut_out(coco_people):
    people = PersonCrops([coco_people], SIZE).people
    (record, person), *_ = people
    few = record.keypoints.copy()
    few[person, 8:, 2] = 0
    assert donors([(replace(record, keypoints=few), person)]).size == 0
    many = few.copy()
    many[person, :9, 2] = 2
    assert donors([(replace(record, keypoints=many), person)]).tolist() == [0]
