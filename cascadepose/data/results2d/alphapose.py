"""AlphaPose's `alphapose-results.json`: one list of people, each with its image's name; COCO-17 or Halpe-26 joints.

Its person scores grow beyond 1, so that the mean score of the joints stands for them. With `--pose_track` each person
has an id ("idx"). Frames without people are not listed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cascadepose.data.results2d.people import People2D, frame_number, joints_of, sighting
from cascadepose.errors import InputError
from cascadepose.files import read_json
from cascadepose.skeletons import Skeleton

__all__ = ["fits", "read"]


def fits(content: Any) -> bool:
    """Whether parsed JSON looks like this format."""
    first = content[0] if isinstance(content, list) and content else None
    return isinstance(first, dict) and "keypoints" in first and isinstance(first.get("image_id"), str)


def read(path: Path, skeleton: Skeleton | None = None) -> People2D:
    """Raises InputError for another layout."""
    content = read_json(path, "AlphaPose result")
    if not fits(content):
        raise InputError(f'{path}: is no AlphaPose result (a list of people with "image_id" names and "keypoints")')
    names = sorted({str(entry.get("image_id")) for entry in content})
    numbers = {name: frame_number(name) for name in names}
    if None in numbers.values() or len(set(numbers.values())) < len(names):
        numbers = {name: number for number, name in enumerate(names)}  # names without numbers: their order
    found = []
    for row, entry in enumerate(content):
        keypoints, scores, skeleton = joints_of(entry.get("keypoints"), skeleton, f"{path}: person {row}")
        x, y, w, h = entry["box"] if len(entry.get("box") or ()) == 4 else (0, 0, 0, 0)
        box = (x, y, x + w, y + h)
        frame = numbers[str(entry.get("image_id"))]
        found.append(sighting(frame, keypoints, scores, box, track_id=_id(entry.get("idx"))))
    return People2D(tuple(found), skeleton, max(numbers.values()) + 1)


def _id(value: Any) -> int | None:
    """A number, or a list of one or of several (then the first is the person's)."""
    while isinstance(value, list):
        value = value[0] if value else None
    return None if value is None else int(value)
