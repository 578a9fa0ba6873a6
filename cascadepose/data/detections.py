"""Boxes of a person detector: the JSON of COCO results that 2D codes share ("person_detection_results")."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from cascadepose.data.layouts import expects
from cascadepose.errors import InputError
from cascadepose.files import read_json
from cascadepose.types import Detections

__all__ = ["read_detections"]


@expects("COCO box results")
def read_detections(path: str | Path, threshold: float = 0.0, category_id: int = 1) -> dict[int, Detections]:
    """Boxes by image id, from a list of {"image_id", "category_id", "bbox" [x, y, w, h] px, "score"}.

    threshold    leave out boxes with a lower score
    category_id  of people; entries of other categories are passed over

    Raises InputError for a file that cannot be read, has another layout, NaN or no box of a person.
    """
    content = read_json(path, "detection file")
    if not isinstance(content, list):
        raise InputError(
            f"{path}: is no list of detections; expected COCO box results (image_id, category_id, bbox, score)"
        )
    rows: dict[int, list[tuple[float, ...]]] = {}
    for number, entry in enumerate(content):
        if not isinstance(entry, dict) or (missing := {"image_id", "bbox", "score"} - entry.keys()):
            lacking = "is no object" if not isinstance(entry, dict) else f"has no {', '.join(sorted(missing))}"
            raise InputError(f"{path}: detection {number} {lacking}; expected image_id, category_id, bbox, score")
        if entry.get("category_id", category_id) != category_id:
            continue
        if len(entry["bbox"]) != 4 or not all(map(math.isfinite, (*entry["bbox"], entry["score"]))):
            raise InputError(
                f"{path}: detection {number} (image {entry['image_id']}) has no four finite numbers and a score"
            )
        x, y, w, h = entry["bbox"]
        if entry["score"] >= threshold and w > 0 and h > 0:
            rows.setdefault(int(entry["image_id"]), []).append((x, y, x + w, y + h, entry["score"]))
    if not rows:
        raise InputError(
            f"{path}: has no person with a score of {threshold:g} or more; check category_id {category_id}"
        )
    arrays = {image: np.array(found, np.float32) for image, found in rows.items()}
    return {image: Detections(array[:, :4], array[:, 4]) for image, array in arrays.items()}
