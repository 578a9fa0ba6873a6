"""COCO keypoint results (the file that pycocotools evaluates): `image_id` numbers are taken for frame numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cascadepose.data.results2d.people import People2D, joints_of, sighting
from cascadepose.errors import InputError
from cascadepose.files import read_json
from cascadepose.skeletons import COCO17, Skeleton

__all__ = ["fits", "read"]


def fits(content: Any) -> bool:
    """Whether parsed JSON looks like this format."""
    first = content[0] if isinstance(content, list) and content else None
    return isinstance(first, dict) and "keypoints" in first and isinstance(first.get("image_id"), int)


def read(path: Path, skeleton: Skeleton | None = None) -> People2D:
    """Raises InputError for another layout."""
    content = read_json(path, "COCO result")
    if not fits(content):
        raise InputError(f'{path}: is no COCO keypoint result (a list of "image_id", "keypoints", "score")')
    found = []
    for row, entry in enumerate(content):
        where = f"{path}: result {row}"
        keypoints, scores, skeleton = joints_of(entry.get("keypoints"), skeleton, where)
        x, y, w, h = entry["bbox"] if len(entry.get("bbox") or ()) == 4 else (0, 0, 0, 0)
        if not isinstance(entry.get("image_id"), int):
            raise InputError(f"{where} has no image_id")
        facts = {"box_score": min(float(entry.get("score", 1.0)), 1.0), "track_id": entry.get("track_id")}
        found.append(sighting(entry["image_id"], keypoints, scores, (x, y, x + w, y + h), **facts))
    return People2D(tuple(found), skeleton or COCO17, max(entry.frame for entry in found) + 1)
