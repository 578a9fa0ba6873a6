"""MotionBERT's official files (Walter0807/MotionBERT): DSTformer, whose tensors have the same names here."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cascadepose.models.upstream.family import Family, Tensors
from cascadepose.models.upstream.layout import count, hint, shape


def _recognises(tensors: Tensors) -> bool:
    return all(any(name.startswith(part) for name in tensors) for part in ("blocks_st.", "blocks_ts."))


def _translate(tensors: Tensors, hints: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Hints: num_heads (8), frame_rate (any)."""
    dim, in_channels = shape(tensors, "joints_embed.weight")
    config = {
        "dim": dim,
        "depth": count(tensors, "blocks_st."),
        "num_heads": hint(hints, "num_heads", default=8),
        "mlp_ratio": shape(tensors, "blocks_st.0.mlp_s.fc1.weight")[0] / dim,
        "dim_rep": shape(tensors, "pre_logits.fc.weight")[0],
        "maxlen": shape(tensors, "temp_embed")[1],
        "num_joints": shape(tensors, "pos_embed")[1],
        "in_channels": in_channels,
        "att_fuse": any(name.startswith("ts_attn.") for name in tensors),
        "normalization": "crop_tight",
        "unit": "image",
        "frame_rate": hint(hints, "frame_rate"),
    }
    return config, dict(tensors)


def _run(model: nn.Module, inputs: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    representation = model.get_representation(torch.as_tensor(inputs["x"]))
    return {"y": model.head(representation), "rep_every32": representation[..., ::32]}


MOTIONBERT = Family("motionbert", "dstformer", _recognises, _translate, _run)
