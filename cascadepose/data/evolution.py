"""Other motion from the motion at hand: limbs exchanged between clips, joints turned further than they were.

A lifter fails on poses that no training clip comes near (a dancer's raised leg), however often it sees the clips. As in
evolutionary training data (Li et al., CVPR 2020, section 3), children inherit limbs from two parents (`crossover`) and
differ from them by joint angles (`mutate`), but here whole clips do, and so their movement stays smooth.

Joints are [T, 17, 3] in H36M17 order, metres, world axes (y up); bones keep the length that they have in the clip.
"""

from __future__ import annotations

import numpy as np

from cascadepose.data import bodies
from cascadepose.rotations import axis_angle_to_quaternion, cross, normalize, rotate
from cascadepose.skeletons import H36M17

PARENTS = np.array([0, *H36M17.parents[1:]])
_ANCESTORS = bodies.ancestors(PARENTS)
# What a child takes from its second parent, and the segment that it hangs on in both.
INHERITED = (
    ("pelvis", [7, 8, 9, 10, 11, 12, 13, 14, 15, 16]),  # everything above the pelvis
    ("chest", [12, 13, 15, 16]),  # both arms
    ("chest", [12, 13]),
    ("pelvis", [2, 3, 5, 6]),  # both legs
    ("pelvis", [2, 3]),
)
# What is turned about which segment's axes (left, up, forward), and how far: radians, one standard deviation.
TURNED = (
    ("pelvis", [7, 8, 9, 10, 11, 12, 13, 14, 15, 16], (0.25, 0.2, 0.15)),
    ("pelvis", [2, 3], (0.45, 0.15, 0.25)),
    ("pelvis", [5, 6], (0.45, 0.15, 0.25)),
    ("chest", [12, 13], (0.5, 0.3, 0.5)),
    ("chest", [15, 16], (0.5, 0.3, 0.5)),
)
# Knees and elbows: joint, joint below, sense of bending about the body's left axis. How far they bend, in radians.
HINGES = ((2, 3, 1.0), (5, 6, 1.0), (12, 13, -1.0), (15, 16, -1.0))
HINGE_SPREAD, HINGE_LIMIT = 0.35, 2.4
LEAN = (0.15, 0.0, 0.12)  # of the whole body
PERIODS = (0.8, 5.0)  # seconds of the slow movements that are added


def crossover(joints: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A clip with limbs that move, relative to pelvis or chest, as in another clip of the same shape [T, 17, 3]."""
    segment, inherited = INHERITED[rng.integers(len(INHERITED))]
    own, theirs = bones(joints), bones(other)[:, inherited]
    lengths = np.linalg.norm(own[:, inherited], axis=-1).mean(0)
    to_own = np.swapaxes(axes(joints, segment), 1, 2) @ axes(other, segment)
    own[:, inherited] = normalize(theirs @ np.swapaxes(to_own, 1, 2)) * lengths[:, None]
    return assemble(own)


def mutate(joints: np.ndarray, rng: np.random.Generator, frame_rate: float) -> np.ndarray:
    """A clip [T, 17, 3] whose limbs and trunk are held and moved otherwise, each with probability one half."""
    for segment, turned, spread in TURNED:
        if rng.random() < 0.5:
            joints = turn(joints, segment, turned, wander(len(joints), rng, frame_rate) * np.float32(spread))
    for hinge in HINGES:
        if rng.random() < 0.5:
            joints = bend(joints, hinge, wander(len(joints), rng, frame_rate)[:, 0] * np.float32(HINGE_SPREAD))
    if rng.random() < 0.5:
        everything = list(range(1, 17))
        joints = turn(joints, "pelvis", everything, wander(len(joints), rng, frame_rate) * np.float32(LEAN))
    return joints


def turn(joints: np.ndarray, segment: str, turned: list[int], by: np.ndarray) -> np.ndarray:
    """Rotate the bones that end at joints `turned` by vectors [T, 3] in a segment's axes (left, up, forward)."""
    own = bones(joints)
    vector = np.einsum("ti,tij->tj", by, axes(joints, segment))
    quaternion = axis_angle_to_quaternion(normalize(vector), np.linalg.norm(vector, axis=-1))
    own[:, turned] = rotate(quaternion[:, None], own[:, turned])
    return assemble(own)


def bend(joints: np.ndarray, hinge: tuple[int, int, float], by: np.ndarray) -> np.ndarray:
    """Flex a knee or an elbow by [T] radians more, between straight and HINGE_LIMIT.

    It goes on in the plane that it is bent in; a straight one bends about the body's left axis: a hanging shin to the
    back, a hanging forearm to the front.
    """
    joint, below, side = hinge
    own = bones(joints)
    upper, lower = normalize(own[:, joint]), normalize(own[:, below])
    left = axes(joints, "pelvis" if joint in (2, 5) else "chest")[:, 0]
    axis = normalize(cross(upper, lower) + np.float32(0.02 * side) * left)
    axis = normalize(axis - upper * (axis * upper).sum(-1, keepdims=True))
    angle = np.arccos(np.clip((upper * lower).sum(-1), -1, 1))
    change = np.clip(angle + by, 0, np.maximum(angle, HINGE_LIMIT)) - angle
    own[:, below] = rotate(axis_angle_to_quaternion(axis, change), own[:, below])
    return assemble(own)


def wander(count: int, rng: np.random.Generator, frame_rate: float) -> np.ndarray:
    """Three smooth random curves [count, 3] of unit variance: three quarters of it constant, the rest slow waves."""
    times = np.arange(count) / frame_rate
    phase = 2 * np.pi * (times[:, None, None] / rng.uniform(*PERIODS, (2, 3)) + rng.random((2, 3)))
    waves = np.sin(phase) * rng.normal(0, np.sqrt(0.25), (2, 3))
    return (rng.normal(0, np.sqrt(0.75), 3) + waves.sum(1)).astype(np.float32)


def axes(joints: np.ndarray, segment: str) -> np.ndarray:
    """Rows left, up, forward [T, 3, 3] of the pelvis (its up is the lower spine's) or the chest."""
    left, right, low, high = (4, 1, 0, 7) if segment == "pelvis" else (11, 14, 7, 8)
    side = normalize(joints[:, left] - joints[:, right])
    forward = normalize(cross(side, joints[:, high] - joints[:, low]))
    return np.stack([side, cross(forward, side), forward], 1)


def bones(joints: np.ndarray) -> np.ndarray:
    """Vectors [T, 17, 3] from parent to joint; the root keeps its place."""
    return bodies.bones(joints, PARENTS)


def assemble(vectors: np.ndarray) -> np.ndarray:
    """Joints [T, 17, 3] of bones; the inverse of `bones`."""
    return _ANCESTORS @ vectors
