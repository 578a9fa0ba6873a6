"""Bodies for lifter training: motion capture joints -> Human3.6M-like joints of varied proportions, with a face.

Motion capture skeletons put some of the 17 joints elsewhere than Human3.6M does: the CMU ones have narrow hips,
forearms that end before the wrist, a thorax below the shoulder line and a head joint below the crown. `adapt_body`
moves these joints to where a 2D detector and Human3.6M see them; `randomize_body` then varies the limb lengths.
"""

from __future__ import annotations

import numpy as np

from cascadepose.rotations import axis_angle_to_quaternion, cross, normalize, rotate
from cascadepose.skeletons import COCO17, H36M17

# Extended joint list: H36M17 and four face points, which hang on the thorax like nose and head.
FACE = ("left_eye", "right_eye", "left_ear", "right_ear")
PARENTS = np.array([*H36M17.parents, 8, 8, 8, 8])
PARENTS[10] = 8
NAMES = (*H36M17.names, *FACE)
TO_COCO = np.array([NAMES.index(name) for name in COCO17.names])

# Points of the head in metres for a leg (thigh and shin) of 0.84 m: forward, up, left of the skull's pivot, which is
# NECK metres above the middle of the shoulders.
NECK = 0.145
HEAD_POINTS = {
    "nose": (0.115, 0.015, 0.0),
    "head": (0.02, 0.165, 0.0),
    "left_eye": (0.085, 0.05, 0.032),
    "right_eye": (0.085, 0.05, -0.032),
    "left_ear": (0.0, 0.025, 0.075),
    "right_ear": (0.0, 0.025, -0.075),
}
LEG = 0.84
HIP_WIDENING, FOREARM_EXTENSION = 1.35, 1.25

# Typical lengths in metres (hip, thigh, shin, one trunk bone, half shoulder, upper arm, forearm), between human
# averages and the Human3.6M subjects, by joint at the bone's end; the head keeps its size relative to the leg.
TYPICAL = {
    "hip": 0.125,
    "knee": 0.435,
    "ankle": 0.44,
    "spine": 0.245,
    "thorax": 0.245,
    "shoulder": 0.165,
    "elbow": 0.285,
    "wrist": 0.25,
}


def ancestors(parents: np.ndarray) -> np.ndarray:
    """[J, J] with 1 at [j, i] where bone i lies on the way from the root to joint j: joints = ancestors @ bones."""
    matrix = np.eye(len(parents), dtype=np.float32)
    for joint in range(1, len(parents)):
        matrix[joint] += matrix[parents[joint]]
    return matrix


ANCESTORS = ancestors(PARENTS)


def bones(joints: np.ndarray, parents: np.ndarray = PARENTS) -> np.ndarray:
    """Vectors [T, J, 3] from parent to joint of joints [T, J, 3]; the root keeps its place."""
    vectors = joints - joints[:, parents]
    vectors[:, 0] = joints[:, 0]
    return vectors


def adapt_body(joints: np.ndarray, turn: np.ndarray | None = None) -> np.ndarray:
    """Motion capture joints [T, 17, 3] (H36M17 order, metres) -> extended joints [T, 21, 3] with the definitions above.

    turn  [T, 2] radians: yaw (to the left) and pitch (down) of the head relative to the trunk, zero by default
    """
    joints = np.asarray(joints, np.float32)
    out = np.empty((len(joints), len(NAMES), 3), np.float32)
    out[:, :17] = joints
    pelvis, left, right = joints[:, 0], joints[:, 11], joints[:, 14]
    middle = (left + right) / 2
    for hip, knee, ankle in ((1, 2, 3), (4, 5, 6)):
        shift = (HIP_WIDENING - 1) * (joints[:, hip] - pelvis)
        out[:, [hip, knee, ankle]] += shift[:, None]
    trunk = np.linalg.norm(middle - pelvis, axis=-1, keepdims=True)
    out[:, 7] = pelvis + normalize(joints[:, 7] - pelvis) * trunk / 2
    out[:, 8] = middle
    for elbow, wrist in ((12, 13), (15, 16)):
        out[:, wrist] += (FOREARM_EXTENSION - 1) * (joints[:, wrist] - joints[:, elbow])
    frame, pivot, scale = _head_frame(joints, middle, turn)
    points = np.array(list(HEAD_POINTS.values()), np.float32) * scale
    out[:, [NAMES.index(name) for name in HEAD_POINTS]] = pivot[:, None] + points @ frame
    return out


def _head_frame(joints: np.ndarray, middle: np.ndarray, turn: np.ndarray | None):
    """Rows forward, up, left [T, 3, 3] of the head, its pivot [T, 3] and the size of the body relative to LEG."""
    legs = np.linalg.norm(joints[:, [2, 3, 5, 6]] - joints[:, [1, 2, 4, 5]], axis=-1).mean() * 2
    scale = legs / LEG
    neck = normalize(joints[:, 10] - middle)
    up = normalize(neck + normalize(joints[:, 10] - joints[:, 9]))
    forward = normalize(cross(joints[:, 11] - joints[:, 14], up))
    if turn is not None:
        forward = rotate(axis_angle_to_quaternion(up, turn[:, 0]), forward)
        pitch = axis_angle_to_quaternion(cross(up, forward), turn[:, 1])
        forward, up = rotate(pitch, forward), rotate(pitch, up)
    frame = np.stack([forward, up, cross(up, forward)], 1).astype(np.float32)
    return frame, middle + neck * np.float32(NECK * scale), np.float32(scale)


def scale_bones(joints: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Multiply the bone that ends at joint j by factors[j]; extended joints [T, 21, 3] -> the same, pelvis in place."""
    return ANCESTORS @ (bones(joints) * factors.astype(np.float32)[:, None])


def random_factors(joints: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Bone factors [21] towards typical proportions, with body size and symmetric per-limb variation."""
    lengths = np.linalg.norm(joints - joints[:, PARENTS], axis=-1).mean(0)
    size = np.exp(rng.normal(0, 0.05))
    mix = rng.uniform()
    factors = np.full(len(NAMES), size)
    for limb, typical in TYPICAL.items():
        ends = [i for i, name in enumerate(H36M17.names) if name.endswith(limb)]
        factors[ends] *= (typical / lengths[ends].mean()) ** mix * np.exp(rng.normal(0, 0.05))
    factors[0] = 1
    head = [NAMES.index(name) for name in HEAD_POINTS]
    factors[head] *= np.exp(rng.normal(0, 0.05))
    factors[NAMES.index("head")] *= np.exp(rng.normal(0, 0.05))
    return factors


def randomize_body(joints: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Vary the limb lengths of one clip of extended joints [T, 21, 3]; its path grows with its legs."""
    factors = random_factors(joints, rng)
    out = scale_bones(joints, factors)
    path = joints[:, :1] * np.float32(factors[[2, 3, 5, 6]].mean())
    return out - out[:, :1] + path


def random_head_turn(num_frames: int, rng: np.random.Generator) -> np.ndarray:
    """Slow head movement [num_frames, 2] radians: yaw within about 50 degrees, pitch within about 25."""
    keys = np.array([0.0, num_frames / 2, max(num_frames - 1, 1)])
    angles = rng.normal(0, 1, (1, 2)) * [0.35, 0.2] + rng.normal(0, 1, (3, 2)) * [0.2, 0.1]
    limits = np.array([0.9, 0.45])
    frames = np.arange(num_frames)
    turn = np.stack([np.interp(frames, keys, angles[:, i]) for i in range(2)], -1)
    return np.clip(turn, -limits, limits).astype(np.float32)


def mirror(joints: np.ndarray) -> np.ndarray:
    """Mirror H36M17 motion capture joints [T, 17, 3] left to right in the world."""
    return joints[:, list(H36M17.flip_index)] * np.array([-1, 1, 1], np.float32)
