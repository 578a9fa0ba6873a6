"""A pipeline with trained weights: which ones, on which device, at which price.

pose = load()                   # the packaged weights that see people best
pose = load(preset="fast")      # those that are quick, as quickly as they can
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cascadepose.devices import pick_device
from cascadepose.errors import InputError
from cascadepose.normalization import presented_skeleton
from cascadepose.parallel import workers_on
from cascadepose.pipeline import Pipeline
from cascadepose.skeletons import Skeleton

if TYPE_CHECKING:
    from torch import nn

LIFTER_WEIGHTS = "dstformer-small"
_CARRY_ON = 0.6  # share of the threshold at which a person who is known is still believed


@dataclass(frozen=True)
class Preset:
    """How much work is put into a frame; figures of both are in docs/results.md.

    weights             of the 2D stage, where no others are named
    detector_side       longer side in px of the picture that the detector sees; None is the weights' own
    keypoint_flip_test  average joints with those of the mirrored crop
    flip_test           average the lifter's answer with that for the mirrored person
    looks               how often weights that correct their boxes do so, see PosePredictor
    detect_every        frames of a video that share a look of the detector, see Pipeline
    """

    weights: str
    detector_side: int | None
    keypoint_flip_test: bool
    flip_test: bool
    looks: int
    detect_every: int


PRESETS = {
    "accurate": Preset("prtr-mobilenetv2-small-320x256", None, True, True, looks=2, detect_every=1),
    "fast": Preset("prtr-mobilenetv2-small", 256, False, False, looks=1, detect_every=3),
}


def load(
    weights: str | Path | None = None,
    lifter: str | Path | None = LIFTER_WEIGHTS,
    device: str | None = None,
    threshold: float | None = None,
    batch_size: int | None = None,
    flip_test: bool | None = None,
    preset: str = "accurate",
    backend: str = "torch",
    onnx_folder: str | Path | None = None,
    **settings: Any,
) -> Pipeline:
    """A pipeline with trained weights.

    weights    of the 2D stage: packaged name, path or hub address; None: the preset's
    lifter     of the 3D stage, the same; None for 2D only
    device     such as "cpu" or "cuda:1"; None takes a GPU where there is one
    threshold  box score at which a person is believed; None takes the model's own
    flip_test  average the lifter's answer with that for the mirrored person; None: as the preset says
    preset     "accurate" or "fast", see PRESETS
    backend    what the networks run on: "torch", or "onnx" for onnxruntime (docs/onnx.md)
    onnx_folder  of files of `export_onnx`; None keeps them in the user's cache directory, exported at first use
    batch_size  frames at a time; None is 9 on a GPU and 3 on a CPU, where every thread works on its own
    settings   see Pipeline

    Weights whose joints the lifter cannot be given (see `skeletons`) make a pipeline for 2D only, whose results say so.
    Raises InputError for unknown names, weights of another kind, and devices that are not there.
    """
    from cascadepose.hub import load_model, weights_info
    from cascadepose.predictor import PosePredictor

    if preset not in PRESETS:
        raise InputError(f"unknown preset {preset!r}; use one of: {', '.join(PRESETS)}")
    chosen, device = PRESETS[preset], pick_device(device)
    weights = chosen.weights if weights is None else weights
    flip_test = chosen.flip_test if flip_test is None else flip_test
    batch_size = batch_size or (3 if device.type == "cpu" else 9)
    settings = {"workers": workers_on(device), "detect_every": chosen.detect_every} | settings
    prtr = load_model(weights, device=device, kind="prtr")
    threshold = prtr.threshold if threshold is None else threshold
    if not 0 < threshold < 1:
        raise InputError(f"threshold {threshold} is no score; give a number between 0 and 1, such as 0.5")
    if prtr.detector_side is not None and chosen.detector_side is not None:
        prtr.detector_side = min(prtr.detector_side, chosen.detector_side)
    prtr = on_backend(backend, prtr, weights, onnx_folder)
    facts = {"keypoints": _facts(weights_info(weights)) | {"threshold": threshold, "preset": preset}}
    model, notes = None, ()
    if lifter is not None:
        model, about = load_lifter(lifter, device, flip_test)
        if notes := _only_2d(model, prtr.skeleton):
            model = None
        else:
            model, facts["lifter"] = on_backend(backend, model, lifter, onnx_folder), about
    predictor = PosePredictor(prtr, device, _CARRY_ON * threshold, chosen.keypoint_flip_test, chosen.looks)
    return Pipeline(predictor, model, threshold, batch_size, flip_test, weights=facts, notes=notes, **settings)


def _only_2d(lifter: nn.Module, skeleton: Skeleton) -> tuple[str, ...]:
    """Why joints of this set stay in 2D, in one line; nothing where the lifter can be given them."""
    try:
        presented_skeleton(lifter, skeleton)
    except InputError as error:
        return (f"2D only: {error}",)
    return ()


def on_backend(backend: str, model: nn.Module, weights: str | Path, onnx_folder: str | Path | None) -> nn.Module:
    """The model, on the device where it is, to be run by this backend; other arguments and errors as for `load`."""
    if backend == "torch":
        return model
    if backend != "onnx":
        raise InputError(f"unknown backend {backend!r}: use torch or onnx")
    from cascadepose.hub import weights_info
    from cascadepose.onnx.runtime import on_onnxruntime

    return on_onnxruntime(model, weights_info(weights), next(model.parameters()).device, onnx_folder)


def load_lifter(
    name_or_path: str | Path, device: str | None = None, flip_test: bool = True
) -> tuple[nn.Module, dict[str, Any]]:
    """A trained lifter, and what a result that it made says of it. Arguments and errors as for `load`."""
    from cascadepose.hub import load_model, weights_info

    model = load_model(name_or_path, device=pick_device(device))
    if not hasattr(model, "input_skeleton"):
        raise InputError(f"{name_or_path}: holds no lifter; use {LIFTER_WEIGHTS}, or None for 2D only")
    return model, _facts(weights_info(name_or_path)) | {"flip_test": flip_test}


def _facts(info: Any) -> dict[str, Any]:
    """What a result says of the weights it was made with."""
    return {"name": info.name, "sha256": info.sha256, "licence": info.licence, "version": info.info.get("version", "")}
