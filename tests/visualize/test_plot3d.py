"""The 3D picture: upright, feet on the floor, right size, any shape."""

import numpy as np
import pytest

from cascadepose.skeletons import H36M17
from cascadepose.visualize.plot3d import Panel, fitting_scale, floor_height
from cascadepose.visualize.style import LEFT, RIGHT


def standing() -> np.ndarray:
    """[17,3] metres, facing the camera: the person's left is on the right of the picture."""
    places = {
        "hip": (0.13, 0.0), "knee": (0.14, 0.45), "ankle": (0.14, 0.88), "shoulder": (0.18, -0.5),
        "elbow": (0.3, -0.25), "wrist": (0.35, 0.0), "spine": (0, -0.25), "thorax": (0, -0.5),
        "nose": (0, -0.62), "head": (0, -0.72), "pelvis": (0, 0),
    }  # fmt: skip
    joints = np.zeros((17, 3))
    for j, name in enumerate(H36M17.names):
        x, y = places[name.split("_")[-1]]
        joints[j, :2] = (-x if name.startswith("right") else x), y
    return joints


def places(image: np.ndarray, color) -> np.ndarray:
    """Pixels (x, y) of about this colour."""
    rows, columns = np.nonzero(np.abs(image.astype(int) - color).max(-1) < 60)
    return np.stack([columns, rows], 1)


@pytest.mark.parametrize(("width", "height"), [(300, 360), (150, 360), (400, 200)])
def test_upright_and_inside(width, height):
    joints = standing()
    panel = Panel(width, height, yaw=0)
    image = panel.draw(joints, floor_height(joints[None])[0])
    assert image.shape == (height, width, 3) and image.dtype == np.uint8
    left, right = places(image, LEFT), places(image, RIGHT)
    assert left[:, 0].mean() > width / 2 > right[:, 0].mean()
    drawn = np.concatenate([left, right])
    extent = np.ptp(drawn[:, 1])
    assert 0.3 * min(height, 1.25 * width) < extent < 0.95 * height
    assert drawn.min() > 0 and (drawn.max(0) < (width - 1, height - 1)).all()


def test_floor_follows_the_lowest_joint():
    joints = np.repeat(standing()[None], 9, axis=0)
    np.testing.assert_allclose(floor_height(joints), 0.88, atol=1e-6)
    assert floor_height(joints[:1]).shape == (1,) and floor_height(joints[:2]).shape == (2,)
    squat = joints.copy()
    squat[4:, :, 1] = np.minimum(squat[4:, :, 1], 0.5)
    assert floor_height(squat)[0] > 0.85 and floor_height(squat)[-1] == pytest.approx(0.5)


def test_large_bodies_are_scaled_to_fit():
    joints = standing()[None]
    assert fitting_scale(joints) == 1.0
    assert fitting_scale(joints * 3) == pytest.approx(fitting_scale(joints * 6) * 2)
    panel = Panel(200, 240)
    image = panel.draw(joints[0] * 6, floor_height(joints * 6)[0], fitting_scale(joints * 6))
    assert len(places(image, LEFT)) > 20


def test_unseen_is_grey():
    joints = standing()
    image = Panel(200, 240).draw(joints, 0.88, seen=False)
    assert len(places(image, LEFT)) == 0 and len(places(image, RIGHT)) == 0
