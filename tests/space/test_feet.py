"""Feet: found where they stand, held there; the floor under them."""

import numpy as np
import pytest

from cascadepose.evaluation.space import standing
from cascadepose.space.contacts import FEET, find_contacts
from cascadepose.space.feet import drift, lock_feet
from cascadepose.space.ground import ANKLE, LEVEL, fit_floor, level_floor, on_floor, rough_up
from cascadepose.space.intrinsics import make_camera

UP = np.array([0.0, 1.0, 0.0])


@pytest.fixture
def walk(make_film, view):
    """World joints [T, 17, 3] of the walker, float64, and times."""
    from cascadepose.geometry import camera_to_world

    truth, result = make_film()
    joints = camera_to_world(truth, view.orientation, view.translation).astype(np.float64)
    return joints, result.tracks[0].timestamp


def slid(joints):
    """The walk with feet that slide back and bob, as lifted ones do."""
    out, count = joints.copy(), len(joints)
    out[:, [3, 6], 0] += 0.05 * np.sin(np.arange(count) / 4)[:, None]
    out[:, [3, 6], 1] += 0.01 * np.cos(np.arange(count) / 3)[:, None]
    return out


def test_standing_feet_are_found(walk):
    joints, times = walk
    found = find_contacts(joints[:, FEET], UP, times, np.ones((len(times), 2), bool))
    true = standing(joints[:, FEET], 25.0)
    assert (found & true).sum() / true.sum() > 0.8 and (found & true).sum() / found.sum() > 0.9
    unseen = np.ones((len(times), 2), bool)
    unseen[:, 1] = False
    assert not find_contacts(joints[:, FEET], UP, times, unseen)[:, 1].any()
    assert not find_contacts(joints[:1, FEET], UP, times[:1], unseen[:1]).any()


def test_held_feet_do_not_move(walk):
    joints, times = walk
    contacts, seen = standing(joints[:, FEET], 25.0), np.ones(len(times), bool)
    before = slid(joints)
    after = lock_feet(before, contacts, times, seen, floor=0.0)
    assert drift(before[:, FEET], contacts) > 0.02 and drift(after[:, FEET], contacts) < 1e-6
    for upper, lower in ((1, 2), (2, 3), (4, 5), (5, 6)):
        assert np.ptp(np.linalg.norm(after[:, upper] - after[:, lower], axis=-1)) < 1e-9
    assert (
        after[:, FEET, 1].min() > ANKLE - 1e-6
        and np.abs(after[contacts.any(1)][:, 0] - before[contacts.any(1)][:, 0]).max() < 0.05
    )
    moved = np.linalg.norm(np.diff(after - joints, axis=0), axis=-1)
    assert moved.max() < 0.04  # nothing jumps when a foot comes down
    same = np.delete(np.arange(17), [0, *range(1, 7)])
    assert after[:, same] - after[:, :1] == pytest.approx(before[:, same] - before[:, :1])
    assert after[:, [2, 5]] == pytest.approx(joints[:, [2, 5]], abs=0.12)  # knees bend as they did


def test_without_contacts_only_the_legs_get_one_length(walk):
    joints, times = walk
    none = np.zeros((len(times), 2), bool)
    assert lock_feet(joints, none, times, np.ones(len(times), bool)) == pytest.approx(joints, abs=1e-3)
    assert np.isnan(drift(joints[:, FEET], none))


@pytest.mark.parametrize("pitch", [-12.0, 0.0, 20.0])
def test_floor_is_fitted(rng, pitch):
    angle = np.radians(pitch)
    up = np.array([0, -np.cos(angle), -np.sin(angle)])
    right, ahead = np.array([1.0, 0, 0]), np.cross(up, [1.0, 0, 0])
    steps = rng.uniform(-2, 2, (20, 1)) * right + rng.uniform(3, 8, (20, 1)) * ahead - (1.5 - ANKLE) * up
    floor = fit_floor([steps], [np.full(20, 0.02)], [np.tile(up, (30, 1))])
    assert np.degrees(np.arccos(floor.up @ up)) < 1 and floor.height == pytest.approx(1.5, abs=0.1) and floor.fitted
    assert floor.above(steps) == pytest.approx(np.full(20, ANKLE), abs=0.1)
    camera = on_floor(make_camera((640, 480)), floor, steps[0])
    world = camera.to_world(steps)
    assert world[:, 1] == pytest.approx(floor.above(steps)) and world[0, [0, 2]] == pytest.approx([0, 0], abs=1e-9)
    assert np.allclose(camera.rotation @ camera.rotation.T, np.eye(3)) and np.linalg.det(camera.rotation) > 0.99
    assert camera.to_world(np.zeros(3))[2] > 2  # z points to the camera


def test_too_few_feet_leave_a_level_floor():
    assert fit_floor([np.zeros((2, 3))], [np.ones(2)], [np.tile(LEVEL, (3, 1))]) is None
    floor = level_floor(np.array([[0, 1.4, 4], [0, 1.0, 4]]), LEVEL)
    assert floor.height == pytest.approx(1.4 + ANKLE, abs=0.05) and not floor.fitted
    lying = np.tile([1.0, 0, 0], (9, 1))
    assert rough_up([lying]) == pytest.approx(LEVEL)
