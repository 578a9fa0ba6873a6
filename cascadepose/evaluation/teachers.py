"""Joints that a set does not label, from models that know them: pseudo-labels where two models agree or one is sure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cascadepose.data.coco import CocoSource, ImageStore, read_coco
from cascadepose.errors import InputError
from cascadepose.evaluation.oks import joint_similarity, needed_sigmas
from cascadepose.files import atomic_path, read_json
from cascadepose.skeletons import COCO17, Skeleton
from cascadepose.timing import progress_bar

if TYPE_CHECKING:
    from cascadepose.evaluation.coco_run import Predictor
    from cascadepose.types import Poses2D

FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
HEAD_REACH = 0.8  # of a head's length: how far from its middle a joint of the face lies at most
_AT_ONCE = 16  # images


@dataclass(frozen=True)
class Belief:
    """When a joint is believed: the first teacher's score is over `alone`, or it is over `agreed` and the second puts
    the joint where the similarity of COCO (the summand of OKS) of both places is over `similarity`.
    """

    alone: float = 0.6
    agreed: float = 0.2
    similarity: float = 0.3


def label_missing(
    annotations: str | Path,
    images: str | Path,
    joints: Sequence[str],
    teachers: Sequence[Predictor],
    out: str | Path,
    belief: Belief = Belief(),
    skeleton: Skeleton = COCO17,
    progress: bool = False,
) -> dict[str, int]:
    """Write a COCO keypoint file with `joints` labelled where nobody had: how often each was.

    teachers: one or two, run in the annotated boxes of the people with labelled joints. What is labelled stays as it
    is. Where a person's `extra_keypoints` hold neck and head_top, joints of the face that lie elsewhere are left out.
    Raises InputError: unknown joints, no or too many teachers, flaws of the file, missing images.
    """
    if not 1 <= len(teachers) <= 2:
        raise InputError(f"{len(teachers)} teachers: give one or two")
    chosen = [skeleton.index(name) for name in joints]
    records = read_coco(CocoSource(str(annotations), str(images)), skeleton)
    content = read_json(annotations, "annotation file")
    people = [(record, (record.keypoints[..., 2] > 0).any(1)) for record in records]
    people = [(record, who) for record, who in people if who.any()]
    store, counts = ImageStore([], cache=False), np.zeros(len(chosen), int)
    with progress_bar("images", len(people), progress) as advance:
        for start in range(0, len(people), _AT_ONCE):
            batch = people[start : start + _AT_ONCE]
            frames = [store(record.path) for record, _ in batch]
            boxes = [record.boxes_xyxy[who] for record, who in batch]
            answers = [_joined(teacher.predict(frames, boxes)) for teacher in teachers]
            entries = [content["annotations"][row] for record, who in batch for row in record.rows[who]]
            counts += _write(entries, believed(answers, _areas(entries), belief, skeleton), chosen, skeleton)
            advance(len(batch))
    with atomic_path(out) as path:
        path.write_text(json.dumps(content), encoding="utf-8")
    return dict(zip(joints, counts.tolist(), strict=True))


def believed(
    answers: Sequence[tuple[np.ndarray, np.ndarray]], areas: np.ndarray, belief: Belief, skeleton: Skeleton = COCO17
) -> np.ndarray:
    """The joints [P, K, 3] (x, y, 1 where believed) of one or two answers: places [P, K, 2] px and scores [P, K] each.

    areas [P] px^2 of the people. The place of a joint that both agree on is the mean of theirs.
    """
    (first, scores), *second = answers
    places, sure = np.asarray(first, np.float64), np.asarray(scores) > belief.alone
    for other, _ in second:
        similarity = joint_similarity(((places - other) ** 2).sum(-1), areas, needed_sigmas(skeleton))
        agreed = (np.asarray(scores) > belief.agreed) & (similarity > belief.similarity)
        places, sure = np.where(agreed[..., None], (places + other) / 2, places), sure | agreed
    return np.concatenate([places, sure[..., None]], axis=-1)


def _joined(poses: Sequence[Poses2D]) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([people.keypoints for people in poses]), np.concatenate([people.scores for people in poses])


def _areas(entries: Sequence[dict]) -> np.ndarray:
    return np.array([entry.get("area") or entry["bbox"][2] * entry["bbox"][3] for entry in entries], np.float64)


def _on_head(found: np.ndarray, entries: Sequence[dict], skeleton: Skeleton) -> np.ndarray:
    """[P, K] bool: False for joints of the face that are not on the head, where the annotation knows the head."""
    ends = np.array([[entry.get("extra_keypoints", {}).get(name, (0, 0, 0)) for name in ("neck", "head_top")]
                     for entry in entries], np.float64)  # fmt: skip
    known = (ends[..., 2] > 0).all(1)
    middle, length = ends[..., :2].mean(1), np.linalg.norm(ends[:, 0, :2] - ends[:, 1, :2], axis=-1)
    away = np.linalg.norm(found[..., :2] - middle[:, None], axis=-1) > HEAD_REACH * length[:, None]
    return ~(away & known[:, None] & np.isin(skeleton.names, FACE))


def _write(entries: Sequence[dict], found: np.ndarray, chosen: Sequence[int], skeleton: Skeleton) -> np.ndarray:
    """Put the believed joints into the annotations where they say nothing, and count each of the chosen ones."""
    labelled = np.array([entry["keypoints"][2::3] for entry in entries]) > 0
    new = ((found[..., 2] > 0) & ~labelled & _on_head(found, entries, skeleton))[:, chosen]
    for entry, row, marks in zip(entries, found, new, strict=True):
        for joint in np.asarray(chosen)[marks]:
            entry["keypoints"][3 * joint : 3 * joint + 3] = [*row[joint, :2].round(1).tolist(), 2]
        entry["num_keypoints"] = sum(visible > 0 for visible in entry["keypoints"][2::3])
    return new.sum(0)
