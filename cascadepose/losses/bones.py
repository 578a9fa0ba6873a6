"""Losses on the bones of H36M17 joints: lengths, their constancy, angles. pred and target [..., T, 17, 3]; scalars.

MotionBERT's code offers them beside its position losses; its published recipes give them the weight zero.
"""

from itertools import combinations

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from cascadepose.skeletons import H36M17

EPS = 1e-7  # keeps the arc cosine differentiable
# every two bones that meet, but for nose-thorax with thorax-left shoulder, which the published list leaves out
ANGLES = [
    (i, j)
    for (i, one), (j, other) in combinations(enumerate(H36M17.edges), 2)
    if set(one) & set(other) and (one, other) != ((8, 9), (8, 11))
]


def bone_lengths(joints: Tensor) -> Tensor:
    """[..., 17, 3] -> lengths [..., 16] in the order of `H36M17.edges`."""
    return _bones(joints).norm(dim=-1)


def bone_angles(joints: Tensor) -> Tensor:
    """[..., 17, 3] -> angles [..., 18] in radians between the bones of `ANGLES`."""
    bones = _bones(joints)
    one, other = (bones[..., list(side), :] for side in zip(*ANGLES, strict=True))
    return cosine_similarity(one, other, dim=-1).clamp(-1 + EPS, 1 - EPS).acos()


def length_error(pred: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error of the bones' lengths."""
    return (bone_lengths(pred) - bone_lengths(target)).abs().mean()


def length_variance(pred: Tensor) -> Tensor:
    """Mean variance of each bone's length over time; zero for a single frame."""
    return bone_lengths(pred).var(dim=-2).mean() if pred.shape[-3] > 1 else pred.sum() * 0


def angle_error(pred: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error of the angles between bones, radians."""
    return (bone_angles(pred) - bone_angles(target)).abs().mean()


def angle_velocity(pred: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error of the angles' change from frame to frame; zero for a single frame."""
    if pred.shape[-3] < 2:
        return pred.sum() * 0
    return (bone_angles(pred).diff(dim=-2) - bone_angles(target).diff(dim=-2)).abs().mean()


def _bones(joints: Tensor) -> Tensor:
    parents, children = (torch.tensor(side, device=joints.device) for side in zip(*H36M17.edges, strict=True))
    return joints[..., parents, :] - joints[..., children, :]
