"""MMPose's predictions as JSON: its Inferencer's (a list of frames or of people) and its demos' (`instance_info`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from cascadepose.data.results2d.people import People2D, Sighting, joints_of, sighting
from cascadepose.errors import InputError
from cascadepose.files import read_json
from cascadepose.skeletons import COCO17, Skeleton

__all__ = ["fits", "read"]


def fits(content: Any) -> bool:
    """Whether parsed JSON looks like this format."""
    if isinstance(content, dict):
        return isinstance(content.get("instance_info"), list)
    first = content[0] if isinstance(content, list) and content else None
    return isinstance(first, dict) and bool(first.keys() & {"instances", "keypoint_scores"})


def read(path: Path, skeleton: Skeleton | None = None) -> People2D:
    """Raises InputError for another layout. Frame numbers count from the first one listed: demos begin at 1."""
    content = read_json(path, "MMPose result")
    if not fits(content):
        raise InputError(f'{path}: is no MMPose prediction (no "instance_info", "instances" or "keypoint_scores")')
    frames = content["instance_info"] if isinstance(content, dict) else content
    if frames and "instances" not in frames[0]:  # the people of one image
        frames = [{"frame_id": 0, "instances": frames}]
    first = int(frames[0].get("frame_id", 0)) if frames else 0
    found: list[Sighting] = []
    for number, entry in enumerate(frames):
        frame = int(entry.get("frame_id", number + first)) - first
        for row, person in enumerate(entry.get("instances", ())):
            where = f"{path}: frame {frame}, person {row}"
            seen, skeleton = _sighting(person, frame, skeleton, where)
            found.append(seen)
    return People2D(tuple(found), skeleton or COCO17, len(frames))


def _sighting(person: dict, frame: int, skeleton: Skeleton | None, where: str) -> tuple[Sighting, Skeleton]:
    try:
        points = np.asarray(person["keypoints"], np.float32)[..., :2].reshape(-1, 2)
        marks = np.asarray(person["keypoint_scores"], np.float32).reshape(-1, 1)
        triples = np.concatenate([points, marks], 1)
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{where}: has no keypoints [K][2] with keypoint_scores [K]; is it MMPose 1?") from None
    keypoints, scores, skeleton = joints_of(triples, skeleton, where)
    score = np.ravel(person.get("bbox_score", person.get("bbox_scores", [])))
    facts = {"box_score": float(score[0]) if score.size else None, "track_id": person.get("track_id")}
    return sighting(frame, keypoints, scores, person.get("bbox"), **facts), skeleton
