"""How 2D joints are presented to a lifter: one path for training, inference and the end-to-end cascade.

`lifter_input` is that path: joint conversion, then the normalisation that the lifter declares by name. All of it works
on numpy arrays and torch tensors; gradients flow to the keypoints and scores, the size of the box is a constant.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from cascadepose.errors import InputError
from cascadepose.geometry import normalize_center, normalize_screen
from cascadepose.rotations import Array, backend
from cascadepose.skeletons import SKELETONS, Skeleton

TRIM = 0.02  # share of the points that may lie outside the box on each side
LIMIT = 2.0  # a point further out than this many half boxes is an outlier: it is moved to the limit


def crop_box(keypoints: Array, scores: Array, trim: float = TRIM) -> tuple[Array, Array]:
    """Square box around a clip: centre [..., 1, 1, 2] and half side [..., 1, 1, 1], in the units of the keypoints.

    keypoints  [..., T, J, 2]
    scores     [..., T, J]; points below half the clip's median score do not count
    trim       share of the counted points to leave out on each side (0: the bounding box)
    """
    points, weights = (torch.as_tensor(x).detach() for x in (keypoints, scores))
    points, weights = points.flatten(-3, -2), weights.flatten(-2)
    counted = (weights >= weights.median(-1, keepdim=True).values / 2)[..., None]
    ordered = torch.where(counted, points, float("inf")).sort(-2).values
    last = counted.sum(-2, keepdim=True) - 1
    skip = (last * trim).round().long().expand_as(ordered[..., :1, :])
    low, high = ordered.gather(-2, skip), ordered.gather(-2, last - skip)
    center, half = (low + high)[..., None, :] / 2, (high - low).amax(-1, keepdim=True)[..., None] / 2
    if isinstance(keypoints, np.ndarray):
        return center.numpy(), half.numpy()
    return center, half


def crop_scale(
    keypoints: Array, scores: Array, image_size: tuple[float, float] | None = None, context: int | None = None
) -> Array:
    """Keypoints [..., T, J, 2] in one square box per clip, centred and scaled so that the person spans about -1..1.

    Independent of the person's place and size in the image (MotionBERT's in-the-wild convention), with a box that
    outliers and low scores cannot move.
    """
    center, half = crop_box(keypoints[..., :context, :, :], scores[..., :context, :])
    lib = backend(keypoints)
    return lib.clip((keypoints - center) / lib.clip(half, 1e-3, None), -LIMIT, LIMIT)


def crop_tight(
    keypoints: Array, scores: Array, image_size: tuple[float, float] | None = None, context: int | None = None
) -> Array:
    """Keypoints [..., T, J, 2] in the square around all that have a score; the others are moved to its border.

    What MotionBERT's published weights see of videos (there of the whole video, here of each window).
    """
    lib = backend(keypoints)
    counted = (scores > 0) * lib.ones_like(scores)
    center, half = crop_box(keypoints[..., :context, :, :], counted[..., :context, :], trim=0)
    return lib.clip((keypoints - center) / lib.clip(half, 1e-3, None), -1, 1)


def crop_follow(
    keypoints: Array, scores: Array, image_size: tuple[float, float] | None = None, context: int | None = None
) -> Array:
    """Like `crop_scale`, with a box that keeps its size over the clip and follows the trunk from frame to frame.

    The trunk is the score-weighted middle of hips and shoulders of H36M17 joints; the person's way through the image is
    not seen, so a small lifter need not learn to take it out.
    """
    trunk = [1, 4, 11, 14]
    weights = scores[..., trunk, None] + 1e-3
    middle = (keypoints[..., trunk, :] * weights).sum(-2)[..., None, :] / weights.sum(-2)[..., None, :]
    offsets = keypoints - middle
    lib = backend(keypoints)
    half = crop_box(offsets[..., :context, :, :], scores[..., :context, :])[1]
    return lib.clip(offsets / lib.clip(half, 1e-3, None), -LIMIT, LIMIT)


def screen(keypoints: Array, scores: Array, image_size: tuple[float, float], context: int | None = None) -> Array:
    """Keypoints over the image width (VideoPose3D, PoseFormer and Strided Transformer); scores are not looked at."""
    return normalize_screen(keypoints, image_size)


def center(keypoints: Array, scores: Array, image_size: tuple[float, float], context: int | None = None) -> Array:
    """Keypoints over the shorter image side (MotionBERT's pixel mode); scores are not looked at."""
    return normalize_center(keypoints, image_size)


# Knees (2, 5) and ankles (3, 6) of H36M17 that are doubtful together, and the joints that stand in for them; other
# combinations are left alone.
_STAND_INS = {
    (2, 3, 5, 6): (1, 1, 4, 4),
    (2, 3, 6): (1, 1, 5),
    (3, 5, 6): (2, 4, 4),
    (3, 6): (2, 5),
    (3,): (2,),
    (6,): (5,),
}


def lend_legs(joints: np.ndarray, scores: np.ndarray, threshold: float = 0.3) -> np.ndarray:
    """H36M17 joints [..., 17, D] whose knees and ankles that score [..., 17] below the threshold lie on the next joint
    up the leg, as in the demos of MHFormer and Strided Transformer (GAST-Net's practice). A new array.
    """
    out = joints.copy()
    legs = [2, 3, 5, 6]
    doubtful = scores[..., legs] < threshold
    for lower, upper in _STAND_INS.items():
        alike = (doubtful == np.isin(legs, lower)).all(-1)
        for joint, stand_in in zip(lower, upper, strict=True):
            out[alike, joint] = joints[alike, stand_in]
    return out


NORMALIZATIONS = {
    "crop_scale": crop_scale,
    "crop_tight": crop_tight,
    "crop_follow": crop_follow,
    "screen": screen,
    "center": center,
}


def declared_input(lifter: nn.Module) -> dict[str, Any]:
    """The last arguments of `lifter_input` as a lifter declares them.

    Three of them few lifters declare: `seen_skeleton`, where it does not see the joints that it answers for, `style`,
    and `context`.
    """
    return {
        "normalization": lifter.normalization,
        "in_channels": lifter.in_channels,
        "input_skeleton": lifter.input_skeleton,
        "skeleton": getattr(lifter, "seen_skeleton", lifter.skeleton),
        "style": getattr(lifter, "style", "midpoints"),
        "context": getattr(lifter, "context", 0),
    }


def presented_skeleton(lifter: nn.Module, skeleton: Skeleton) -> Skeleton:
    """The joints in which keypoints of `skeleton` are given to a lifter: its input skeleton where there is a way to it,
    so that it sees what it was trained on, else the skeleton that it sees. Raises InputError where there is no way.
    """
    wanted = (lifter.input_skeleton, declared_input(lifter)["skeleton"])
    for name in wanted:
        if skeleton.converts_to(SKELETONS[name]):
            return SKELETONS[name]
    raise InputError(
        f"the lifter sees {' or '.join(dict.fromkeys(wanted))} joints, and {skeleton.name} has no conversion to them; "
        "declare it in a file of the joint set (docs/custom_data.md)"
    )


def lifter_input(
    keypoints: Array,
    scores: Array,
    image_size: tuple[float, float],
    normalization: str = "crop_scale",
    in_channels: int = 3,
    input_skeleton: str = "coco17",
    skeleton: str = "h36m17",
    style: str = "midpoints",
    context: int = 0,
) -> Array:
    """What a lifter sees of one window: keypoints [..., T, K, 2] px, scores [..., T, K] -> [..., T, J, in_channels].

    The third channel is the score. skeleton: of the joints it sees; style: of the conversion, see `Skeleton.convert`;
    context: number of first frames that alone determine the box of a crop (0: all), so that no frame after them
    changes how an earlier one is seen.
    Raises InputError for an unknown normalisation.
    """
    if normalization not in NORMALIZATIONS:
        raise InputError(f"unknown normalization {normalization!r}; use one of: {', '.join(NORMALIZATIONS)}")
    joints, joint_scores, _ = SKELETONS[input_skeleton].convert(keypoints, scores, SKELETONS[skeleton], style)
    joints = NORMALIZATIONS[normalization](joints, joint_scores, image_size, context or None)
    if in_channels == 2:
        return joints
    return backend(joints).concatenate([joints, joint_scores[..., None]], -1)
