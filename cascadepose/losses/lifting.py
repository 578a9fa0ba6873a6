"""Losses of lifters, in the unit of the joints (metres). pred and target [..., T, J, 3]; every loss is a scalar.

`weight` [..., T, J] (any broadcastable shape) masks or weights joints; the losses are weighted means, and zero where
all weights are zero.
"""

import torch
from torch import Tensor


def mpjpe(pred: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean distance between predicted and true joints."""
    return _mean((pred - target).norm(dim=-1), weight)


def n_mpjpe(pred: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """MPJPE after the best scale of each frame's prediction (Rhodin et al., CVPR 2018); it sees the shape only."""
    w = 1 if weight is None else weight[..., None]
    norm = (w * pred * pred).sum((-2, -1), keepdim=True)
    scale = (w * target * pred).sum((-2, -1), keepdim=True) / norm.clamp(min=1e-9)
    return mpjpe(scale * pred, target, weight)


def velocity(pred: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean distance between the frame-to-frame displacements; zero for a single frame."""
    if pred.shape[-3] < 2:
        return pred.sum() * 0
    if weight is not None:
        weight = weight.expand(pred.shape[:-1])
        weight = weight[..., 1:, :] * weight[..., :-1, :]
    return _mean((pred.diff(dim=-3) - target.diff(dim=-3)).norm(dim=-1), weight)


def reprojection(pred: Tensor, keypoints: Tensor, scores: Tensor) -> Tensor:
    """Distance in the image plane, orthographic, times the score of each joint (MotionBERT, section 3.3).

    pred [..., T, J, 3] and keypoints [..., T, J, 2] in normalised image units; scores [..., T, J].
    """
    return ((pred[..., :2] - keypoints[..., :2]).norm(dim=-1) * scores).mean()


def full_to_single(single: Tensor, full: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Total under "loss" and its parts, for a lifter that answers both ways (Strided Transformer, section III-D).

    single [..., 1, J, 3] is the frame T // 2, full [..., T, J, 3] every frame of target [..., T, J, 3].
    """
    middle = target.shape[-3] // 2
    parts = {"full": mpjpe(full, target), "single": mpjpe(single, target[..., middle : middle + 1, :, :])}
    return {"loss": parts["full"] + parts["single"], **parts}


def lifting_losses(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    scale_weight: float = 0.5,
    velocity_weight: float = 2.0,
) -> dict[str, Tensor]:
    """The total under "loss" and its parts: MPJPE + scale_weight * N-MPJPE + velocity_weight * velocity."""
    parts = {
        "mpjpe": mpjpe(pred, target, weight),
        "n_mpjpe": n_mpjpe(pred, target, weight),
        "velocity": velocity(pred, target, weight),
    }
    total = parts["mpjpe"] + scale_weight * parts["n_mpjpe"] + velocity_weight * parts["velocity"]
    return {"loss": total, **parts}


def _mean(values: Tensor, weight: Tensor | None) -> Tensor:
    if weight is None:
        return values.mean()
    weight = weight.to(values.dtype).expand(values.shape)
    return (values * weight).sum() / weight.sum().clamp(min=torch.finfo(values.dtype).tiny)
