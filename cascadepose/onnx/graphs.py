"""What is exported: each stage as a module from plain tensors to plain tensors, with examples to trace and check it.

Shapes are asked of tensors where they may vary, never of Python: a number would become a constant of the graph.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from cascadepose.errors import InputError
from cascadepose.models.cascade import CascadePose
from cascadepose.models.detector import PersonDetector
from cascadepose.models.image_batch import ImageBatch
from cascadepose.models.keypoints import KeypointEstimator
from cascadepose.models.prtr import PRTR

_SIDE = 480  # longer side of example pictures where the model does not say
PERSON_BOX = "pred_person_boxes", "pred_person_quality"
_FEW, _MANY = 1, 5  # batches that a graph is checked with


@dataclass(frozen=True)
class Graph:
    """One stage, ready to be traced.

    example: inputs by name; checks: others of other sizes; outputs: names; axes: for each name the axes whose length
    may vary. tolerance: how far onnxruntime may be from torch, in the units of the outputs.
    """

    stage: str
    module: nn.Module
    example: dict[str, Tensor]
    checks: list[dict[str, Tensor]]
    outputs: tuple[str, ...]
    axes: dict[str, dict[int, str]]
    tolerance: float = 1e-3
    facts: dict[str, str] = field(default_factory=dict)


def stages_of(model: nn.Module) -> tuple[str, ...]:
    """The stages that can be exported of a model. Raises InputError where there is none."""
    if isinstance(model, CascadePose):
        return ("detector", "keypoints", "cascade", "lifter")
    if isinstance(model, PRTR):
        return ("detector", "keypoints", "cascade")
    if isinstance(model, PersonDetector):
        return ("detector",)
    if isinstance(model, KeypointEstimator):
        return ("keypoints",)
    if hasattr(model, "input_skeleton"):
        return ("lifter",)
    raise InputError(f"a {type(model).__name__} is not exported: give a PRTR, one of its two stages, or a lifter")


def part_of(model: nn.Module, stage: str) -> nn.Module:
    """What a stage is made of: the model itself, or the part of a whole cascade."""
    if isinstance(model, CascadePose):
        return model.lifter if stage == "lifter" else model.prtr
    return model


class WholePictures(ImageBatch):
    """Pictures without padding whose number and size may vary in a graph."""

    is_uniform = True

    def __init__(self, images: Tensor):
        super().__init__(images, ())

    @property
    def mask(self) -> Tensor:
        """[B, H, W] bool, nothing is padding."""
        return torch.zeros_like(self.images[:, 0], dtype=torch.bool)

    @property
    def valid_ratio(self) -> Tensor:
        """[B, 2] of ones."""
        return torch.ones_like(self.images[:, 0, 0, :2])


class DetectorGraph(nn.Module):
    """images [B, 3, H, W] -> pred_logits [B, Q, 2], pred_boxes [B, Q, 4], then the maps of `levels`."""

    def __init__(self, detector: PersonDetector, levels: list[int]):
        super().__init__()
        self.detector, self.levels = detector, levels

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        out = self.detector(WholePictures(images))
        return out["pred_logits"], out["pred_boxes"], *(out["features"][i] for i in self.levels)


def map_levels(model: nn.Module) -> list[int]:
    """The detector's maps that crops are taken from."""
    return list(model.crop_levels) if isinstance(model, PRTR) and model.crop == "features" else []


def detector_graph(model: nn.Module) -> Graph:
    """Of a PRTR's detector, or one by itself."""
    detector = model.detector if isinstance(model, PRTR) else model
    trained = getattr(model, "detector_side", None)
    side = trained or _SIDE
    short = 3 * side // 4
    levels = map_levels(model)
    maps = {f"features_{i}": {0: "batch", 2: f"rows_{i}", 3: f"columns_{i}"} for i in range(len(levels))}
    return Graph(
        "detector",
        DetectorGraph(detector, levels),
        {"images": torch.rand(2, 3, short, side)},
        [{"images": torch.rand(_FEW, 3, side, 2 * short // 3 + 5)}, {"images": torch.rand(_MANY, 3, short, side)}],
        ("pred_logits", "pred_boxes", *maps),
        {
            "images": {0: "batch", 2: "height", 3: "width"},
            "pred_logits": {0: "batch"},
            "pred_boxes": {0: "batch"},
            **maps,
        },
        facts={
            "images": f"[batch, 3, height, width] RGB in 0..1, un-padded, longer side {trained or 'any'} px",
            "pred_logits": "[batch, queries, classes], the last is nobody; softmax gives scores",
            "pred_boxes": "[batch, queries, 4] cxcywh in 0..1 of the picture, not thinned out",
        },
    )


def reads_in_order(keypoints: nn.Module) -> bool:
    """Whether query j is joint j, so that joints and scores can be read in the graph."""
    transformer = keypoints.transformer if isinstance(keypoints, KeypointEstimator) else keypoints
    return transformer.matching == "ordered"


def has_part(keypoints: nn.Module, name: str) -> bool:
    """Whether a keypoint transformer was built with a part: "heatmap", "person_box"."""
    transformer = keypoints.transformer if isinstance(keypoints, KeypointEstimator) else keypoints
    return getattr(transformer, name, None) is not None


class KeypointGraph(nn.Module):
    """crops [N, C, h, w] -> pred_keypoints, pred_kpt_sigma [N, Q, 2], pred_kpt_logits [N, Q, K+1], then scores [N, K]
    where query j is joint j, then pred_heatmaps [N, K, h', w'] where it has them, then pred_person_boxes [N, 4] and
    pred_person_quality [N] where it looks for the person's box.
    """

    def __init__(self, keypoints: nn.Module):
        super().__init__()
        self.keypoints = keypoints

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        out = self.keypoints(crops)
        found = [out["pred_keypoints"], out["pred_kpt_sigma"], out["pred_kpt_logits"]]
        if reads_in_order(self.keypoints):
            found.append(self.keypoints.read_joints(out)[1])
            found += [out["pred_heatmaps"]] if "pred_heatmaps" in out else []
        return *found, *(out[name] for name in PERSON_BOX if name in out)


def keypoint_graph(model: nn.Module) -> Graph:
    """Of a PRTR's keypoint stage, or one by itself."""
    keypoints = model.keypoints if isinstance(model, PRTR) else model
    channels = 3
    if isinstance(model, PRTR) and model.crop == "features":
        channels = sum(model.detector.backbone.channels[i] for i in model.crop_levels)
    size = (channels, *model.crop_size)
    outputs = ["pred_keypoints", "pred_kpt_sigma", "pred_kpt_logits"]
    if reads_in_order(keypoints):
        outputs += ["scores"] + ["pred_heatmaps"] * has_part(keypoints, "heatmap")
    outputs += PERSON_BOX if has_part(keypoints, "person_box") else ()
    return Graph(
        "keypoints",
        KeypointGraph(keypoints),
        {"crops": torch.rand(2, *size)},
        [{"crops": torch.rand(count, *size)} for count in (_FEW, _MANY)],
        tuple(outputs),
        {name: {0: "people"} for name in ("crops", *outputs)},
        facts={
            "crops": f"[people, {', '.join(map(str, size))}] " + ("RGB in 0..1" if channels == 3 else "detector maps"),
            "pred_keypoints": "[people, queries, 2] x, y in 0..1 of the crop",
            "pred_kpt_sigma": "[people, queries, 2] standard deviations in the same unit",
            "pred_kpt_logits": "[people, queries, joints + 1], the last is no joint",
            "scores": "[people, joints] in 0..1; query j is joint j",
            "pred_heatmaps": "[people, joints, rows, columns] logits of where in the crop each joint is",
            "pred_person_boxes": "[people, 4] cxcywh in 0..1 of the crop: the person's box, better than the detector's",
            "pred_person_quality": "[people] logits of how good that box is",
        },
    )


def lifter_graph(lifter: nn.Module) -> Graph:
    """Of a lifter, with dynamic time where it takes windows of other lengths."""
    frames = lifter.num_frames
    longer, shorter = _other_lengths(lifter)
    dynamic = longer is not None or shorter is not None

    def window(batch: int, length: int) -> dict[str, Tensor]:
        joints = lifter.config["num_joints"]
        return {"x": torch.randn(batch, length, joints, lifter.in_channels).clamp(-1, 1)}

    lengths = [frames, *(length for length in (longer, shorter) if length)]
    axes = {0: "batch", 1: "frames"} if dynamic else {0: "batch"}
    answered = {0: "batch", 1: "frames_out"} if dynamic else {0: "batch"}
    return Graph(
        "lifter",
        lifter,
        window(2, longer or frames),
        [window(batch, length) for batch in (_FEW, _MANY) for length in lengths],
        ("joints",),
        {"x": axes, "joints": answered},
        facts={
            "x": f"[batch, {'frames' if dynamic else frames}, joints, channels] as `normalization` says",
            "joints": "[batch, frames, joints, 3] root-relative, x right, y down, z away; subtract joint 0",
        },
    )


def _other_lengths(lifter: nn.Module) -> tuple[int | None, int | None]:
    """A longer and a shorter window than usual that a lifter takes, None where it takes none."""
    frames = lifter.num_frames
    if "widths" in lifter.config:  # convolutions answer for every frame that has its window
        return frames + 4, None
    if lifter.frames_out == "all":
        return None, max(frames // 3, 1)
    return None, None
