"""Windows of keypoints through a lifter: what it sees, and its answers in metres, averaged with those of the mirror."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from cascadepose.geometry import flip_horizontal
from cascadepose.models.lifters.units import adult_size
from cascadepose.normalization import declared_input, lifter_input
from cascadepose.skeletons import SKELETONS


def inputs(
    lifter: nn.Module, keypoints: np.ndarray, scores: np.ndarray, image_size: tuple[int, int], skeleton: str
) -> np.ndarray:
    """What a lifter sees of windows of keypoints [n, W, K, 2] px with scores [n, W, K]: float32 [n, W, J, C]."""
    declared = declared_input(lifter) | {"input_skeleton": skeleton}
    return lifter_input(keypoints, scores, image_size, **declared).astype(np.float32)


def answers(lifter: nn.Module, x: np.ndarray, positions: np.ndarray | None, flip_test: bool) -> Tensor:
    """Joints [n, F, J, 3] in metres, root-relative, camera axes, for windows [n, W, J, C].

    positions  [n, F] places of the newest frames, the last F, for a causal lifter that answers for every frame
    flip_test  average with the answers for the mirrored person
    """
    device = next(lifter.parameters()).device
    tips = () if positions is None else (torch.from_numpy(positions).to(device),)
    joints = mirrored_mean(lifter, lambda x, _: lifter(x, *tips), torch.from_numpy(x).to(device), flip_test)
    return in_metres(lifter, joints if positions is None else joints[:, -positions.shape[1] :])


def mirrored_mean(lifter: nn.Module, run: Callable[[Tensor, int], Tensor], x: Tensor, flip_test: bool) -> Tensor:
    """run(x, 0), averaged in a flip test with what run(x, 1) says of the mirrored x [..., J, C]."""
    joints = run(x, 0)
    if not flip_test:
        return joints
    seen, flip = (SKELETONS[name].flip_index for name in (declared_input(lifter)["skeleton"], lifter.skeleton))
    return (joints + flip_horizontal(run(flip_horizontal(x, seen), 1), flip)) / 2


def in_metres(lifter: nn.Module, joints: Tensor) -> Tensor:
    """Answers [n, F, J, 3] root-relative and, where the lifter has another unit, scaled to an adult."""
    joints = (joints - joints[..., :1, :]).float()
    if getattr(lifter, "unit", "metres") == "metres":
        return joints
    return adult_size(joints.flatten(0, 1)[:, None]).view_as(joints) if lifter.causal else adult_size(joints)
