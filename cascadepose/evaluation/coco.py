"""COCO evaluation with pycocotools: keypoint AP and person box AP, by name, from a file or a dictionary.

Ground truth is COCO JSON with the joints of any skeleton that has OKS sigmas, COCO-17 by default. A joint with
visibility 0 is not labelled and does not count, so a set that labels only some joints (12 of the 17 in Leeds Sports
Pose) is compared on these; `joints` restricts further.
A number of -1 means that the set has no such person (COCO's convention, e.g. APM without people of medium size).
"""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Iterable, Sequence
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cascadepose.errors import InputError
from cascadepose.evaluation.oks import expected_oks, needed_sigmas, oks_nms
from cascadepose.files import read_json
from cascadepose.skeletons import COCO17, Skeleton
from cascadepose.types import Poses2D

if TYPE_CHECKING:
    from pycocotools.coco import COCO

KEYPOINT_METRICS = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
BOX_METRICS = ("AP", "AP50", "AP75", "APS", "APM", "APL", "AR1", "AR10", "AR100", "ARS", "ARM", "ARL")

Joints = Sequence[str] | Literal["all", "labelled"]
Rank = Literal["joints", "oks"]
AREA_OF_BOX = 0.53  # about what people of COCO fill of their boxes


def evaluate_keypoints(
    ground_truth: str | Path | dict,
    results: list[dict],
    image_ids: Iterable[int] | None = None,
    joints: Joints = "all",
    skeleton: Skeleton = COCO17,
) -> dict[str, float]:
    """The ten numbers of COCO keypoint evaluation (`KEYPOINT_METRICS`): OKS 0.50:0.05:0.95, at most 20 people an image.

    results: dictionaries with image_id, category_id, keypoints (x, y, anything) x K, score; with a `bbox` in the first
        one, the area of a detection is its box's, else that of the extent of its joints (as pycocotools has it).
    image_ids: only these images. joints: only these ("labelled": those that some annotation labels).
    skeleton: of the K joints, its sigmas count.

    Raises InputError: unreadable or empty annotations, NaN anywhere, unknown images or joints, no sigmas.
    """
    sigmas = needed_sigmas(skeleton)
    truth = load_ground_truth(ground_truth, skeleton)
    chosen = chosen_joints(truth, joints, skeleton)
    results = _check_results(truth, results, ("keypoints", "score"), skeleton)
    results = [entry | {"keypoints": _pick(entry["keypoints"], chosen)} for entry in results]
    return _evaluate(_restrict(truth, chosen, skeleton), results, "keypoints", image_ids, sigmas[chosen])


def evaluate_boxes(
    ground_truth: str | Path | dict,
    results: list[dict],
    image_ids: Iterable[int] | None = None,
) -> dict[str, float]:
    """The twelve numbers of COCO box evaluation (`BOX_METRICS`), people only: IoU 0.50:0.05:0.95; 1, 10, 100 an image.

    results: dictionaries with image_id, category_id, bbox (xywh px), score. Joints that may be annotated, too, are not
    looked at. Raises InputError as for keypoints.
    """
    truth = load_ground_truth(ground_truth, None)
    return _evaluate(truth, _check_results(truth, results, ("bbox", "score")), "bbox", image_ids)


def load_ground_truth(source: str | Path | dict, skeleton: Skeleton | None = COCO17) -> dict:
    """Read and check COCO person annotations; what pycocotools needs and the file omits is filled in on a copy.

    skeleton: of the joints; None leaves them out.
    People only (the category "person", or the only one there is). Raises InputError naming the file and the flaw.
    """
    name, content = (
        ("annotations", source) if isinstance(source, dict) else (str(source), read_json(source, "annotation file"))
    )
    if not isinstance(content, dict) or not {"images", "annotations"} <= content.keys():
        raise InputError(f"{name}: no COCO annotations (a JSON object with images, annotations, categories)")
    person = _person_category(name, content.get("categories", []))
    images = {image["id"] for image in content["images"]}
    annotations = [
        _checked(name, number, entry, images, skeleton)
        for number, entry in enumerate(content["annotations"], 1)
        if entry.get("category_id", person) == person
    ]
    if not images or not annotations:
        raise InputError(f"{name}: holds {len(images)} images and {len(annotations)} people; nothing to evaluate")
    return {"images": content["images"], "annotations": annotations, "categories": [{"id": person, "name": "person"}]}


def chosen_joints(truth: dict, joints: Joints, skeleton: Skeleton = COCO17) -> list[int]:
    """Indices of the joints that count."""
    if joints == "all":
        return list(range(skeleton.num_joints))
    if joints == "labelled":
        labelled = np.array([entry["keypoints"][2::3] for entry in truth["annotations"]]) > 0
        return np.flatnonzero(labelled.any(0)).tolist()
    return sorted(skeleton.index(joint) for joint in joints)


def keypoint_results(
    image_id: int,
    poses: Poses2D,
    category_id: int = 1,
    min_joint_score: float = 0.2,
    nms_threshold: float | None = None,
    rank: Rank = "joints",
) -> list[dict[str, Any]]:
    """The people of one image as COCO keypoint results.

    rank: a person's score is the box score times, for "joints", the mean score of the joints above `min_joint_score`
        (0 if there are none), PRTR's and HRNet's rescoring; for "oks", the fifth root of the OKS that the spreads
        of the joints promise (`expected_oks`), for models that state them.
    nms_threshold: drop people whose OKS with a better one exceeds it (official: 0.9).
    """
    areas = (poses.boxes_xyxy[:, 2:] - poses.boxes_xyxy[:, :2]).prod(1)
    if rank == "oks":
        sigmas = needed_sigmas(poses.skeleton)
        scores = poses.box_scores * expected_oks(poses.scores, poses.sigma, areas * AREA_OF_BOX, sigmas) ** (1 / 5)
    else:
        confident = poses.scores > min_joint_score
        scores = poses.box_scores * (poses.scores * confident).sum(1) / np.maximum(confident.sum(1), 1)
    rows = range(len(poses))
    if nms_threshold is not None:
        areas = areas * 1.25**2
        rows = oks_nms(poses.keypoints, scores, areas, nms_threshold, needed_sigmas(poses.skeleton))
    triples = np.concatenate([poses.keypoints, poses.scores[..., None]], -1).reshape(
        len(poses), 3 * poses.skeleton.num_joints
    )
    return [
        {
            "image_id": image_id,
            "category_id": category_id,
            "keypoints": triples[row].tolist(),
            "score": float(scores[row]),
        }
        for row in rows
    ]


def box_results(image_id: int, poses: Poses2D, category_id: int = 1) -> list[dict[str, Any]]:
    """The boxes of one image as COCO box results (xywh px)."""
    boxes_xywh = np.concatenate([poses.boxes_xyxy[:, :2], poses.boxes_xyxy[:, 2:] - poses.boxes_xyxy[:, :2]], 1)
    return [
        {"image_id": image_id, "category_id": category_id, "bbox": box.tolist(), "score": float(score)}
        for box, score in zip(boxes_xywh, poses.box_scores, strict=True)
    ]


def _person_category(name: str, categories: list[dict]) -> int:
    people = [category for category in categories if category.get("name") == "person"] or categories
    if len(people) > 1:
        raise InputError(f"{name}: none of its {len(categories)} categories is named 'person'; rename the one that is")
    return people[0]["id"] if people else 1


def _checked(name: str, number: int, entry: dict, images: set, skeleton: Skeleton | None) -> dict:
    """A complete copy of an annotation. Ids are counted anew: pycocotools takes an id of 0 for 'not matched'."""
    where = f"{name}: annotation {entry.get('id', number)}"
    values = 0 if skeleton is None else 3 * skeleton.num_joints
    entry = {"category_id": 1, "iscrowd": 0, "keypoints": [0] * values} | entry | {"id": number}
    if skeleton is None:
        entry |= {"keypoints": [], "num_keypoints": 0}
    if missing := {"image_id", "bbox", "area"} - entry.keys():
        raise InputError(f"{where} has no {', '.join(sorted(missing))}; COCO evaluation needs it")
    if entry["image_id"] not in images:
        raise InputError(f"{where} belongs to image {entry['image_id']}, which is not listed; add the image or drop it")
    if len(entry["keypoints"]) != values:
        found = len(entry["keypoints"])
        raise InputError(f"{where} has {found} keypoint values, expected {values} ({_joints(skeleton)})")
    for key in ("keypoints", "bbox"):
        if not all(map(math.isfinite, entry[key])):
            raise InputError(f"{where} has NaN or infinite values in {key}; correct or remove it")
    entry.setdefault("num_keypoints", sum(value > 0 for value in entry["keypoints"][2::3]))
    return entry


def _joints(skeleton: Skeleton) -> str:
    return "17 COCO joints" if skeleton == COCO17 else f"{skeleton.num_joints} joints of {skeleton.name}"


def _check_results(
    truth: dict, results: list[dict], needed: tuple[str, ...], skeleton: Skeleton = COCO17
) -> list[dict]:
    values = 3 * skeleton.num_joints
    images = {image["id"] for image in truth["images"]}
    for number, entry in enumerate(results):
        if missing := {"image_id", *needed} - entry.keys():
            raise InputError(f"result {number} has no {', '.join(sorted(missing))}")
        if entry["image_id"] not in images:
            raise InputError(f"result {number} is of image {entry['image_id']}, which the annotations do not list")
        numbers = [entry["score"], *entry.get("keypoints", ()), *entry.get("bbox", ())]
        if not all(map(math.isfinite, numbers)):
            raise InputError(f"result {number} (image {entry['image_id']}) holds NaN or infinite values")
        if "keypoints" in needed and len(entry["keypoints"]) != values:
            found = len(entry["keypoints"])
            raise InputError(f"result {number} has {found} keypoint values, expected {values} ({_joints(skeleton)})")
    return results


def _pick(triples: list[float], chosen: list[int]) -> list[float]:
    return np.asarray(triples, np.float64).reshape(-1, 3)[chosen].ravel().tolist()


def _restrict(truth: dict, chosen: list[int], skeleton: Skeleton) -> dict:
    """The ground truth with the chosen joints only; people without any of them are ignored, as COCO does."""
    if len(chosen) == skeleton.num_joints:
        return truth
    annotations = []
    for entry in truth["annotations"]:
        triples = _pick(entry["keypoints"], chosen)
        annotations.append(entry | {"keypoints": triples, "num_keypoints": sum(v > 0 for v in triples[2::3])})
    return truth | {"annotations": annotations}


def _index(dataset: dict) -> COCO:
    from pycocotools.coco import COCO

    coco = COCO()
    coco.dataset = dataset
    coco.createIndex()
    return coco


def _evaluate(
    truth: dict, results: list[dict], kind: str, image_ids: Iterable[int] | None, sigmas: np.ndarray | None = None
) -> dict[str, float]:
    from pycocotools.cocoeval import COCOeval

    wanted = None if image_ids is None else sorted(set(image_ids))
    if unknown := set(wanted or ()) - {image["id"] for image in truth["images"]}:
        raise InputError(f"{len(unknown)} image ids are not in the annotations, e.g. {sorted(unknown)[:3]}")
    with contextlib.redirect_stdout(io.StringIO()):
        expected = _index(truth | {"annotations": [dict(entry) for entry in truth["annotations"]]})
        found = expected.loadRes([copy(entry) for entry in results]) if results else _index(truth | {"annotations": []})
        evaluation = COCOeval(expected, found, kind)
        if sigmas is not None:
            evaluation.params.kpt_oks_sigmas = sigmas
        if wanted is not None:
            evaluation.params.imgIds = wanted
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    names = KEYPOINT_METRICS if kind == "keypoints" else BOX_METRICS
    return {name: float(value) for name, value in zip(names, evaluation.stats, strict=True)}
