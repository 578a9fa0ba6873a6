"""Run a predictor over a COCO set and score it: batched, decoded ahead by a few threads, nothing lost half-way."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from cascadepose.data.detections import read_detections
from cascadepose.data.images import read_image
from cascadepose.errors import InputError
from cascadepose.evaluation.coco import (
    Joints,
    Rank,
    box_results,
    chosen_joints,
    evaluate_boxes,
    evaluate_keypoints,
    keypoint_results,
    load_ground_truth,
)
from cascadepose.evaluation.oks import needed_sigmas
from cascadepose.files import atomic_path, make_folder
from cascadepose.parallel import map_ahead
from cascadepose.skeletons import COCO17, Skeleton
from cascadepose.types import Detections, Poses2D

SAVE_EVERY = 60.0  # seconds between writes of the partial results
_RANKS = {"joints": "mean score of the joints over 0.2", "oks": "fifth root of the expected OKS"}


class Predictor(Protocol):
    """What is evaluated: frames uint8 RGB [H,W,3] (and boxes [P,4] xyxy px for each) in, poses in pixels out."""

    def predict(self, frames: list[np.ndarray], boxes_xyxy: list[np.ndarray] | None = None) -> list[Poses2D]: ...


@dataclass
class _Collected:
    """Results so far."""

    image_ids: list[int] = field(default_factory=list)
    keypoints: list[dict] = field(default_factory=list)
    bbox: list[dict] = field(default_factory=list)


def run_coco(
    predictor: Predictor,
    images_dir: str | Path,
    annotations: str | Path | dict,
    boxes: Literal["gt", "detector"] | Mapping[int, Detections] = "gt",
    batch_size: int = 16,
    progress: bool = False,
    image_ids: Iterable[int] | None = None,
    joints: Joints = "all",
    nms_threshold: float | None = None,
    partial: str | Path | None = None,
    protocol: dict[str, Any] | None = None,
    skeleton: Skeleton = COCO17,
    workers: int = 1,
    rank: Rank = "joints",
) -> dict[str, dict]:
    """Evaluate a predictor on a COCO set: {"keypoints": ten numbers, "bbox": twelve numbers, "protocol": how}.

    boxes: "gt": the annotated boxes of people with labelled joints, crowds left out ("bbox" is empty then),
        "detector": the predictor's own; or the boxes of another detector by image id, see `data.detections`.
    image_ids: only these images. joints: see `evaluate_keypoints`; nms_threshold, rank: see `keypoint_results`.
    partial: where results are kept while it runs, and stay if it fails or is interrupted; removed at the end.
    protocol: further facts to write down (weights, flip test). skeleton: of the annotations and the predictor.
    workers: batches at the same time, see `parallel.map_ahead`; progress: a bar.

    Raises InputError: flaws in the annotations, images that are missing (the first few are named) or unreadable.
    """
    if not isinstance(boxes, Mapping) and boxes not in ("gt", "detector"):
        raise InputError(f"boxes is {boxes!r}, expected 'gt' or 'detector', or detections by image id")
    if partial is not None:
        make_folder(Path(partial).parent)  # known to be writable before the work is done
    needed_sigmas(skeleton)
    truth = load_ground_truth(annotations, skeleton)
    wanted = {image["id"] for image in truth["images"]} if image_ids is None else set(image_ids)
    given = _given_boxes(truth) if boxes == "gt" else None
    if isinstance(boxes, Mapping):
        given = _inside(truth, boxes)
    images = [i for i in truth["images"] if i["id"] in wanted and (given is None or i["id"] in given)]
    paths = {image["id"]: Path(images_dir) / image["file_name"] for image in images}
    _check_present(paths)
    collected, started = _Collected(), time.perf_counter()

    def as_results(image_id: int, people: Poses2D) -> list[dict]:
        return keypoint_results(image_id, people, nms_threshold=nms_threshold, rank=rank)

    try:
        _collect(predictor, images, paths, given, batch_size, progress, as_results, collected, partial, workers)
    except BaseException as error:
        if partial is None or not collected.image_ids:
            raise
        _save_partial(partial, collected, f"{type(error).__name__}: {error}")
        if isinstance(error, InputError):
            raise InputError(f"{error}; results of {len(collected.image_ids)} images are kept in {partial}") from None
        raise
    facts = {
        "annotations": "" if isinstance(annotations, dict) else Path(annotations).name,
        "boxes": boxes if isinstance(boxes, str) else f"of a file ({sum(map(len, given.values()))} boxes)",
        "images": len(wanted),
        "images_with_people_labelled": len(_given_boxes(truth).keys() & wanted),
        "joints": len(chosen_joints(truth, joints, skeleton)),
        "score": f"box score x {_RANKS[rank]}",
        "oks_nms": nms_threshold,
        "max_people_an_image": 20,
        "evaluator": f"pycocotools {version('pycocotools')}",
        "seconds": round(time.perf_counter() - started, 1),
    }
    report = {
        "keypoints": evaluate_keypoints(truth, collected.keypoints, wanted, joints, skeleton),
        "bbox": {} if boxes == "gt" else evaluate_boxes(truth, collected.bbox, wanted),
        "protocol": facts | (protocol or {}),
    }
    if partial is not None:
        Path(partial).unlink(missing_ok=True)
    return report


def choose_boxes(boxes: str, threshold: float | None) -> tuple[str | dict[int, Detections], float | None]:
    """What `run_coco` takes for "gt", "detector" or the name of a file of COCO box results, and the lowest box score:
    as given, else 0.05 for the model's own boxes, 0 for a file's, None for annotated ones. Raises InputError."""
    if boxes == "gt":
        return boxes, None
    if boxes == "detector":
        return boxes, 0.05 if threshold is None else threshold
    return read_detections(boxes, threshold or 0.0), threshold or 0.0


def _given_boxes(truth: dict) -> dict[int, Detections]:
    """Boxes inside the image of the people whose joints are labelled, by image."""
    found: dict[int, list] = {}
    for entry in truth["annotations"]:
        if not entry["iscrowd"] and entry["num_keypoints"]:
            x, y, w, h = entry["bbox"]
            found.setdefault(entry["image_id"], []).append((x, y, x + w, y + h))
    return _inside(truth, {image: Detections(rows, np.ones(len(rows))) for image, rows in found.items()})


def _inside(truth: dict, boxes: Mapping[int, Detections]) -> dict[int, Detections]:
    """The boxes cut to their images; images that are not listed, and empty boxes, are left out."""
    cut = {}
    for image in truth["images"]:
        found = boxes.get(image["id"])
        if found is None:
            continue
        limit = np.array([image.get("width", np.inf), image.get("height", np.inf)] * 2)
        inside = found.boxes_xyxy.clip(0, limit)
        kept = (inside[:, 2:] > inside[:, :2]).all(1)
        if kept.any():
            cut[image["id"]] = Detections(inside[kept], found.scores[kept])
    return cut


def _check_present(paths: dict[int, Path]) -> None:
    if not paths:
        raise InputError("no image has people with labelled joints; nothing to evaluate")
    missing = [path for path in paths.values() if not path.is_file()]
    if missing:
        names = ", ".join(path.name for path in missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise InputError(
            f"{missing[0].parent}: {len(missing)} of {len(paths)} images are missing ({names}); check the images folder"
        )


def _collect(
    predictor: Predictor,
    images: list[dict],
    paths: dict[int, Path],
    given: dict[int, Detections] | None,
    batch_size: int,
    progress: bool,
    as_results: Callable[[int, Poses2D], list[dict]],
    collected: _Collected,
    partial: str | Path | None,
    workers: int,
) -> None:
    """Fill `collected`, batch by batch; images of similar shape share a batch, so that little of it is padding."""
    from tqdm import tqdm

    images = sorted(images, key=lambda image: (image.get("height", 0) / image.get("width", 1), image["id"]))
    batches = [images[start : start + batch_size] for start in range(0, len(images), batch_size)]
    saved = time.monotonic()

    def predict(batch: tuple[list[int], list[np.ndarray]]) -> list[Poses2D]:
        ids, frames = batch
        return predictor.predict(frames, None if given is None else [given[i].boxes_xyxy for i in ids])

    with tqdm(total=len(images), unit="image", disable=not progress) as bar:
        for (ids, _), poses in map_ahead(predict, _decoded(batches, paths), workers):
            if given is not None:
                poses = [replace(people, box_scores=given[i].scores) for i, people in zip(ids, poses, strict=True)]
            for image_id, people in zip(ids, poses, strict=True):
                collected.keypoints += as_results(image_id, people)
                collected.bbox += box_results(image_id, people)
            collected.image_ids += ids
            bar.update(len(ids))
            if partial is not None and time.monotonic() - saved > SAVE_EVERY:
                _save_partial(partial, collected, "still running")
                saved = time.monotonic()


def _decoded(batches: list[list[dict]], paths: dict[int, Path]) -> Iterator[tuple[list[int], list[np.ndarray]]]:
    """Batches of frames in order, decoded by threads at most two batches ahead."""
    pool, waiting = ThreadPoolExecutor(3), deque()
    try:
        for batch in [*batches, None, None]:
            if batch is not None:
                waiting.append((batch, [pool.submit(_decode, image, paths[image["id"]]) for image in batch]))
            if len(waiting) > 2 or (batch is None and waiting):
                done, frames = waiting.popleft()
                yield [image["id"] for image in done], [frame.result() for frame in frames]
    finally:
        pool.shutdown(cancel_futures=True)


def _decode(image: dict, path: Path) -> np.ndarray:
    frame = read_image(path)
    height, width = frame.shape[:2]
    if (image.get("width", width), image.get("height", height)) != (width, height):
        raise InputError(
            f"{path}: is {width}x{height}, but the annotations are for {image['width']}x{image['height']}; use the "
            "images that were annotated"
        )
    return frame


def _save_partial(path: str | Path, collected: _Collected, reason: str) -> None:
    content = {"incomplete": reason, "image_ids": collected.image_ids}
    content |= {"results": {"keypoints": collected.keypoints, "bbox": collected.bbox}}
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content), "utf-8")
