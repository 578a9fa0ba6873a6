"""How training crops are drawn."""

import numpy as np

from cascadepose.data.augmentation import CropAugmentation, half_body_box
from cascadepose.data.crops import PersonCrops
from cascadepose.data.warp import to_crop
from cascadepose.skeletons import COCO17

CENTER, SIZE = np.array([50.0, 80.0]), np.array([30.0, 40.0])  # x, y; width, height


def draws(rng, **options) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centres [N, 2], sizes [N, 2] over `SIZE` and degrees [N] of many draws."""
    augmentation = CropAugmentation(**options)
    centers, sizes, degrees = zip(*(augmentation.moved(CENTER, SIZE, rng) for _ in range(400)), strict=True)
    return np.array(centers), np.array(sizes) / SIZE, np.array(degrees)


def test_nothing_but_the_centre_changes_unless_asked(rng):
    centers, sizes, degrees = draws(rng, rotation=0.0, scaling=0.0)
    assert (sizes == 1).all() and not degrees.any()
    assert 0.03 < ((centers - CENTER) / SIZE).std() < 0.05


def test_scaling_keeps_the_aspect_and_its_limits(rng):
    _, sizes, _ = draws(rng, scaling=0.3)
    np.testing.assert_allclose(sizes[:, 0], sizes[:, 1])
    assert 0.7 <= sizes.min() < 0.8 and 1.2 < sizes.max() <= 1.3


def test_stretching_keeps_the_area(rng):
    _, sizes, _ = draws(rng, scaling=0.0, stretch=0.1)
    np.testing.assert_allclose(sizes.prod(1), 1)
    wider = np.log(sizes[:, 0])
    assert 0.08 < wider.std() < 0.12 and 0.15 < np.abs(wider).max() <= 0.2 + 1e-12


def test_a_little_more_than_half_are_turned(rng):
    _, _, degrees = draws(rng, rotation=20.0)
    assert 0.5 < (degrees != 0).mean() < 0.7
    assert 35 < np.abs(degrees).max() <= 40


def test_joints_move_with_a_stretched_picture(coco_people):
    """The mean place of a bright square is where a joint in its middle is said to be, however it is drawn."""
    data = PersonCrops(
        [coco_people], (64, 48), augmentation=CropAugmentation(color=0.0, half_body=0.0, stretch=0.3, rotation=40.0)
    )
    record, _ = data.people[0]
    joint = int(np.flatnonzero(record.keypoints[0, :, 2] > 0)[0])
    x, y = record.keypoints[0, joint, :2] = record.keypoints[0, joint, :2].round()
    image = np.zeros((record.height, record.width, 3), np.uint8)
    image[int(y) - 2 : int(y) + 2, int(x) - 2 : int(x) + 2] = 255
    data.images._images[record.path] = image
    seen = 0
    for seed in range(30):
        view = data._view(0, np.random.default_rng(seed))
        weight = data[(0, seed)]["image"][0].numpy().astype(float)
        place = to_crop(record.keypoints[0, joint, :2], view.matrix)
        if not (place > 5).all() or not (place < [43, 59]).all():
            continue
        rows, columns = np.indices(weight.shape) + 0.5
        found = np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()
        np.testing.assert_allclose(found, place, atol=0.6)
        seen += 1
    assert seen > 10


def test_a_half_body_has_either_half(rng):
    joints = np.zeros((17, 3))
    joints[:, 0], joints[:, 1], joints[:, 2] = np.linspace(40, 60, 17), np.linspace(0, 100, 17), 2
    whole = np.array([40.0, 0.0, 60.0, 100.0])
    hip = joints[COCO17.index("left_hip"), 1]
    boxes = np.array([half_body_box(whole, joints, rng) for _ in range(40)])
    upper = boxes[:, 1] < 0
    assert 0.3 < upper.mean() < 0.9
    assert (boxes[upper, 3] < hip + 15).all() and (boxes[~upper, 1] > hip - 15).all()
    joints[3:, 2] = 0  # three joints of the face: a head, or nothing
    boxes = [half_body_box(whole, joints, rng) for _ in range(20)]
    assert any((box == whole).all() for box in boxes) and any(box[3] < 40 for box in boxes)
