"""OpenPose's folder of JSON, one file a frame (`--write_json`): BODY_25 or COCO-18 joints. Sports2D and Pose2Sim write
the same with Halpe-26 joints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cascadepose.data.results2d.people import People2D, frame_number, joints_of, sighting
from cascadepose.errors import InputError
from cascadepose.files import read_json
from cascadepose.skeletons import BODY25, Skeleton

__all__ = ["fits", "read"]

KEYS = ("pose_keypoints_2d", "pose_keypoints")  # the second: before version 1.2


def fits(content: Any) -> bool:
    """Whether parsed JSON looks like one frame of this format."""
    return isinstance(content, dict) and isinstance(content.get("people"), list)


def read(path: Path, skeleton: Skeleton | None = None) -> People2D:
    """A folder, or the file of a single frame. Raises InputError for another layout or an empty folder."""
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path}: holds no .json files; give the folder that OpenPose's --write_json made")
    numbers = [frame_number(file.name) for file in files]
    if None in numbers or len(set(numbers)) < len(files):
        numbers = list(range(len(files)))
    found = []
    for frame, file in zip(numbers, files, strict=True):
        content = read_json(file, "OpenPose result")
        if not fits(content):
            raise InputError(f'{file}: is no frame of OpenPose (no list "people")')
        for row, person in enumerate(content["people"]):
            values = next((person[key] for key in KEYS if person.get(key)), None)
            if values is None:
                continue  # only a face or a hand was found
            keypoints, scores, skeleton = joints_of(values, skeleton, f"{file}: person {row}")
            found.append(sighting(frame, keypoints, scores, track_id=_id(person.get("person_id"))))
    return People2D(tuple(found), skeleton or BODY25, max(numbers) + 1)


def _id(value: Any) -> int | None:
    value = value[0] if isinstance(value, list) and value else value
    return value if isinstance(value, int) and value >= 0 else None
