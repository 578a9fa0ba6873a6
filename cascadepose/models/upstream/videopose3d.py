"""VideoPose3D's official files (facebookresearch/VideoPose3D): the TCN, of dilated or strided make."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cascadepose.models.upstream.family import Family, Tensors
from cascadepose.models.upstream.layout import count, hint, shape

PLAIN = {"expand_conv": "expand", "expand_bn": "expand_norm", "shrink": "head"}
LAYERS = {("conv", 0): "conv", ("conv", 1): "mix", ("bn", 0): "norm", ("bn", 1): "mix_norm"}  # even and odd numbers


def _recognises(tensors: Tensors) -> bool:
    return all(any(name.startswith(part) for name in tensors) for part in ("expand_", "layers_conv.", "shrink."))


def _translate(tensors: Tensors, hints: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Hints: causal (False), in_channels (2), frame_rate (50, of Human3.6M), seen_skeleton ("h36m17"; "coco17" for the
    file that was trained on COCO joints).
    """
    dim, inputs, width = shape(tensors, "expand_conv.weight")
    layers = count({name.partition(".")[2]: t for name, t in tensors.items() if name.startswith("layers_")}, "")
    in_channels = hint(hints, "in_channels", default=2)
    config = {
        "widths": [width, *(shape(tensors, f"layers_conv.{i}.weight")[2] for i in range(0, layers, 2))],
        "dim": dim,
        "causal": hint(hints, "causal", default=False),
        "num_joints": inputs // in_channels,
        "out_joints": shape(tensors, "shrink.weight")[0] // 3,
        "in_channels": in_channels,
        "seen_skeleton": hint(hints, "seen_skeleton", default="h36m17"),
        "frame_rate": hint(hints, "frame_rate", default=50.0),
    }
    ours = {_ours(name): tensor for name, tensor in tensors.items()}
    for name in [name for name in ours if name.endswith("running_var")]:  # PyTorch before 0.4.1 kept no counters
        ours.setdefault(name.replace("running_var", "num_batches_tracked"), torch.zeros((), dtype=torch.long))
    return config, ours


def _ours(name: str) -> str:
    if match := re.fullmatch(r"layers_(conv|bn)\.(\d+)\.(.*)", name):
        block, part = divmod(int(match[2]), 2)
        return f"blocks.{block}.{LAYERS[match[1], part]}.{match[3]}"
    first, _, rest = name.partition(".")
    return f"{PLAIN.get(first, first)}.{rest}"


def _run(model: nn.Module, inputs: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    return {"y": model(torch.as_tensor(inputs["x"]))}


VIDEOPOSE3D = Family("videopose3d", "tcn", _recognises, _translate, _run)
