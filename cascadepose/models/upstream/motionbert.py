"""MotionBERT's official files (Walter0807/MotionBERT): DSTformer, whose tensors have the same names here."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cascadepose.errors import InputError
from cascadepose.models.upstream.family import Family, Tensors

SIZES = ("temp_embed", "pos_embed", "joints_embed.weight", "blocks_st.0.mlp_s.fc1.weight", "pre_logits.fc.weight")


def _recognises(tensors: Tensors) -> bool:
    return all(any(name.startswith(part) for name in tensors) for part in ("blocks_st.", "blocks_ts."))


def _translate(tensors: Tensors, hints: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Hints: num_heads (8). The answers of official weights are in normalised image units, not metres."""
    for name in SIZES:
        if name not in tensors:
            raise InputError(f"tensor {name} of MotionBERT's DSTformer is missing; copy or download the file again")
    temporal, spatial, embed, mlp, rep = (tensors[name] for name in SIZES)
    dim = embed.shape[0]
    config = {
        "dim": dim,
        "depth": len({match[1] for name in tensors if (match := re.match(r"blocks_(?:st|ts)\.(\d+)\.", name))}),
        "num_heads": int(hints.get("num_heads", 8)),
        "mlp_ratio": mlp.shape[0] / dim,
        "dim_rep": rep.shape[0],
        "maxlen": temporal.shape[1],
        "num_joints": spatial.shape[1],
        "in_channels": embed.shape[1],
        "att_fuse": any(name.startswith("ts_attn.") for name in tensors),
    }
    return config, dict(tensors)


def _run(model: nn.Module, inputs: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    representation = model.get_representation(torch.as_tensor(inputs["x"]))
    return {"y": model.head(representation), "rep_every32": representation[..., ::32]}


MOTIONBERT = Family("motionbert", "dstformer", _recognises, _translate, _run)
