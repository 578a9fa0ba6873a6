"""Strided Transformer's official files (Vegetebird/StridedTransformer-Pose3D) and its refine module's."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cascadepose.errors import InputError
from cascadepose.models.refine import on_rays
from cascadepose.models.upstream.family import Family, Tensors
from cascadepose.models.upstream.layout import count, hint, shape

STRIDES = {(27, 3): [3, 3, 3], (351, 3): [3, 9, 13]}  # released: (frames, strided layers)
PARTS = (  # official -> ours, in this order
    (r"^encoder\.", "embed."),
    (r"^fcn\.", "head."),
    (r"^fcn_1\.", "full_head."),
    (r"^Transformer\.pos_embedding$", "vte.pos_embed"),
    (r"^Transformer\.model\.", "vte."),
    (r"^Transformer_reduce\.model\.", "ste."),
    (r"\.layers\.", ".blocks."),
    (r"\.self_attn\.linears\.3\.", ".attn.proj."),
    (r"(?<=ste)(.*)\.feed_forward\.w_2\.", r"\1.mlp.conv."),
    (r"\.feed_forward\.w_([12])\.", r".mlp.fc\1."),
    (r"\.sublayer\.0\.norm\.", ".norm1."),
    (r"\.sublayer\.1\.norm\.", ".norm2."),
    (r"\.a_2$", ".weight"),
    (r"\.b_2$", ".bias"),
)
QKV = re.compile(r"(.*)\.self_attn\.linears\.([012])\.(weight|bias)")


def _recognises(tensors: Tensors) -> bool:
    return any(name.startswith("Transformer_reduce.model.layers.") for name in tensors)


def _translate(tensors: Tensors, hints: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Hints: stride_num (no shape tells it; known for 27 and 351 frames), num_heads (8), in_channels (2), frame_rate
    (50, of Human3.6M).
    """
    dim, inputs, _ = shape(tensors, "encoder.0.weight")
    frames = shape(tensors, "Transformer.pos_embedding")[1]
    in_channels = hint(hints, "in_channels", default=2)
    config = {
        "num_frames": frames,
        "strides": _strides(frames, count(tensors, "Transformer_reduce.model.layers."), hints),
        "dim": dim,
        "hidden": shape(tensors, "Transformer_reduce.model.layers.0.feed_forward.w_1.weight")[0],
        "depth": count(tensors, "Transformer.model.layers."),
        "num_heads": hint(hints, "num_heads", "heads", "h", default=8),
        "positions": count(tensors, "Transformer_reduce.model.pos_embedding_"),
        "num_joints": inputs // in_channels,
        "out_joints": shape(tensors, "fcn.1.weight")[0] // 3,
        "in_channels": in_channels,
        "style": "gast",  # as in the authors' demonstration on videos
        "frame_rate": hint(hints, "frame_rate", default=50.0),
    }
    return config, _rename(tensors)


def _strides(frames: int, layers: int, hints: Mapping[str, Any]) -> list[int]:
    strides = hint(hints, "stride_num", "strides", default=STRIDES.get((frames, layers)))
    if strides is None:
        raise InputError(
            f"the strides of {frames} frames in {layers} layers cannot be read off the tensors: give stride_num as a "
            f"hint, {layers} numbers whose product is {frames}"
        )
    if len(strides) != layers:
        raise InputError(f"stride_num {strides} has {len(strides)} numbers; the file has {layers} strided layers")
    return strides


def _rename(tensors: Tensors) -> dict[str, Tensor]:
    """Ours by name: q, k and v in one matrix, position tables numbered from 0, width-1 convolutions as matrices."""
    ours = {}
    for name, tensor in tensors.items():
        if match := QKV.fullmatch(name):
            parts = [tensors.get(f"{match[1]}.self_attn.linears.{i}.{match[3]}") for i in range(3)]
            if any(part is None for part in parts):
                continue  # missed when the model is filled
            name, tensor = f"{match[1]}.attn.qkv.{match[3]}", torch.cat(parts)
        if match := re.fullmatch(r"Transformer_reduce\.model\.pos_embedding_(\d+)", name):
            name = f"ste.pos_embeds.{int(match[1]) - 1}"
        if name.endswith("feed_forward.w_1.weight"):
            tensor = tensor.flatten(1)
        for pattern, replacement in PARTS:
            name = re.sub(pattern, replacement, name)
        ours[name] = tensor
    return ours


def _run(model: nn.Module, inputs: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    center, full = model(torch.as_tensor(inputs["x"]), both=True)
    return {"y": center, "y_vte": full}


STRIDED = Family("strided", "strided", _recognises, _translate, _run)


def _recognises_refine(tensors: Tensors) -> bool:
    return any(name.startswith("post_refine.") for name in tensors)


def _translate_refine(tensors: Tensors, hints: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """No hints: everything is in the shapes."""
    names = {"post_refine.0": "fc1", "post_refine.3": "fc2"}
    ours = {re.sub(r"^post_refine\.\d", lambda m: names.get(m[0], m[0]), name): t for name, t in tensors.items()}
    hidden, inputs = shape(tensors, "post_refine.0.weight")
    return {"num_joints": inputs // 6, "hidden": hidden}, ours


def _run_refine(model: nn.Module, inputs: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    keypoints, pred, truth, camera = (torch.as_tensor(inputs[name]) for name in ("uv", "pred", "gt", "cam"))
    rays = on_rays(keypoints, pred, truth[..., :1, :], camera)
    return {"xyz": rays, "refined": model(pred, rays)}


REFINE = Family("strided-refine", "strided_refine", _recognises_refine, _translate_refine, _run_refine)
