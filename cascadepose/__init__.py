"""Multi-person 2D and 3D human pose from images and video with one cascade of transformers.

pose = cascadepose.load()
result = pose("video.mp4")
result.save("out")
result.overlay("out/overlay.mp4")

Nothing heavy is imported until a name is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOMES = {
    "Camera": "types",
    "Detections": "types",
    "Poses2D": "types",
    "Poses3D": "types",
    "Track": "types",
    "VideoResult": "types",
    "COCO17": "skeletons",
    "H36M17": "skeletons",
    "Skeleton": "skeletons",
    "InputError": "errors",
    "Pipeline": "pipeline",
    "load": "loading",
    "export_onnx": "onnx",
    "lift_file": "lift",
    "WeightsInfo": "hub",
    "list_models": "hub",
    "load_model": "hub",
    "save_model": "hub",
    "PosePredictor": "predictor",
}

__all__ = [
    "COCO17",
    "H36M17",
    "Camera",
    "Detections",
    "InputError",
    "Pipeline",
    "PosePredictor",
    "Poses2D",
    "Poses3D",
    "Skeleton",
    "Track",
    "VideoResult",
    "WeightsInfo",
    "__version__",
    "export_onnx",
    "lift_file",
    "list_models",
    "load",
    "load_model",
    "save_model",
]

if TYPE_CHECKING:
    from cascadepose.errors import InputError
    from cascadepose.hub import WeightsInfo, list_models, load_model, save_model
    from cascadepose.lift import lift_file
    from cascadepose.onnx import export_onnx
    from cascadepose.pipeline import Pipeline
    from cascadepose.predictor import PosePredictor
    from cascadepose.skeletons import COCO17, H36M17, Skeleton
    from cascadepose.types import Camera, Detections, Poses2D, Poses3D, Track, VideoResult


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
