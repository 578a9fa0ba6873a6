"""The model that a lifter task trains: a fresh one of any kind, or one that goes on from its weights."""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import nn

from cascadepose.errors import InputError

if TYPE_CHECKING:
    from cascadepose.tasks.lifter import LifterTaskConfig


def start_model(config: LifterTaskConfig) -> tuple[str, nn.Module]:
    """Kind and model: a fresh lifter, or the one of `config.weights`, which keeps what it was trained to see.

    Raises InputError for kinds that are no lifters, arguments that a kind does not have, and windows that do not fit.
    """
    from cascadepose import hub

    if config.weights is None:
        kind, model, source = config.kind, _fresh_model(config), f"task.kind {config.kind!r} with this task.model"
    else:
        kind, source = hub.weights_info(config.weights).kind, config.weights
        _check_kind(kind, source)
        model = _adapted(kind, hub.load_model(config.weights), config).train()
        _settle(model, config)
    longest = getattr(model, "maxlen", None)
    if longest is None:
        if config.num_frames != model.num_frames:
            raise InputError(f"{source} takes windows of {model.num_frames} frames: set task.num_frames to that")
        return kind, model
    if config.num_frames > longest:
        raise InputError(f"{source} takes at most {longest} frames: set task.num_frames to that or less")
    model.num_frames = model.config["num_frames"] = config.num_frames
    return kind, model


def _adapted(kind: str, model: nn.Module, config: LifterTaskConfig) -> nn.Module:
    """A DSTformer whose `causal` is as `task.model` says and whose windows are as long as the task's.

    The weights stay what they are; the positions in a longer window are interpolated from those in the shorter one.
    """
    from cascadepose import models

    if kind != "dstformer":
        return model
    settings = model.config | {
        "causal": config.model.get("causal", model.causal),
        "maxlen": max(config.num_frames, model.maxlen),
    }
    if settings == model.config:
        return model
    adapted = models.build(kind, **settings)
    tensors = model.state_dict()
    shortened = tensors["temp_embed"].permute(0, 2, 3, 1).flatten(0, 1)  # [1, C, T]
    longer = F.interpolate(shortened, size=settings["maxlen"], mode="linear", align_corners=True)
    tensors["temp_embed"] = longer.transpose(1, 2).unsqueeze(2)
    adapted.load_state_dict(tensors)
    return adapted


def _settle(model: nn.Module, config: LifterTaskConfig) -> None:
    """What pre-trained and official weights leave open: the rate, if any did so far; the unit, for it learns metres."""
    if model.frame_rate is None:
        model.frame_rate = model.config["frame_rate"] = config.frame_rate
    if "unit" in model.config:
        model.unit = model.config["unit"] = "metres"


def _fresh_model(config: LifterTaskConfig) -> nn.Module:
    from cascadepose import models
    from cascadepose.config import nearest

    _check_kind(config.kind, "task.kind")
    known = signature(models.model_class(config.kind)).parameters
    if unknown := [name for name in config.model if name not in known]:
        hint = nearest(f"task.model.{unknown[0]}", [f"task.model.{name}" for name in known])
        raise InputError(f"a {config.kind} has no task.model.{unknown[0]}{hint}")
    settings = {
        "num_frames": config.num_frames,
        "maxlen": config.num_frames,
        "normalization": config.normalization,
        "frame_rate": config.frame_rate,
    }
    try:
        return models.build(config.kind, **{k: v for k, v in settings.items() if k in known} | config.model)
    except (TypeError, ValueError) as error:
        raise InputError(f"task.model: a {config.kind} cannot be built from it: {error}") from None


def _check_kind(kind: str, source: str) -> None:
    from cascadepose import models

    lifters = [name for name, (module, _) in models.KINDS.items() if module.startswith(".lifters.")]
    if kind not in lifters:
        raise InputError(f"{source}: {kind!r} is no lifter; use one of: {', '.join(lifters)}")
