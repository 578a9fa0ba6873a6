"""Official DETR: ResNet-50 and -101, dilated (DC5) or not, any number of classes.

The official head has one logit for each COCO id 0..90, "no object" last (91). Hint `person_only=true` keeps the rows of
"person" (id 1) and "no object" alone: a person detector of two logits, as the rest of this package expects one. Its
softmax is over these two, p = e^person / (e^person + e^nothing), and so never below that of the full head, which
divides by all classes; the order of queries by it differs where another class competes. Boxes are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cascadepose.boxes import cxcywh_to_xyxy
from cascadepose.errors import InputError
from cascadepose.models.image_batch import ImageBatch
from cascadepose.models.upstream import layout
from cascadepose.models.upstream.family import Family, Tensors

PERSON_ROWS = [1, -1]  # of the class head: COCO's id of a person, "no object"


def recognises(tensors: Tensors) -> bool:
    """A box head, a ResNet and no second transformer."""
    tensors = layout.normalised(tensors)
    sequential = any(name.startswith("transformer_kpt.") for name in tensors)
    wanted = ("bbox_embed.layers.0.weight", "query_embed.weight", "transformer.decoder.norm.weight")
    return not sequential and all(name in tensors for name in (*wanted, f"{layout.BODY}conv1.weight"))


def translate(tensors: Tensors, hints: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """-> keyword arguments of `PersonDetector`, its tensors. Hints: `nheads`, `dilation`, `person_only`."""
    tensors = layout.normalised(tensors)
    config = detector_config(tensors, hints, [-1])
    own = detector_tensors(tensors)
    if layout.hint(hints, "person_only", default=False):
        if config["num_logits"] < 3:
            raise InputError(f"person_only: the class head has {config['num_logits']} logits already")
        own = reduce_to_person(own)
        config["num_logits"] = 2
    return config, own


def detector_config(tensors: Tensors, hints: Mapping[str, Any], levels: list[int]) -> dict[str, Any]:
    """Keyword arguments of `PersonDetector` for the official tensors of a DETR."""
    return {
        "backbone": layout.backbone_config(tensors, hints, levels),
        **layout.transformer_config(tensors, hints),
        "num_queries": layout.shape(tensors, "query_embed.weight")[0],
        "num_logits": layout.shape(tensors, "class_embed.weight")[0],
        "position": layout.position_kind(tensors),
        "grouped": False,  # the official code pads, and its answer depends on the padding
    }


def detector_tensors(tensors: Tensors) -> dict[str, Tensor]:
    """The tensors of `PersonDetector`; all but the backbone's keep their names."""
    return layout.prefixed("backbone.", layout.backbone_tensors(tensors)) | layout.beyond_backbone(tensors)


def reduce_to_person(tensors: Tensors) -> dict[str, Tensor]:
    """The class head cut to "person" and "no object"."""
    names = [name for name in ("class_embed.weight", "class_embed.bias") if name in tensors]
    return {**tensors, **{name: tensors[name][PERSON_ROWS] for name in names}}


def run(model: nn.Module, inputs: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Normalised images `img0`, `img1`, ... [3, H, W] -> official outputs, with the post-processing for photographs
    of twice the size (`orig_sizes` [B, 2] (h, w) where the inputs say otherwise).
    """
    with official_input(model.backbone) as as_tensor:
        batch = image_batch(inputs, as_tensor)
        out = model(batch)
    found = {key: out[key] for key in ("pred_logits", "pred_boxes")}
    for number, layer in enumerate(out["aux_outputs"]):
        found |= {f"aux{number}.{key}": layer[key] for key in ("pred_logits", "pred_boxes")}
    sizes = inputs.get("orig_sizes", 2 * np.array(batch.sizes))
    for number, (logits, boxes) in enumerate(zip(out["pred_logits"], out["pred_boxes"], strict=True)):
        scores, labels = logits.softmax(-1)[:, :-1].max(-1)
        scale = boxes.new_tensor(sizes[number]).flip(0).repeat(2)
        named = {"scores": scores, "labels": labels, "boxes": cxcywh_to_xyxy(boxes) * scale}
        found |= {f"post{number}.{key}": value for key, value in named.items()}
    return found


@contextmanager
def official_input(backbone: nn.Module) -> Iterator[Callable[[np.ndarray], Tensor]]:
    """While it is open, `backbone` takes what the official network takes: normalised images [..., 3, H, W].

    Gives the function that makes a tensor of such an array. To turn it into pixels and back would cost a rounding of
    every value, which a badly conditioned network shows in the fourth digit of its answer.
    """
    mean, std = backbone.mean, backbone.std
    reversed_order = bool(mean[0] < mean[2])  # `layout.backbone_tensors` turned round what was fed BGR

    def as_tensor(images: np.ndarray) -> Tensor:
        tensor = torch.as_tensor(images, device=mean.device)
        return tensor.flip(-3) if reversed_order else tensor

    backbone.mean, backbone.std = torch.zeros_like(mean), torch.ones_like(std)
    try:
        yield as_tensor
    finally:
        backbone.mean, backbone.std = mean, std


def image_batch(inputs: Mapping[str, np.ndarray], as_tensor: Callable[[np.ndarray], Tensor]) -> ImageBatch:
    """The images `img0`, `img1`, ... of an oracle."""
    names = sorted((name for name in inputs if name.startswith("img")), key=lambda name: int(name[3:]))
    return ImageBatch.from_list([as_tensor(inputs[name]) for name in names])


DETR = Family("detr", "person_detector", recognises, translate, run)
