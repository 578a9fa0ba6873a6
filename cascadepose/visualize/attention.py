"""Where the queries of PRTR look in an image: attention of both stages brought to the pixels of the image.

    found = look_inside(prtr, image)
    found.people[0].joints[-1][COCO17.index("left_wrist")].heat    # last decoder layer, cross-attention of one joint

The pictures of it are drawn by `attention_plots`; the attention of lifters is in `lifter_attention`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from cascadepose.boxes import cxcywh_to_xyxy
from cascadepose.errors import InputError
from cascadepose.models.image_batch import ImageBatch
from cascadepose.models.prtr import PRTR
from cascadepose.models.readout import assign_queries
from cascadepose.models.recording import Attended, Calls, Sampled, record_attention
from cascadepose.skeletons import COCO17, Skeleton


@dataclass(frozen=True)
class Gaze:
    """Where one query looked, as weights that sum to one.

    region_xyxy: [4] px, the part of the image that it could see. Full attention gives heat [h, w], whose cells fill the
    region; deformable attention gives places [N, 2] px with weights [N].
    """

    region_xyxy: np.ndarray
    heat: np.ndarray | None = None
    places: np.ndarray | None = None
    weights: np.ndarray | None = None


@dataclass(frozen=True)
class PersonAttention:
    """One person: what was found, and where each query looked for it.

    box_xyxy [4] px, box_score; region_xyxy [4] px of the crop; keypoints [K, 2] px, scores [K].
    detector: cross-attention of the person's query, one gaze a decoder layer of the person detector.
    joints: cross-attention of the joints' queries, `joints[layer][joint]`, of the keypoint stage's decoder.
    surroundings: the same of the self-attention in its encoder, for the cell that each joint lies in.
    heatmaps: the distribution that each joint is read from; None for a readout without heat maps.
    """

    box_xyxy: np.ndarray
    box_score: float
    region_xyxy: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray
    detector: list[Gaze]
    joints: list[list[Gaze]]
    surroundings: list[list[Gaze]]
    heatmaps: list[Gaze] | None


@dataclass(frozen=True)
class ImageAttention:
    """What `look_inside` found in one image.

    image uint8 [H, W, 3] RGB; point (x, y) px; scene: self-attention of the detector's encoder for the cell of `point`,
    one gaze a layer.
    """

    image: np.ndarray
    point: tuple[float, float]
    scene: list[Gaze]
    people: list[PersonAttention]
    skeleton: Skeleton = COCO17


@torch.inference_mode()
def look_inside(
    prtr: PRTR,
    image: np.ndarray,
    threshold: float | None = None,
    max_people: int = 3,
    point: tuple[float, float] | None = None,
    head: int | None = None,
) -> ImageAttention:
    """Run a PRTR of either form over one image and bring its attention to the pixels of the image.

    image: uint8 [H, W, 3] RGB. threshold: box score at which a person is believed (None: the model's own); the
    `max_people` best are looked at. point: (x, y) px whose self-attention in the detector is shown (None: the middle of
    the best person, or of the image). head: from 0; None averages over all heads.

    Cells of feature maps are taken to fill the image, or the crop, evenly, as the networks do themselves. Raises
    InputError for a point outside of the image and a head that is not there.
    """
    device = next(prtr.parameters()).device
    pixels = torch.from_numpy(np.ascontiguousarray(image)).to(device).permute(2, 0, 1).float() / 255
    with record_attention(prtr) as calls, _token_shapes(prtr.detector, _keypoint_stage(prtr)) as shapes:
        out = prtr.eval()(ImageBatch.from_list([pixels]), threshold=threshold)
    view = _View(prtr, out, calls, shapes, torch.tensor(image.shape[1::-1], device=device), head)
    best = out["people_scores"].argsort(descending=True)[:max_people].tolist()
    people = [view.person(number) for number in best]
    point = _point(point, people, view.whole)
    return ImageAttention(image, point, view.scene(point), people, prtr.skeleton)


class _View:
    """One image's answers and recorded calls, as gazes."""

    def __init__(
        self, prtr: PRTR, out: dict, calls: Calls, shapes: list[tuple[int, int]], size: Tensor, head: int | None
    ) -> None:
        self._prtr, self._stage, self._out, self._calls, self._head = prtr, _keypoint_stage(prtr), out, calls, head
        self._image_shape, self._crop_shape = shapes
        self._size = size
        self.whole = np.array([0.0, 0.0, *size.tolist()])

    def scene(self, point: tuple[float, float]) -> list[Gaze]:
        """Self-attention of the detector's encoder for the cell of a point (x, y) px, layer by layer."""
        shape = self._image_shape
        spots = [_cell(np.array(point), self.whole, shape)]
        return [gazes[0] for gazes in self._layers("detector", "encoder", 0, spots, self.whole, shape)]

    def person(self, number: int) -> PersonAttention:
        """Everything about one of the people in the keypoint stage."""
        out, shape = self._out, self._crop_shape
        keypoints, scores, _ = self._prtr.read_joints(out)
        keypoints = (keypoints[number] * self._size).double().cpu().numpy()
        box, region = (self._pixels(out[name][number]) for name in ("people_boxes", "crop_regions"))
        cells = _cells_region(region, self._prtr)
        query = int((out["pred_boxes"][0] - out["people_boxes"][number]).abs().sum(-1).argmin())
        joints = self._joint_queries(number)
        spots = [_cell(joint, cells, shape) for joint in keypoints]
        found = self._layers("detector", "decoder", 0, [query], self.whole, self._image_shape)
        return PersonAttention(
            box_xyxy=box,
            box_score=float(out["people_scores"][number]),
            region_xyxy=region,
            keypoints=keypoints,
            scores=scores[number].cpu().numpy(),
            detector=[gazes[0] for gazes in found],
            joints=self._layers("keypoints", "decoder", number, joints, cells, shape),
            surroundings=self._layers("keypoints", "encoder", number, spots, cells, shape),
            heatmaps=self._heatmaps(number, joints, cells),
        )

    def _pixels(self, cxcywh: Tensor) -> np.ndarray:
        return (cxcywh_to_xyxy(cxcywh) * self._size.repeat(2)).double().cpu().numpy()

    def _joint_queries(self, number: int) -> list[int]:
        logits = self._out["pred_kpt_logits"][number : number + 1]
        if self._stage.matching == "ordered":
            return list(range(logits.shape[1]))
        return assign_queries(logits)[0][0].tolist()

    def _heatmaps(self, number: int, queries: list[int], region: np.ndarray) -> list[Gaze] | None:
        """What soft-argmax takes the expectation of."""
        if "pred_heatmaps" not in self._out["crop_outputs"]:
            return None
        logits = self._out["crop_outputs"]["pred_heatmaps"][number, queries] * self._stage.heatmap.sharpness
        heat = logits.flatten(-2).softmax(-1).unflatten(-1, logits.shape[-2:]).cpu().numpy()
        return [Gaze(region, heat=part) for part in heat]

    def _layers(
        self, stage: str, part: str, item: int, queries: list[int], region: np.ndarray, shape: tuple[int, int]
    ) -> list[list[Gaze]]:
        """Gazes of some queries in every layer of a part: "encoder" self-attention, "decoder" cross-attention."""
        chosen = [
            calls[-1]
            for name, calls in self._calls.items()
            if name.startswith(f"{stage}.")
            and f".{part}.layers." in name
            and name.endswith(".self_attn") == (part == "encoder")
        ]
        return [self._gazes(call, item, queries, region, shape) for call in chosen]

    def _gazes(
        self, call: Attended | Sampled, item: int, queries: list[int], region: np.ndarray, shape: tuple[int, int]
    ) -> list[Gaze]:
        if isinstance(call, Sampled):
            corner, size = region[:2], region[2:] - region[:2]
            places, weights = (self._heads(x[item, queries], 1).cpu() for x in (call.places, call.weights))
            weights = weights.flatten(1) / weights.shape[1]
            places = places.flatten(1, -2).numpy() * size + corner
            return [Gaze(region, places=a, weights=b) for a, b in zip(places, weights.numpy(), strict=True)]
        weights = self._heads(call.weights(queries)[item], 0).mean(0)
        return [Gaze(region, heat=heat) for heat in weights.unflatten(-1, shape).cpu().numpy()]

    def _heads(self, x: Tensor, axis: int) -> Tensor:
        if self._head is None:
            return x
        if not 0 <= self._head < x.shape[axis]:
            raise InputError(f"head {self._head + 1} is not there; this layer has {x.shape[axis]}")
        return x.narrow(axis, self._head, 1)


@contextmanager
def _token_shapes(*stages: nn.Module) -> Iterator[list[tuple[int, int]]]:
    """(height, width) in cells of what enters each transformer while the block runs; of the first of several maps."""
    shapes = [(0, 0)] * len(stages)

    def keep(index: int, module: nn.Module, inputs: tuple, output: Tensor) -> None:
        shapes[index] = tuple(output.shape[-2:])

    entries = [stage.input_proj for stage in stages]
    entries = [entry if isinstance(entry, nn.Conv2d) else entry[0] for entry in entries]
    handles = [entry.register_forward_hook(partial(keep, index)) for index, entry in enumerate(entries)]
    try:
        yield shapes
    finally:
        for handle in handles:
            handle.remove()


def _keypoint_stage(prtr: PRTR) -> nn.Module:
    return prtr.keypoints if prtr.crop == "features" else prtr.keypoints.transformer


def _cells_region(region: np.ndarray, prtr: PRTR) -> np.ndarray:
    """The rectangle that the cells of a crop fill; samples at both ends of a region reach half a cell beyond it."""
    if prtr.crop == "image" or prtr.alignment != "corners":
        return region
    count = np.array(prtr.crop_size[::-1])
    half = (region[2:] - region[:2]) / np.maximum(count - 1, 1) / 2
    return np.concatenate([region[:2] - half, region[2:] + half])


def _cell(point: np.ndarray, region: np.ndarray, shape: tuple[int, int]) -> int:
    """Index of the token whose cell holds a point (x, y) px; the nearest one for a point outside."""
    height, width = shape
    column, row = (point - region[:2]) / (region[2:] - region[:2]) * (width, height)
    return int(np.clip(row, 0, height - 1)) * width + int(np.clip(column, 0, width - 1))


def _point(point: tuple[float, float] | None, people: list[PersonAttention], whole: np.ndarray) -> tuple[float, float]:
    if point is None:
        box = np.clip(people[0].box_xyxy, 0, np.tile(whole[2:], 2)) if people else whole
        return float(box[[0, 2]].mean()), float(box[[1, 3]].mean())
    if not (0 <= point[0] < whole[2] and 0 <= point[1] < whole[3]):
        raise InputError(f"point {point[0]:g} {point[1]:g} is outside of the image ({whole[2]:.0f}x{whole[3]:.0f})")
    return point
