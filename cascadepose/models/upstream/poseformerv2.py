"""PoseFormerV2's official files (QitaoZhao/PoseFormerV2): parameter names are ours; the window's length is a hint."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from cascadepose.models.upstream.family import Family, Tensors
from cascadepose.models.upstream.layout import hint, shape
from cascadepose.models.upstream.poseformer import run, transformer_config

# No tensor depends on the length of the window. It was published with 27 kept frames in one length (243) only, with 9
# in one (81), with 3 and 1 in two: 27 and, what is taken here, 81.
WINDOWS = {27: 243}


def _recognises(tensors: Tensors) -> bool:
    return "Freq_embedding.weight" in tensors and "Joint_embedding.weight" in tensors


def _translate(tensors: Tensors, hints: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Hints: number_of_frames (243 where 27 frames are kept, else 81), and those of PoseFormer."""
    dim, in_channels = shape(tensors, "Joint_embedding.weight")
    kept = shape(tensors, "Temporal_pos_embed")[1]
    config = {
        "num_frames": hint(
            hints, "number_of_frames", "num_frames", "num_frame", "frames", default=WINDOWS.get(kept, 81)
        ),
        "kept_frames": kept,
        "kept_coefficients": shape(tensors, "Temporal_pos_embed_")[1],
        "in_channels": in_channels,
        "embed_dim_ratio": dim,
        **transformer_config(tensors, hints, dim),
    }
    return config, dict(tensors)


POSEFORMERV2 = Family("poseformerv2", "poseformerv2", _recognises, _translate, run)
