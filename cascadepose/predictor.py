"""Frames in, 2D poses in their pixels out: everything between uint8 pictures and PRTR's normalised answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from cascadepose.boxes import cxcywh_to_xyxy, mirrored, xyxy_to_cxcywh
from cascadepose.errors import InputError
from cascadepose.models.image_batch import ImageBatch
from cascadepose.models.mirrored import mean_of_joints, read_both_sides
from cascadepose.models.prtr import PRTR
from cascadepose.models.second_look import agreed, best_of, boxes_in_image, mean_of_boxes
from cascadepose.skeletons import Skeleton
from cascadepose.types import Poses2D

_CROPS_AT_ONCE = 32, 256  # on a CPU and on a GPU: what a crowd takes of memory must not grow with it


@dataclass(frozen=True)
class _View:
    """What a look sees: the images, what the detector answered of them, and how much of them around a box."""

    batch: ImageBatch
    detections: dict
    enlarge: float


class PosePredictor:
    """Runs PRTR over batches of frames.

    threshold: score from which a person is believed; None takes the model's own. A model that looks again may look at
        weaker ones (`look_threshold`), and may think better of them.
    flip_test: average with the answer for the mirrored person (twice the work of the keypoint stage). A model that
        suppresses duplicates finds people in the mirrored frame, too (twice the detector's work).
    looks: how often a model that looks again does so: each time at the boxes of the time before, from which duplicates
        and doubtful ones have been taken; only the last look is flip-tested.
    timings: seconds spent so far in "detect" and "keypoints", those of several threads added up.
    Raises InputError for fewer than one look.
    """

    def __init__(
        self,
        prtr: PRTR,
        device: str | torch.device = "cpu",
        threshold: float | None = None,
        flip_test: bool = False,
        looks: int = 1,
    ):
        if looks < 1:
            raise InputError(f"{looks} looks find nobody's joints; give 1 or more")
        self.prtr = prtr.to(device).eval()
        self.device = torch.device(device)
        self.threshold = prtr.threshold if threshold is None else threshold
        self.flip_test, self.looks = flip_test, looks
        self.timings = {"detect": 0.0, "keypoints": 0.0}
        self._counting = Lock()

    @torch.inference_mode()
    def predict(
        self,
        frames: Sequence[np.ndarray],
        boxes_xyxy: Sequence[np.ndarray] | None = None,
        detect_every: int = 1,
    ) -> list[Poses2D]:
        """uint8 RGB frames [H, W, 3] of any sizes -> the people in each, in its pixels.

        boxes_xyxy: [P, 4] for each frame, people to look at instead of the detector's; their box scores are 1.
        detect_every: of frames that follow each other closely, the detector sees the middle one of so many. A model
            that looks again corrects its boxes in each frame for itself; for any other it sees every frame.

        Raises InputError for a frame that is not uint8 [H, W, 3], and for detect_every below 1.
        """
        _check(frames)
        if detect_every < 1:
            raise InputError(f"detect_every {detect_every}: the detector has to see some frames; give 1 or more")
        if not frames:
            return []
        started = perf_counter()
        batch = _as_batch(frames).to(self.device)
        detections: dict = {}
        again = boxes_xyxy is None and self.prtr.looks_again
        shared = detect_every if again and self.prtr.crop == "image" and batch.is_uniform else 1
        if boxes_xyxy is None or self.prtr.crop == "features":
            detections = self._detect(batch.every(shared))
        if boxes_xyxy is None:
            people = self.prtr.select_people(detections, self.prtr.looks_from(self.threshold))
            boxes, box_scores, index = people if shared == 1 else _in_neighbours(*people, shared, len(batch))
        else:
            boxes, index = self._given_boxes(boxes_xyxy, batch)
            box_scores = boxes.new_ones(len(boxes))
        self._synchronize()
        detected = perf_counter()
        people = {"boxes": boxes, "box_scores": box_scores, "index": index}
        looks = self.looks if again else 1
        for further in reversed(range(looks)):
            reliable = boxes_xyxy is not None or further < looks - 1
            view = _View(batch, detections, self.prtr.close_enlarge if reliable else self.prtr.enlarge)
            people |= self._joints(view, people["boxes"], people["index"], self.flip_test and not further)
            if again:
                people = self._corrected(people, last=not further)
        poses = _per_frame(batch, people, self.prtr.skeleton)
        with self._counting:
            self.timings["detect"] += detected - started
            self.timings["keypoints"] += perf_counter() - detected
        return poses

    def _detect(self, batch: ImageBatch) -> dict:
        """The detector's outputs; with the flip test those for the mirrored frames as well, as further queries."""
        plain = self.prtr.detect(batch)
        if not self.flip_test or self.prtr.crop == "features" or self.prtr.nms_iou is None:
            return plain
        other = self.prtr.detect(_mirrored(batch))
        found = {"pred_boxes": mirrored(other["pred_boxes"]), "pred_logits": other["pred_logits"]}
        return plain | {name: torch.cat([plain[name], value], dim=1) for name, value in found.items()}

    def _corrected(self, people: dict[str, Tensor], last: bool) -> dict[str, Tensor]:
        """Those who are worth another look, or after the last one those of whom both stages are convinced, in the boxes
        of the second.
        """
        boxes, scores = people.pop("refined_boxes"), agreed(people["box_scores"], people.pop("box_quality"))
        threshold = self.threshold if last else self.prtr.looks_from(self.threshold)
        kept = best_of(boxes, scores, people["index"], threshold, self.prtr.nms_iou)
        corrected = {"boxes": boxes, "box_scores": scores} if last else {"boxes": boxes}
        return {name: value[kept] for name, value in (people | corrected).items()}

    def _joints(self, view: _View, boxes: Tensor, index: Tensor, flip_test: bool) -> dict[str, Tensor]:
        """`keypoints` [N, K, 2] and `sigma` [N, K, 2] relative to the images, `scores` [N, K]; `refined_boxes` [N, 4]
        and `box_quality` [N] of a model that looks again.
        """
        if self.prtr.crop == "features":
            read = self._of_flipped_images if flip_test and len(boxes) else self._of_crops
            return read(view, boxes, index)
        read = self._of_flipped_crops if flip_test else self._of_crops
        most = _CROPS_AT_ONCE[self.device.type != "cpu"]
        answers = [read(view, *part) for part in zip(boxes.split(most), index.split(most), strict=True)]
        return {name: torch.cat([answer[name] for answer in answers]) for name in answers[0]}

    def _of_crops(self, view: _View, boxes: Tensor, index: Tensor) -> dict[str, Tensor]:
        out = self.prtr(view.batch, boxes, index, detections=view.detections, enlarge=view.enlarge)
        return _named(self.prtr.read_joints(out)) | _second_look(out)

    def _of_flipped_crops(self, view: _View, boxes: Tensor, index: Tensor) -> dict[str, Tensor]:
        crops, regions = self.prtr.crop_people(view.batch, boxes, index, view.detections, view.enlarge)
        answer = self.prtr.keypoints(torch.cat([crops, crops.flip(-1)]))
        halves = {key: value.chunk(2) for key, value in answer.items() if isinstance(value, Tensor)}
        out, other = ({key: half[side] for key, half in halves.items()} for side in (0, 1))
        points, scores, sigma = read_both_sides(self.prtr.keypoints, out, other, self.prtr.skeleton.flip_index)
        points, sigma = self.prtr.in_image(points, sigma, regions)
        found = _named((points, scores, sigma))
        if self.prtr.looks_again:
            found["refined_boxes"], found["box_quality"] = boxes_in_image(mean_of_boxes(out, other), regions)
        return found

    def _of_flipped_images(self, view: _View, boxes: Tensor, index: Tensor) -> dict[str, Tensor]:
        out = self.prtr(view.batch, boxes, index, detections=view.detections, enlarge=view.enlarge)
        turned = self.prtr(_mirrored(view.batch), mirrored(boxes), index, enlarge=view.enlarge)
        other = self.prtr.read_joints(turned)
        joints = mean_of_joints(self.prtr.read_joints(out), other, self.prtr.skeleton.flip_index)
        return _named(joints) | _second_look(out)

    def _given_boxes(self, boxes_xyxy: Sequence[np.ndarray], batch: ImageBatch) -> tuple[Tensor, Tensor]:
        counts = torch.tensor([len(boxes) for boxes in boxes_xyxy])
        index = torch.arange(len(batch)).repeat_interleave(counts).to(self.device)
        joined = np.concatenate([np.asarray(boxes, np.float32).reshape(-1, 4) for boxes in boxes_xyxy])
        boxes = torch.from_numpy(joined).to(self.device)
        width_height = batch.size_tensor.flip(-1)[index].repeat(1, 2)
        return xyxy_to_cxcywh(boxes / width_height), index

    def _synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def _check(frames: Sequence[np.ndarray]) -> None:
    for number, frame in enumerate(frames):
        if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            shape = getattr(frame, "shape", type(frame).__name__)
            raise InputError(f"frame {number} of the batch is {shape}: give uint8 RGB arrays [H, W, 3]")


def _as_batch(frames: Sequence[np.ndarray]) -> ImageBatch:
    """Frames as they are decoded, bytes with their channels last: few of their pixels are ever needed as floats."""
    if len({frame.shape for frame in frames}) == 1:
        return ImageBatch(torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2), (frames[0].shape[:2],) * len(frames))
    return ImageBatch.from_list([torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1) for frame in frames])


def _in_neighbours(
    boxes: Tensor, scores: Tensor, index: Tensor, shared: int, count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """People of the middle of every `shared` frames -> the same boxes in each of these, of `count` frames in all."""
    frames = index[:, None] * shared + torch.arange(shared, device=index.device)
    there = frames < count
    return boxes[:, None].expand(-1, shared, -1)[there], scores[:, None].expand_as(frames)[there], frames[there]


def _named(joints: tuple[Tensor, Tensor, Tensor]) -> dict[str, Tensor]:
    return dict(zip(("keypoints", "scores", "sigma"), joints, strict=True))


def _second_look(out: dict) -> dict[str, Tensor]:
    return {name: out[name] for name in ("refined_boxes", "box_quality") if name in out}


def _mirrored(batch: ImageBatch) -> ImageBatch:
    images = zip(batch.images, batch.sizes, strict=True)
    return ImageBatch.from_list([image[..., :w].flip(-1)[:, :h] for image, (h, w) in images])


def _per_frame(batch: ImageBatch, people: dict[str, Tensor], skeleton: Skeleton) -> list[Poses2D]:
    """Normalised answers of all people -> one record a frame, in pixels; one copy to the host."""
    boxes, index, keypoints = people["boxes"], people["index"], people["keypoints"]
    width_height = batch.size_tensor.flip(-1)[index].to(boxes.dtype)
    joints = keypoints.shape[1]
    rows = torch.cat(
        [
            cxcywh_to_xyxy(boxes) * width_height.repeat(1, 2),
            people["box_scores"][:, None],
            (keypoints * width_height[:, None]).flatten(1),
            people["scores"],
            (people["sigma"] * width_height[:, None]).flatten(1),
        ],
        dim=1,
    )
    rows, index = rows.cpu().numpy(), index.cpu().numpy()
    box, score, points, point_scores, spread = np.split(rows, np.cumsum([4, 1, 2 * joints, joints]), axis=1)
    return [
        Poses2D(
            keypoints=points[index == number].reshape(-1, joints, 2),
            scores=point_scores[index == number],
            sigma=spread[index == number].reshape(-1, joints, 2),
            boxes_xyxy=box[index == number],
            box_scores=score[index == number, 0],
            skeleton=skeleton,
        )
        for number in range(len(batch))
    ]
