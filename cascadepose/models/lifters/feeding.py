"""Windows of keypoints through a lifter: what it sees, and its answers in metres, averaged with those of the mirror."""

from __future__ import annotations

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
    x = torch.from_numpy(x).to(device)
    tips = () if positions is None else (torch.from_numpy(positions).to(device),)
    joints = lifter(x, *tips)
    if flip_test:
        seen, flip = (SKELETONS[name].flip_index for name in (declared_input(lifter)["skeleton"], lifter.skeleton))
        joints = (joints + flip_horizontal(lifter(flip_horizontal(x, seen), *tips), flip)) / 2
    joints = (joints - joints[..., :1, :]).float()
    if positions is not None:
        joints = joints[:, -positions.shape[1] :]
    if getattr(lifter, "unit", "metres") == "metres":
        return joints
    return adult_size(joints.flatten(0, 1)[:, None]).view_as(joints) if lifter.causal else adult_size(joints)
