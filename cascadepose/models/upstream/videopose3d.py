"""VideoPose3D's official files (facebookresearch/VideoPose3D): the TCN, of dilated or strided make."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cascadepose.errors import InputError
from cascadepose.models.upstream.family import Family, Tensors

PLAIN = {"expand_conv": "expand", "expand_bn": "expand_norm", "shrink": "head"}
LAYERS = {("conv", 0): "conv", ("conv", 1): "mix", ("bn", 0): "norm", ("bn", 1): "mix_norm"}  # even and odd numbers


def _recognises(tensors: Tensors) -> bool:
    return all(any(name.startswith(part) for name in tensors) for part in ("expand_", "layers_conv.", "shrink."))


def _translate(tensors: Tensors, hints: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Hints: causal (False), in_channels (2)."""
    for name in ("expand_conv.weight", "shrink.weight"):
        if name not in tensors:
            raise InputError(f"tensor {name} of VideoPose3D is missing; copy or download the file again")
    dim, inputs, width = tensors["expand_conv.weight"].shape
    blocks = sorted({int(m[1]) for name in tensors if (m := re.match(r"layers_(?:conv|bn)\.(\d+)\.", name))})
    widths = [width]
    for i in range(0, len(blocks), 2):
        name = f"layers_conv.{i}.weight"
        if name not in tensors:
            raise InputError(f"tensor {name} of VideoPose3D is missing; copy or download the file again")
        widths.append(tensors[name].shape[2])
    in_channels = int(hints.get("in_channels", 2))
    config = {
        "widths": widths,
        "dim": dim,
        "causal": str(hints.get("causal", False)).lower() in ("true", "1", "yes"),
        "num_joints": inputs // in_channels,
        "out_joints": tensors["shrink.weight"].shape[0] // 3,
        "in_channels": in_channels,
    }
    return config, {_ours(name): tensor for name, tensor in tensors.items()}


def _ours(name: str) -> str:
    if match := re.fullmatch(r"layers_(conv|bn)\.(\d+)\.(.*)", name):
        block, part = divmod(int(match[2]), 2)
        return f"blocks.{block}.{LAYERS[match[1], part]}.{match[3]}"
    first, _, rest = name.partition(".")
    return f"{PLAIN.get(first, first)}.{rest}"


def _run(model: nn.Module, inputs: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    return {"y": model(torch.as_tensor(inputs["x"]))}


VIDEOPOSE3D = Family("videopose3d", "tcn", _recognises, _translate, _run)
