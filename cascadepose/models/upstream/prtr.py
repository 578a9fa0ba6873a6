"""Official PRTR: two-stage with ResNet or HRNet, its deformable variant, and the end-to-end notebook (repaired)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cascadepose.errors import InputError
from cascadepose.models.upstream import layout
from cascadepose.models.upstream.detr import detector_config, detector_tensors, image_batch, official_input
from cascadepose.models.upstream.family import Family, Tensors

CHANNELS = {"resnet18": (64, 128, 256, 512), "resnet34": (64, 128, 256, 512)}  # of layer1..4
WIDE_CHANNELS = (256, 512, 1024, 2048)
KEYPOINT_NAMES = {"coord_predictor": "kpt_embed", "class_predictor": "class_embed"}  # of the notebook -> ours
DERIVED = ("x_interpolate", "y_interpolate", "mask", "pe")  # buffers of the notebook


def is_two_stage(tensors: Tensors) -> bool:
    """One keypoint head and one input projection."""
    tensors = layout.normalised(tensors)
    return "kpt_embed.layers.0.weight" in tensors and "input_proj.weight" in tensors


def is_deformable(tensors: Tensors) -> bool:
    """An input projection for each level and sampling offsets."""
    offsets = "transformer.encoder.layers.0.self_attn.sampling_offsets.weight"
    return offsets in tensors and "kpt_embed.0.layers.0.weight" in tensors and "input_proj.0.0.weight" in tensors


def is_sequential(tensors: Tensors) -> bool:
    """A second transformer behind the detector's."""
    return "transformer_kpt.input_proj.weight" in tensors and "bbox_embed.layers.0.weight" in tensors


def translate_two_stage(tensors: Tensors, hints: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """-> keyword arguments of `KeypointEstimator`, its tensors.

    Hints: `nheads`, `dilation`, `image_hw` (crop size, official 384 x 288), `color_rgb`.
    """
    tensors, rgb = layout.normalised(tensors), is_rgb(tensors, hints)
    config = {
        "backbone": layout.backbone_config(tensors, hints, [-1], rgb),
        "transformer": {
            **layout.transformer_config(tensors, hints),
            "num_joints": layout.shape(tensors, "class_embed.weight")[0] - 1,
            "num_queries": layout.shape(tensors, "query_embed.weight")[0],
            "position": layout.position_kind(tensors),
            "spread": False,
        },
        "crop_size": crop_size(hints),
    }
    return config, _estimator_tensors(tensors, rgb, layout.beyond_backbone(tensors))


def translate_deformable(tensors: Tensors, hints: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """-> keyword arguments of `KeypointEstimator` with deformable attention, its tensors. Hints: as for two-stage."""
    tensors, rgb = layout.normalised(tensors), is_rgb(tensors, hints)
    maps = [n for n in range(count_levels(tensors)) if layout.shape(tensors, f"input_proj.{n}.0.weight")[-1] == 1]
    transformer = deformable_config(tensors, hints)
    config = {
        "backbone": layout.backbone_config(tensors, hints, list(range(-len(maps), 0)), rgb),
        "transformer": transformer,
        "crop_size": crop_size(hints),
        "input_levels": list(range(len(maps))),
        "attention": "deformable",
    }
    own = layout.beyond_backbone(tensors)
    for head in ("class_embed.", "kpt_embed."):
        own = _one_copy(own, head, transformer["num_decoder_layers"])
    return config, _estimator_tensors(tensors, rgb, own)


def deformable_config(tensors: Tensors, hints: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments of `DeformableKeypointTransformer`, less the channel counts."""
    config = layout.transformer_config(tensors, hints)
    per_point = config["num_heads"] * count_levels(tensors)
    encoder = layout.shape(tensors, "transformer.encoder.layers.0.self_attn.attention_weights.weight")[0]
    decoder = layout.shape(tensors, "transformer.decoder.layers.0.cross_attn.attention_weights.weight")[0]
    return config | {
        "num_joints": layout.shape(tensors, "class_embed.0.weight")[0] - 1,
        "num_queries": layout.shape(tensors, "query_embed.weight")[0],
        "num_levels": count_levels(tensors),
        "encoder_points": encoder // per_point,
        "decoder_points": decoder // per_point,
        "spread": False,
    }


def translate_sequential(tensors: Tensors, hints: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """-> keyword arguments of `PRTR` in its end-to-end form, its tensors. Hints: `nheads`, `level` (of layer1..4).

    The notebook crops for all queries; a threshold of 0 with as many people as queries does the same here.
    """
    tensors = layout.normalised(tensors)
    size = (layout.shape(tensors, "col_embed.weight")[1], layout.shape(tensors, "row_embed.weight")[1])
    queries = layout.shape(tensors, "query_embed.weight")[0]
    keypoints = {
        **layout.transformer_config(tensors, hints, "transformer_kpt.transformer."),
        "num_joints": layout.shape(tensors, "transformer_kpt.class_predictor.weight")[0] - 1,
        "num_queries": layout.shape(tensors, "transformer_kpt.query_embed.weight")[0],
        "position": "sine+learned",
        "size": list(size),
        "spread": False,
    }
    config = {
        "detector": detector_config(tensors, hints, [1, 2, 3, 4]),
        "keypoints": keypoints,
        "crop": "features",
        "crop_levels": crop_levels(tensors, hints),
        "crop_size": list(size),
        "alignment": "corners",
        "clamp_to_image": False,
        "clamp_keypoints": True,
        "threshold": 0.0,
        "max_people": queries,
    }
    detector = {name: t for name, t in tensors.items() if not _is_keypoint_tensor(name)}
    own = layout.prefixed("detector.", detector_tensors(detector))
    return config, own | layout.prefixed("keypoints.", notebook_keypoints(tensors))


def notebook_keypoints(tensors: Tensors) -> dict[str, Tensor]:
    """The notebook's keypoint stage under the names of `KeypointTransformer`.

    Its class 0 is "no joint", ours is the last; its tables are stored transposed, `col_embed` being that of rows.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name.startswith("transformer_kpt."):
            part, _, leaf = name.removeprefix("transformer_kpt.").partition(".")
            found[f"{KEYPOINT_NAMES.get(part, part)}.{leaf}"] = tensor
    for name in [name for name in found if name.startswith("class_embed.")]:
        found[name] = found[name].roll(-1, 0)
    found["position.learned.row_embed.weight"] = tensors["col_embed.weight"].T
    found["position.learned.col_embed.weight"] = tensors["row_embed.weight"].T
    return found


def crop_levels(tensors: Tensors, hints: Mapping[str, Any]) -> list[int]:
    """Which of layer1..4 are cropped: the one set whose channels add up. Raises InputError if the hint does not."""
    channels = CHANNELS.get(layout.resnet_name(tensors), WIDE_CHANNELS)
    total = layout.shape(tensors, "transformer_kpt.input_proj.weight")[1]
    sets = [list(chosen) for n in range(1, 5) for chosen in combinations(range(4), n)]
    fitting = next((s for s in sets if sum(channels[i] for i in s) == total), [])
    found = layout.hint(hints, "level", default=fitting)
    if sum(channels[i] for i in found) != total:
        raise InputError(f"levels {found} have not the {total} channels of transformer_kpt.input_proj.weight")
    return list(found)


def crop_size(hints: Mapping[str, Any]) -> list[int]:
    """(height, width) of the crops that a two-stage model was trained at; hint `image_hw`."""
    return list(layout.hint(hints, "image_hw", "crop_size", default=[384, 288]))


def is_rgb(tensors: Tensors, hints: Mapping[str, Any]) -> bool:
    """Whether the network was fed RGB: hint `color_rgb`, else what the official configurations say, which is false for
    every ResNet and true for HRNet.
    """
    return layout.hint(hints, "color_rgb", default=layout.is_hrnet(layout.normalised(tensors)))


def count_levels(tensors: Tensors) -> int:
    """Levels of a deformable transformer."""
    return layout.shape(tensors, "transformer.level_embed")[0]


def run_crops(model: nn.Module, inputs: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Normalised crops `image` [N, 3, H, W] -> official outputs."""
    with official_input(model.backbone) as as_tensor:
        out = model(as_tensor(inputs["image"]))
    names = {"pred_logits": "pred_kpt_logits", "pred_coords": "pred_keypoints"}
    found = {theirs: out[ours] for theirs, ours in names.items()}
    for number, layer in enumerate(out["aux_outputs"]):
        found |= {f"aux{number}.{theirs}": layer[ours] for theirs, ours in names.items()}
    return found


def run_sequential(model: nn.Module, inputs: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Normalised images `img0`, ... -> official outputs: joints of every person query of every image."""
    with official_input(model.detector.backbone) as as_tensor:
        batch = image_batch(inputs, as_tensor)
        detections = model.detect(batch)
    boxes = detections["pred_boxes"]
    index = torch.arange(len(boxes), device=boxes.device).repeat_interleave(boxes.shape[1])
    out = model(batch, boxes.flatten(0, 1), index, detections=detections)
    return {
        "pred_logits": detections["pred_logits"],
        "pred_boxes": boxes,
        "pred_kpt_coord": out["pred_keypoints"].unflatten(0, boxes.shape[:2]),
        "pred_kpt_logits": out["pred_kpt_logits"].unflatten(0, boxes.shape[:2]).roll(1, -1),
    }


def _estimator_tensors(tensors: Tensors, rgb: bool, own: Tensors) -> dict[str, Tensor]:
    backbone = layout.backbone_tensors(tensors, rgb)
    return layout.prefixed("backbone.", backbone) | layout.prefixed("transformer.", own)


def _one_copy(tensors: Tensors, head: str, copies: int) -> dict[str, Tensor]:
    """The one head that the official file lists once a layer. Raises InputError where its copies differ."""
    first = {name: t for name, t in tensors.items() if name.startswith(f"{head}0.")}
    for name, tensor in first.items():
        for number in range(1, copies):
            other = name.replace(f"{head}0.", f"{head}{number}.", 1)
            if layout.shape(tensors, other) != tuple(tensor.shape) or not torch.equal(tensors[other], tensor):
                raise InputError(f"tensors {name} and {other} differ: the file is of another model")
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith(head)}
    return kept | {name.replace(f"{head}0.", head, 1): tensor for name, tensor in first.items()}


def _is_keypoint_tensor(name: str) -> bool:
    return name.startswith(("transformer_kpt.", "row_embed.", "col_embed.")) or name in DERIVED


TWO_STAGE = Family("prtr", "keypoint_estimator", is_two_stage, translate_two_stage, run_crops)
DEFORMABLE = Family("prtr-deformable", "keypoint_estimator", is_deformable, translate_deformable, run_crops)
SEQUENTIAL = Family("prtr-sequential", "prtr", is_sequential, translate_sequential, run_sequential)
