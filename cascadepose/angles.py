"""Joint angles of a Human3.6M-17 body, by the names that gait analysis and sport use.

docs/angles.md gives the formulas. In short: standing upright with the arms down is zero everywhere, flexion and
abduction are positive, angles are degrees. Anatomical axes are those of the lower trunk for the hips, and of the whole
trunk for the shoulders, because three hip joints alone do not show the tilt of the pelvis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cascadepose.errors import InputError
from cascadepose.rotations import cross, normalize
from cascadepose.skeletons import H36M17
from cascadepose.types import Poses3D

SIDES = ("left", "right")
LIMB_ANGLES = (
    "hip_flexion",
    "hip_abduction",
    "knee_flexion",
    "shoulder_flexion",
    "shoulder_abduction",
    "shoulder_elevation",
    "elbow_flexion",
)
TRUNK_ANGLES = ("trunk_lean_forward", "trunk_lean_right", "trunk_rotation", "pelvis_obliquity")
ANGLES = (*(f"{side}_{angle}" for angle in LIMB_ANGLES for side in SIDES), *TRUNK_ANGLES)
_IN_PLANE = 0.25  # an angle in a plane is not defined for a limb that has less than this share of its length in it


def joint_angles(poses: Poses3D) -> dict[str, np.ndarray]:
    """Every angle of `ANGLES` over time: name -> [T] degrees, NaN where it is not defined.

    The vertical, which only trunk leans and pelvis obliquity refer to, is y: up in frame "world", and the upright of
    the picture in camera axes, so that a tilted camera adds its tilt to them. Raises InputError for another skeleton.
    """
    if poses.skeleton.name != H36M17.name:
        raise InputError(f"joint angles are defined on {H36M17.name}, these joints are {poses.skeleton.name}")
    body = _Body.of(poses)
    angles = {f"{side}_{name}": values for side in SIDES for name, values in _limbs(body, side).items()}
    angles |= _trunk(body)
    return {name: angles[name] for name in ANGLES}


@dataclass(frozen=True)
class _Axes:
    """Unit vectors [T, 3] to the person's right, along the body, and to the person's front."""

    right: np.ndarray
    up: np.ndarray
    forward: np.ndarray

    @classmethod
    def along(cls, right: np.ndarray, up: np.ndarray) -> _Axes:
        """Axes with exactly this right side, and up as near to the given one as can be."""
        right = normalize(right)
        up = normalize(up - _dot(up, right)[:, None] * right)
        return cls(right, up, cross(up, right))


@dataclass(frozen=True)
class _Body:
    joints: np.ndarray  # [T, J, 3]
    vertical: np.ndarray  # [3], up
    pelvis: _Axes
    trunk: _Axes

    @classmethod
    def of(cls, poses: Poses3D) -> _Body:
        joints = poses.joints.astype(np.float64)
        at = {name: joints[:, index] for index, name in enumerate(H36M17.names)}
        pelvis = _Axes.along(at["right_hip"] - at["left_hip"], at["spine"] - at["pelvis"])
        trunk = _Axes.along(at["right_shoulder"] - at["left_shoulder"], at["thorax"] - at["pelvis"])
        return cls(joints, np.array((0.0, 1.0 if poses.frame == "world" else -1.0, 0.0)), pelvis, trunk)

    def segment(self, start: str, end: str) -> np.ndarray:
        """Unit vector [T, 3] from one joint to another."""
        return normalize(self.joints[:, H36M17.index(end)] - self.joints[:, H36M17.index(start)])


def _limbs(body: _Body, side: str) -> dict[str, np.ndarray]:
    thigh, shank = body.segment(f"{side}_hip", f"{side}_knee"), body.segment(f"{side}_knee", f"{side}_ankle")
    arm, forearm = body.segment(f"{side}_shoulder", f"{side}_elbow"), body.segment(f"{side}_elbow", f"{side}_wrist")
    sign = 1.0 if side == "right" else -1.0
    pelvis, trunk = body.pelvis, body.trunk
    return {
        "hip_flexion": _swing(thigh, pelvis.forward, pelvis.up),
        "hip_abduction": np.degrees(np.arcsin(np.clip(sign * _dot(thigh, pelvis.right), -1, 1))),
        "knee_flexion": _between(thigh, shank),
        "shoulder_flexion": _swing(arm, trunk.forward, trunk.up),
        "shoulder_abduction": _swing(arm, sign * trunk.right, trunk.up),
        "shoulder_elevation": _between(arm, -trunk.up),
        "elbow_flexion": _between(arm, forearm),
    }


def _trunk(body: _Body) -> dict[str, np.ndarray]:
    up = np.broadcast_to(body.vertical, (len(body.joints), 3))
    spine, pelvis = body.segment("pelvis", "thorax"), body.pelvis
    front = normalize(pelvis.forward - _dot(pelvis.forward, up)[:, None] * up)
    right, shoulders = cross(front, up), body.trunk.right
    return {
        "trunk_lean_forward": _turn(_dot(spine, front), _dot(spine, up)),
        "trunk_lean_right": _turn(_dot(spine, right), _dot(spine, up)),
        "trunk_rotation": _turn(_dot(shoulders, pelvis.forward), _dot(shoulders, pelvis.right)),
        "pelvis_obliquity": np.degrees(np.arcsin(np.clip(_dot(pelvis.right, up), -1, 1))),
    }


def _swing(limb: np.ndarray, toward: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Angle [T] of a limb from hanging down to `toward`, in the plane of the two axes, in -90..270 degrees."""
    return (_turn(_dot(limb, toward), -_dot(limb, up)) + 90) % 360 - 90


def _turn(sine: np.ndarray, cosine: np.ndarray) -> np.ndarray:
    """Degrees [T] in -180..180; NaN where next to nothing of the unit vector lies in the plane."""
    return np.where(np.hypot(sine, cosine) >= _IN_PLANE, np.degrees(np.arctan2(sine, cosine)), np.nan)


def _between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Degrees [T] in 0..180 between unit vectors, exact for small angles, too; NaN where one has no length."""
    angle = np.degrees(np.arctan2(np.linalg.norm(cross(a, b), axis=-1), _dot(a, b)))
    return np.where((_dot(a, a) > 0) & (_dot(b, b) > 0), angle, np.nan)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(-1)
