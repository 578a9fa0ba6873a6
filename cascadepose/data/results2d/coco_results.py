"""COCO keypoints: results (the list that pycocotools evaluates) and annotations (what annotation tools and PoseTrack
write), frame by frame.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from cascadepose.data.results2d.people import People2D, Sighting, frame_number, joints_of, sighting
from cascadepose.errors import InputError
from cascadepose.files import read_json
from cascadepose.skeletons import COCO17, POSETRACK17, Skeleton

__all__ = ["fits", "read"]


def fits(content: Any) -> bool:
    """Whether parsed JSON looks like this format."""
    if isinstance(content, dict):
        return isinstance(content.get("annotations"), list) and isinstance(content.get("images"), list)
    first = content[0] if isinstance(content, list) and content else None
    return isinstance(first, dict) and "keypoints" in first and isinstance(first.get("image_id"), int)


def read(path: Path, skeleton: Skeleton | None = None) -> People2D:
    """Results: `image_id` is the number of the frame. Annotations: the frames are the images, by the numbers in their
    names, else in the order of their ids; joints with visibility 0 count as not found, others have score 1.

    Raises InputError for another layout.
    """
    content = read_json(path, "COCO result")
    if not fits(content):
        raise InputError(f'{path}: is no COCO keypoint result (a list of "image_id", "keypoints", "score")')
    if isinstance(content, dict):
        return _annotations(path, content, skeleton)
    found, skeleton = _people(content, {}, skeleton, f"{path}: result")
    return People2D(tuple(found), skeleton, max(entry.frame for entry in found) + 1)


def _people(
    entries: list[dict[str, Any]], frames: dict[Any, int], skeleton: Skeleton | None, where: str
) -> tuple[list[Sighting], Skeleton]:
    """One sighting an entry; frames: number by `image_id`, by default that itself."""
    found = []
    for row, entry in enumerate(entries):
        keypoints, scores, skeleton = joints_of(entry.get("keypoints"), skeleton, f"{where} {row}")
        x, y, w, h = entry["bbox"] if len(entry.get("bbox") or ()) == 4 else (0, 0, 0, 0)
        frame = frames.get(entry.get("image_id"), None if frames else entry.get("image_id"))
        if not isinstance(frame, int):
            raise InputError(f"{where} {row} has no image_id of an image")
        facts = {"box_score": min(float(entry.get("score", 1.0)), 1.0), "track_id": entry.get("track_id")}
        found.append(sighting(frame, keypoints, scores, (x, y, x + w, y + h), **facts))
    return found, skeleton or COCO17


def _annotations(path: Path, content: dict[str, Any], skeleton: Skeleton | None) -> People2D:
    images = content["images"]
    if not images:
        raise InputError(f"{path}: lists no images; is it the right file?")
    numbers = [frame_number(str(image.get("file_name", ""))) for image in images]
    if None in numbers or len(set(numbers)) < len(numbers):
        numbers = np.argsort(np.argsort([image["id"] for image in images], kind="stable")).tolist()
    frames = {image["id"]: number for image, number in zip(images, numbers, strict=True)}
    joints = [name for category in content.get("categories", ()) for name in category.get("keypoints", ())]
    skeleton = skeleton or (POSETRACK17 if "head_bottom" in joints else None)
    entries = [entry for entry in content["annotations"] if entry.get("keypoints") and not entry.get("iscrowd")]
    found, skeleton = _people(entries, frames, skeleton, f"{path}: annotation")
    sizes = {(image.get("width"), image.get("height")) for image in images}
    if len(sizes) > 1:
        raise InputError(f"{path}: has images of {len(sizes)} sizes; give a file with the frames of one video")
    (size,) = sizes
    return People2D(tuple(found), skeleton, max(numbers) + 1, size=None if None in size else size)
