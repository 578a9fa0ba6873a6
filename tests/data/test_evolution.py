"""Evolved motion: children have their parents' bones and smooth movement, and limbs that no parent had so."""

import numpy as np
import pytest

from cascadepose.data import evolution
from cascadepose.data.motion import MotionDataset
from cascadepose.errors import InputError
from cascadepose.rotations import axis_angle_to_quaternion, rotate

UP = np.float32([0, 1, 0])


class Chosen:
    """A generator whose integers are given."""

    def __init__(self, number):
        self.number = number

    def integers(self, _):
        return self.number


@pytest.fixture
def clips(rng, standing):
    """Two clips [40, 17, 3] of bodies of different size that turn, walk and move their limbs."""
    made = []
    for size in (1.0, 1.3):
        joints = np.repeat(standing[None] * np.float32(size), 40, 0)
        for segment, turned, spread in evolution.TURNED:
            by = evolution.wander(40, rng, 25.0) * np.float32(spread)
            joints = evolution.turn(joints, segment, turned, by)
        yaw = axis_angle_to_quaternion(np.broadcast_to(UP, (40, 3)), np.linspace(0, 2, 40, dtype=np.float32))
        made.append(rotate(yaw[:, None], joints) + np.linspace(0, 1, 40, dtype=np.float32)[:, None, None])
    return made


def lengths(joints):
    return np.linalg.norm(evolution.bones(joints)[:, 1:], axis=-1)


def local(joints, ends, axes):
    """Directions of the bones that end at some joints in some axes."""
    vectors = evolution.bones(joints)[:, ends] @ np.swapaxes(axes, 1, 2)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def test_bones_and_joints_are_inverse(clips):
    np.testing.assert_allclose(evolution.assemble(evolution.bones(clips[0])), clips[0], atol=1e-6)


def test_axes_of_a_standing_body_are_the_worlds(standing):
    for segment in ("pelvis", "chest"):
        np.testing.assert_allclose(evolution.axes(standing[None], segment)[0], np.eye(3), atol=1e-6)


@pytest.mark.parametrize("number", range(len(evolution.INHERITED)))
def test_children_move_inherited_limbs_as_the_second_parent_and_the_rest_as_the_first(clips, number):
    first, second = clips
    segment, inherited = evolution.INHERITED[number]
    child = evolution.crossover(first, second, Chosen(number))
    np.testing.assert_allclose(lengths(child), lengths(first), atol=1e-5)
    moved = local(child, inherited, evolution.axes(first, segment))
    np.testing.assert_allclose(moved, local(second, inherited, evolution.axes(second, segment)), atol=1e-5)
    kept = [joint for joint in range(17) if joint not in inherited]
    np.testing.assert_allclose(evolution.bones(child)[:, kept], evolution.bones(first)[:, kept], atol=1e-6)
    assert np.abs(child - first).max() > 0.05


@pytest.mark.parametrize("number", range(len(evolution.INHERITED)))
def test_a_clip_inherits_nothing_new_from_itself_wherever_it_stands(clips, number):
    turn = axis_angle_to_quaternion(UP, np.float32(1.2))
    moved = rotate(turn, clips[0]) * np.float32(1.5) + np.float32([3, 0, -2])
    child = evolution.crossover(clips[0], moved, Chosen(number))
    np.testing.assert_allclose(child, clips[0], atol=1e-4)


def test_mutants_keep_their_bones_and_their_place(clips, rng):
    moved = 0
    for _ in range(20):
        mutant = evolution.mutate(clips[0], rng, 25.0)
        assert np.isfinite(mutant).all()
        np.testing.assert_allclose(lengths(mutant), lengths(clips[0]), atol=1e-5)
        np.testing.assert_array_equal(mutant[:, 0], clips[0][:, 0])
        moved += np.abs(mutant - clips[0]).max() > 0.05
    assert moved >= 18


def test_added_movement_is_slow_and_of_unit_variance(rng):
    curves = np.stack([evolution.wander(81, rng, 25.0) for _ in range(400)])
    assert curves.std() == pytest.approx(1, abs=0.1)
    assert np.abs(np.diff(curves, axis=1)).max() < 0.5  # a frame; waves of 0.8 s and more
    assert evolution.wander(1, rng, 25.0).shape == (1, 3)


def test_turning_by_a_right_angle(standing):
    by = np.pi / 2 * np.float32([[1, 0, 0]])  # about the axis to the left: up to the front, down to the back
    turned = evolution.turn(standing[None], "pelvis", [2, 3], by)[0]
    hip, ankle = standing[1], standing[3]
    expected = hip + np.float32([ankle[0] - hip[0], -(ankle[2] - hip[2]), ankle[1] - hip[1]])
    np.testing.assert_allclose(turned[3], expected, atol=1e-5)
    assert turned[3, 2] < -0.8
    np.testing.assert_allclose(turned[4:], standing[4:], atol=1e-6)


@pytest.mark.parametrize("hinge", evolution.HINGES)
def test_knees_bend_to_the_back_and_elbows_to_the_front(hinge, standing):
    joint, below, side = hinge
    above = evolution.PARENTS[joint]
    straight = standing.copy()
    straight[below] = 2 * straight[joint] - straight[above]
    bent = evolution.bend(straight[None], hinge, np.float32([0.6]))[0]
    assert np.sign(bent[below, 2] - straight[below, 2]) == -side
    upper, lower = bent[joint] - bent[above], bent[below] - bent[joint]
    cosine = upper @ lower / np.linalg.norm(upper) / np.linalg.norm(lower)
    assert np.arccos(cosine) == pytest.approx(0.6, abs=1e-3)


@pytest.mark.parametrize(("by", "angle"), [(-5.0, 0.0), (9.0, evolution.HINGE_LIMIT)])
def test_hinges_stop(by, angle, standing):
    bent = evolution.bend(standing[None], evolution.HINGES[0], np.float32([by]))[0]
    upper, lower = bent[2] - bent[1], bent[3] - bent[2]
    cosine = upper @ lower / np.linalg.norm(upper) / np.linalg.norm(lower)
    assert np.arccos(np.clip(cosine, -1, 1)) == pytest.approx(angle, abs=0.02)


def test_evolved_windows(clips):
    motion = {"one": np.concatenate([clips[0]] * 4), "two": np.concatenate([clips[1]] * 4)}
    plain, evolved = (MotionDataset(motion, num_frames=9, noise="clean", evolution=share) for share in (0.0, 0.7))
    np.testing.assert_array_equal(plain[0]["joints"], evolved[0]["joints"])  # evaluation items are as recorded
    np.testing.assert_array_equal(evolved[(0, 5)]["x"], evolved[(0, 5)]["x"])
    differ = [np.abs(plain[(0, s)]["joints"] - evolved[(0, s)]["joints"]).max() > 1e-3 for s in range(20)]
    assert np.mean(differ) > 0.5


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_evolution_is_a_share(clips, share):
    with pytest.raises(InputError, match="below 1"):
        MotionDataset({"one": clips[0]}, evolution=share)
