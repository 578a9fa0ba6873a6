"""A skeleton of constant limb lengths that follows 3D joints by rotations, for the formats of animation.

Positions of joints fix where every bone points, but not how it is turned about itself. Here knees and elbows bend about
one axis: the plane of a bent limb turns its upper bone, a straight limb keeps the turn that it had nearby in time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from cascadepose.errors import InputError
from cascadepose.export.motion import Motion
from cascadepose.rotations import cross, normalize, quaternion_to_matrix
from cascadepose.skeletons import H36M17
from cascadepose.smoothing import fill_gaps

_LEFT, _RIGHT, _UP, _DOWN = np.array([[1.0, 0, 0], [-1.0, 0, 0], [0, 1.0, 0], [0, -1.0, 0]])  # seen from the body
_TWIST_SECONDS = 0.1  # standard deviation of the filter over turns about the bone
_STRAIGHT = 0.1  # squared sine of the bend (18 degrees) at which plane and rest pose weigh the same

# Bone: (node that it is attached to, direction in the rest pose). A node turns everything that hangs on it, so a joint
# with several bones has nodes of length zero at its place (as in the BVH files made of CMU's mocap), one for each.
_NODES = {
    "pelvis": ("", 0 * _UP),
    "right_hip_base": ("pelvis", 0 * _UP),
    "right_hip": ("right_hip_base", _RIGHT),
    "right_knee": ("right_hip", _DOWN),
    "right_ankle": ("right_knee", _DOWN),
    "left_hip_base": ("pelvis", 0 * _UP),
    "left_hip": ("left_hip_base", _LEFT),
    "left_knee": ("left_hip", _DOWN),
    "left_ankle": ("left_knee", _DOWN),
    "spine": ("pelvis", _UP),
    "thorax": ("spine", _UP),
    "neck": ("thorax", 0 * _UP),
    "nose": ("neck", _UP),
    "head": ("nose", _UP),
    "left_collar": ("thorax", 0 * _UP),
    "left_shoulder": ("left_collar", _LEFT),
    "left_elbow": ("left_shoulder", _LEFT),
    "left_wrist": ("left_elbow", _LEFT),
    "right_collar": ("thorax", 0 * _UP),
    "right_shoulder": ("right_collar", _RIGHT),
    "right_elbow": ("right_shoulder", _RIGHT),
    "right_wrist": ("right_elbow", _RIGHT),
}
NAMES = tuple(_NODES)
PARENTS = tuple(NAMES.index(parent) if parent else -1 for parent, _ in _NODES.values())


@dataclass(frozen=True)
class Rig:
    """A person as a tree of N nodes named NAMES with PARENTS: the 17 joints, and five nodes of length zero.

    offsets    [N, 3] metres from the parent in the rest pose: T-pose, y up, facing z, the person's left at x
    rotations  [T, N, 3, 3] of each node relative to its parent; what hangs on a node turns with it
    root       [T, 3] metres, where the pelvis is
    """

    offsets: np.ndarray
    rotations: np.ndarray
    root: np.ndarray


def make_rig(person: Motion) -> Rig:
    """The rig that follows a person: every bone points as it does in the joints, with its median length.

    Raises InputError for joints other than those of H36M17.
    """
    if person.skeleton != H36M17:
        raise InputError(f"joint rotations are made of {H36M17.name} joints, this result has {person.skeleton.name}")
    bones = person.joints - person.joints[:, _PARENT_JOINTS]
    world = _world_rotations(_directions(bones), person.rate)
    parents = np.array(PARENTS[1:])
    local = world.copy()
    local[:, 1:] = world[:, parents].swapaxes(-1, -2) @ world[:, 1:]
    lengths = limb_lengths(person.joints, person.observed)
    rest = np.array([direction for _, direction in _NODES.values()])
    scale = np.array([lengths[H36M17.names.index(name)] if name in H36M17.names else 0 for name in NAMES])
    return Rig(rest * scale[:, None], local, person.joints[:, 0])


def limb_lengths(joints: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Median length [J] (m) of the bone that ends at each H36M17 joint, over observed frames if there are any."""
    seen = joints[observed] if observed.any() else joints
    return np.median(np.linalg.norm(seen - seen[:, _PARENT_JOINTS], axis=-1), axis=0)


def constrain(joints: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """H36M17 joints [T, 17, 3] with bones of the given lengths [17] that point as before; the pelvis stays."""
    steps = _directions(joints - joints[:, _PARENT_JOINTS]) * lengths[:, None]
    out = joints.copy()
    for joint in range(1, H36M17.num_joints):
        out[:, joint] = out[:, H36M17.parents[joint]] + steps[:, joint]
    return out


_PARENT_JOINTS = [max(parent, 0) for parent in H36M17.parents]
_REST = np.array([_NODES[name][1] for name in H36M17.names])


def _directions(bones: np.ndarray) -> np.ndarray:
    """Unit vectors [T, 17, 3]; where a bone has no length, that of frames nearby, else that of the rest pose."""
    known = np.linalg.norm(bones, axis=-1) > 1e-6
    units = normalize(fill_gaps(normalize(bones), known))
    return np.where(np.linalg.norm(units, axis=-1, keepdims=True) > 0.5, units, _REST)


def _world_rotations(units: np.ndarray, rate: float) -> np.ndarray:
    """Rotation of every node from the rest pose to each frame [T, N, 3, 3]."""
    to = dict(zip(H36M17.names, units.swapaxes(0, 1), strict=True))  # where the bone points that ends at this joint
    hips, shoulders = to["left_hip"] - to["right_hip"], to["left_shoulder"] - to["right_shoulder"]
    turned = {"pelvis": _frame(_UP, _LEFT, to["spine"], hips)}
    turned["spine"] = _frame(_UP, _LEFT, to["thorax"], normalize(hips) + normalize(shoulders))
    turned["thorax"] = _frame(_UP, _LEFT, to["thorax"], shoulders)
    pelvis, thorax = turned["pelvis"], turned["thorax"]
    turned["neck"] = _twisted(thorax, _UP, _LEFT, to["nose"], cross(to["head"], to["nose"]), rate)
    turned["nose"] = turned["head"] = _frame(_UP, _LEFT, to["head"], turned["neck"] @ _LEFT)
    for side, out, hinge in (("left", _LEFT, _DOWN), ("right", _RIGHT, _UP)):
        hip, knee, ankle = (f"{side}_{name}" for name in ("hip", "knee", "ankle"))
        turned[f"{hip}_base"] = _swing(pelvis, out, to[hip])
        turned[hip] = _twisted(pelvis, _DOWN, _LEFT, to[knee], cross(to[knee], to[ankle]), rate)
        turned[knee] = turned[ankle] = _frame(_DOWN, _LEFT, to[ankle], turned[hip] @ _LEFT)
        shoulder, elbow, wrist = (f"{side}_{name}" for name in ("shoulder", "elbow", "wrist"))
        turned[f"{side}_collar"] = _swing(thorax, out, to[shoulder])
        turned[shoulder] = _twisted(thorax, out, hinge, to[elbow], cross(to[elbow], to[wrist]), rate)
        turned[elbow] = turned[wrist] = _frame(out, hinge, to[wrist], turned[shoulder] @ hinge)
    return np.stack([turned[name] for name in NAMES], 1)


def _frame(axis: np.ndarray, side: np.ndarray, to: np.ndarray, towards: np.ndarray) -> np.ndarray:
    """Rotations [T, 3, 3] that take the unit `axis` to `to` [T, 3] and `side`, at right angles to it, as near to
    `towards` [T, 3] as that allows.
    """
    flat = towards - (towards * to).sum(-1, keepdims=True) * to
    least = np.eye(3)[np.abs(to).argmin(-1)]  # any direction at an angle, where `towards` has none
    flat = normalize(np.where(np.linalg.norm(flat, axis=-1, keepdims=True) > 1e-6, flat, cross(to, least)))
    moved = np.stack([to, flat, cross(to, flat)], -1)
    return moved @ np.stack([axis, side, cross(axis, side)])


def _swing(base: np.ndarray, axis: np.ndarray, to: np.ndarray) -> np.ndarray:
    """`base` [T, 3, 3] followed by the shortest turn that takes `axis`, carried along with it, to `to` [T, 3]."""
    target = np.einsum("tij,ti->tj", base, to)
    quaternion = np.concatenate([1 + target @ axis[:, None], cross(np.broadcast_to(axis, target.shape), target)], -1)
    opposite = np.linalg.norm(quaternion, axis=-1, keepdims=True) < 1e-6
    quaternion = normalize(np.where(opposite, [0.0, *np.roll(axis, 1)], quaternion))
    return base @ quaternion_to_matrix(quaternion)


def _twisted(
    base: np.ndarray, axis: np.ndarray, side: np.ndarray, to: np.ndarray, hinge: np.ndarray, rate: float
) -> np.ndarray:
    """`_swing`, then turned about the bone so that `side` follows `hinge` [T, 3], whose length says how sure it is.

    Filtered over time, so that the turn is continuous also where the limb is straight and its plane is noise.
    """
    swing = _swing(base, axis, to)
    neutral = swing @ side
    across = cross(to, neutral)
    sure = np.linalg.norm(hinge, axis=-1)  # sine of the bend
    plane = sure * ((hinge * neutral).sum(-1) + 1j * (hinge * across).sum(-1)) + _STRAIGHT
    frames = max(_TWIST_SECONDS * rate, 1e-3)
    angle = np.unwrap(np.angle(gaussian_filter1d(plane, frames, mode="nearest")))
    angle = gaussian_filter1d(angle, frames, mode="nearest")[:, None]
    return _frame(axis, side, to, np.cos(angle) * neutral + np.sin(angle) * across)
