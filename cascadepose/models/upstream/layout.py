"""What official files of DETR and its kin share: layer counts and widths read off the tensors, backbones by name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from cascadepose.errors import InputError
from cascadepose.models.backbone import IMAGENET_MEAN, IMAGENET_STD
from cascadepose.models.upstream.family import Tensors

RESNETS = {  # (blocks a layer, convolutions a block) -> name in timm
    ((2, 2, 2, 2), 2): "resnet18",
    ((3, 4, 6, 3), 2): "resnet34",
    ((3, 4, 6, 3), 3): "resnet50",
    ((3, 4, 23, 3), 3): "resnet101",
    ((3, 8, 36, 3), 3): "resnet152",
}
RESNET_FROZEN = {
    "resnet18": 6,
    "resnet34": 7,
}  # children up to and with layer1, else 7: conv1, norm, ReLU, pool, blocks
HRNETS = {18: "hrnet_w18", 30: "hrnet_w30", 32: "hrnet_w32", 40: "hrnet_w40", 44: "hrnet_w44", 48: "hrnet_w48"}
BODY, POSITION = "backbone.0.body.", "backbone.1."


def hint(hints: Mapping[str, Any], *names: str, default: Any = None) -> Any:
    """The first of `names` that the hints hold, in any case and at any depth (official configurations are nested).

    A text becomes what the default is: a truth value, an integer or a list of integers ("384x288", "[1, 2]").
    """
    flat = dict(_flat(hints))
    value = next((flat[name] for name in names if flat.get(name) is not None), default)
    if not isinstance(value, str) or isinstance(default, str):
        return value
    if isinstance(default, bool):  # as a command line gives it
        return value.lower() in ("1", "true", "yes")
    return int(value) if isinstance(default, int) else [int(number) for number in re.findall(r"-?\d+", value)]


def _flat(hints: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in hints.items():
        if isinstance(value, Mapping):
            yield from _flat(value)
        else:
            yield str(key).lower(), value


def normalised(tensors: Tensors) -> dict[str, Tensor]:
    """Official tensors with the backbone under `backbone.0.body`; older files of PRTR have `backbone.body`."""
    return {re.sub(r"^backbone\.body\.", BODY, name): tensor for name, tensor in tensors.items()}


def count(tensors: Tensors, prefix: str) -> int:
    """How many numbered children follow `prefix` ("transformer.encoder.layers.")."""
    return len({name[len(prefix) :].split(".")[0] for name in tensors if name.startswith(prefix)})


def shape(tensors: Tensors, name: str) -> tuple[int, ...]:
    """Shape of a tensor. Raises InputError where it is missing."""
    if name not in tensors:
        raise InputError(f"tensor {name} is missing: the file is incomplete or of another model")
    return tuple(tensors[name].shape)


def transformer_config(tensors: Tensors, hints: Mapping[str, Any], prefix: str = "transformer.") -> dict[str, Any]:
    """Keyword arguments of `Transformer` (d_model, heads, depths, ...). Raises InputError for the pre-norm form."""
    if f"{prefix}encoder.norm.weight" in tensors:
        raise InputError(f"tensor {prefix}encoder.norm.weight: the pre-norm form of DETR is not supported")
    return {
        "d_model": shape(tensors, f"{prefix}encoder.layers.0.linear1.weight")[1],
        "num_heads": hint(hints, "nheads", "num_heads", "heads", default=8),
        "num_encoder_layers": count(tensors, f"{prefix}encoder.layers."),
        "num_decoder_layers": count(tensors, f"{prefix}decoder.layers."),
        "dim_feedforward": shape(tensors, f"{prefix}encoder.layers.0.linear1.weight")[0],
    }


def backbone_config(tensors: Tensors, hints: Mapping[str, Any], levels: list[int], rgb: bool = True) -> dict[str, Any]:
    """Keyword arguments of `Backbone`, whose `levels` (of five) a ResNet returns; an HRNet ends in its one map.

    Hint: `dilation` (DC5, which the tensors do not tell). rgb: as in `backbone_tensors`.
    """
    order = slice(None) if rgb else slice(None, None, -1)
    pixels = {"mean": list(IMAGENET_MEAN[order]), "std": list(IMAGENET_STD[order])}
    if is_hrnet(tensors):
        width = shape(tensors, f"{BODY}stage2.0.branches.0.0.conv1.weight")[0]
        if width not in HRNETS:
            raise InputError(f"the backbone is an HRNet of width {width}: use one of {', '.join(map(str, HRNETS))}")
        return {"name": HRNETS[width], "pyramid": False, "frozen_norm": False, **pixels}
    name = resnet_name(tensors)
    config = {"name": name, "levels": levels, "frozen_stages": RESNET_FROZEN.get(name, 7), **pixels}
    if hint(hints, "dilation", "dc5", default=False):
        config["options"] = {"output_stride": 16}
    return config


def is_hrnet(tensors: Tensors) -> bool:
    """Whether the backbone is an HRNet."""
    return f"{BODY}stage4.0.branches.3.0.conv1.weight" in tensors


def resnet_name(tensors: Tensors) -> str:
    """timm's name of a torchvision ResNet. Raises InputError for another network."""
    blocks = tuple(count(tensors, f"{BODY}layer{number}.") for number in (1, 2, 3, 4))
    convolutions = 3 if f"{BODY}layer1.0.conv3.weight" in tensors else 2
    if (blocks, convolutions) not in RESNETS:
        raise InputError(
            f"the backbone has {blocks} blocks of {convolutions} convolutions: use one of {', '.join(RESNETS.values())}"
        )
    return RESNETS[blocks, convolutions]


def backbone_tensors(tensors: Tensors, rgb: bool = True) -> dict[str, Tensor]:
    """The backbone's tensors under timm's names, which are torchvision's and HRNet's own.

    A network that was fed BGR (official PRTR with ResNet, whose configurations say `COLOR_RGB: false`) gets the input
    channels of its first convolution turned round, which with mean and deviation turned round, too, is the same
    function of RGB. Frozen normalisation lists no batch count: it is zero here.
    """
    found = {f"body.{name.removeprefix(BODY)}": t for name, t in tensors.items() if name.startswith(BODY)}
    if not rgb and "body.conv1.weight" in found:
        found["body.conv1.weight"] = found["body.conv1.weight"].flip(1)
    for name in [name for name in found if name.endswith(".running_var")]:
        found.setdefault(name.replace("running_var", "num_batches_tracked"), torch.zeros((), dtype=torch.long))
    return found


def prefixed(prefix: str, tensors: Tensors) -> dict[str, Tensor]:
    """Every name behind `prefix`."""
    return {prefix + name: tensor for name, tensor in tensors.items()}


def beyond_backbone(tensors: Tensors) -> dict[str, Tensor]:
    """What is not backbone, under its own name; a learned position's tables as `position.*`."""
    found = {name: tensor for name, tensor in tensors.items() if not name.startswith(BODY)}
    return {re.sub(f"^{re.escape(POSITION)}", "position.", name): tensor for name, tensor in found.items()}


def position_kind(tensors: Tensors) -> str:
    """ "learned" where the tensors hold its tables (official names row_embed and col_embed), else "sine"."""
    return "learned" if f"{POSITION}row_embed.weight" in tensors else "sine"
