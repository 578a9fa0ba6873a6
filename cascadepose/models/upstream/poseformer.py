"""PoseFormer's official files (zczcwh/PoseFormer): parameter names are ours, sizes are read off the tensors."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cascadepose.models.upstream.family import Family, Tensors
from cascadepose.models.upstream.layout import count, hint, shape


def _recognises(tensors: Tensors) -> bool:
    return "Spatial_patch_to_embedding.weight" in tensors and "Temporal_pos_embed" in tensors


def _translate(tensors: Tensors, hints: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Hints: num_heads (8), drop_path (0.1; counts in training only), frame_rate (50, of Human3.6M)."""
    dim, in_channels = shape(tensors, "Spatial_patch_to_embedding.weight")
    config = {
        "num_frames": shape(tensors, "Temporal_pos_embed")[1],
        "in_channels": in_channels,
        "embed_dim_ratio": dim,
        **transformer_config(tensors, hints, dim),
    }
    return config, dict(tensors)


def transformer_config(tensors: Tensors, hints: Mapping[str, Any], dim: int) -> dict[str, Any]:
    """What PoseFormer and PoseFormerV2 share, whose joints have tokens of `dim` channels."""
    return {
        "num_joints": shape(tensors, "Spatial_pos_embed")[1],
        "depth": count(tensors, "blocks."),
        "num_heads": hint(hints, "num_heads", default=8),
        "mlp_ratio": shape(tensors, "Spatial_blocks.0.mlp.fc1.weight")[0] / dim,
        "drop_path": hint(hints, "drop_path", "drop_path_rate", default=0.1),
        "normalization": "screen",
        "style": "gast",  # as in PoseFormerV2's demonstration on videos; both were trained on Human3.6M's joints
        "frame_rate": hint(hints, "frame_rate", default=50.0),
    }


def run(model: nn.Module, inputs: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """The centre frame `y` [B, 1, J, 3] of windows `x` [B, T, J, C]."""
    return {"y": model(torch.as_tensor(inputs["x"]))}


POSEFORMER = Family("poseformer", "poseformer", _recognises, _translate, run)
