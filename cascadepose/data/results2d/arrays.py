"""Arrays: what rtmlib returns frame by frame, plain npz files, and VideoPose3D's `data_2d_custom_*.npz`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cascadepose.data.pickles import read_npz
from cascadepose.data.results2d.people import People2D, joints_of, sighting
from cascadepose.errors import InputError
from cascadepose.files import read_json
from cascadepose.skeletons import COCO17, Skeleton

__all__ = ["fits", "from_frames", "read", "read_rtmlib"]


def from_frames(
    frames: Iterable[tuple[Any, Any]], skeleton: Skeleton | None = None, fps: float | None = None, where: str = "frames"
) -> People2D:
    """People of (keypoints [P, K, 2] px, scores [P, K]) for each frame in turn, as rtmlib's models return them.

    Raises InputError naming `where` for shapes that do not agree and joint numbers that are not known.
    """
    found, number = [], -1
    for number, (points, marks) in enumerate(frames):
        points, marks = np.asarray(points, np.float32), np.asarray(marks, np.float32)
        if not marks.size:
            continue  # nobody
        if points.ndim != 3 or points.shape[2] != 2 or marks.shape != points.shape[:2]:
            raise InputError(
                f"{where}: frame {number} has keypoints {points.shape} and scores {marks.shape}; not [P,K,2], [P,K]"
            )
        for person in np.concatenate([points, marks[..., None]], -1):
            keypoints, scores, skeleton = joints_of(person, skeleton, f"{where}: frame {number}")
            found.append(sighting(number, keypoints, scores))
    return People2D(tuple(found), skeleton or COCO17, number + 1, fps)


def fits(content: Any) -> bool:
    """Whether parsed JSON looks like a dump of rtmlib's answers, frame by frame."""
    first = content[0] if isinstance(content, list) and content else None
    return isinstance(first, dict) and {"keypoints", "scores"} <= first.keys() and "image_id" not in first


def read_rtmlib(path: Path, skeleton: Skeleton | None = None) -> People2D:
    """A JSON list of {"keypoints": [P][K][2], "scores": [P][K]}, one for each frame. rtmlib writes no files itself."""
    content = read_json(path, "rtmlib result")
    if not fits(content):
        raise InputError(f'{path}: is no list of frames with "keypoints" and "scores"')
    return from_frames(((e.get("keypoints", ()), e.get("scores", ())) for e in content), skeleton, where=str(path))


def read(path: Path, skeleton: Skeleton | None = None) -> People2D:
    """An npz with `keypoints` [T, K, 2 or 3] (one person) or [T, P, K, 2 or 3], pixels, the third number a score.

    `scores` [T, K] or [T, P, K], `fps` and `size` (w, h) may stand beside it. A person is not there whose joints all
    have score 0 or are not numbers. The second axis keeps who is who. VideoPose3D's custom files (`positions_2d`) are
    read too, if they hold one video. Raises InputError for another layout.
    """
    content = read_npz(path)
    if isinstance(content.get("positions_2d"), dict):
        return _custom(path, content, skeleton)
    if "keypoints" not in content:
        raise InputError(f"{path}: has no array `keypoints` [T,K,2] or [T,P,K,2]; it holds {', '.join(content)}")
    points = np.asarray(content["keypoints"], np.float32)
    points = points[:, None] if points.ndim == 3 else points
    if points.ndim != 4 or points.shape[-1] not in (2, 3):
        raise InputError(
            f"{path}: keypoints have shape {points.shape}; expected [T,K,2], [T,P,K,2] or a score as third"
        )
    marks = points[..., 2] if points.shape[-1] == 3 else np.ones(points.shape[:3], np.float32)
    if "scores" in content:
        marks = np.asarray(content["scores"], np.float32).reshape(-1)
        if marks.size != points[..., 0].size:
            raise InputError(f"{path}: {marks.size} scores for {points[..., 0].size} joints; give one for each")
        marks = marks.reshape(points.shape[:3])
    triples = np.concatenate([points[..., :2], marks[..., None]], -1)
    found = []
    for frame, person in np.ndindex(*triples.shape[:2]):
        keypoints, scores, skeleton = joints_of(triples[frame, person], skeleton, f"{path}: frame {frame}")
        if (scores > 0).any():
            found.append(sighting(frame, keypoints, scores, track_id=person + 1))
    fps = float(content["fps"]) if "fps" in content else None
    return People2D(tuple(found), skeleton or COCO17, len(points), fps, _pair(content.get("size")))


def _custom(path: Path, content: dict[str, Any], skeleton: Skeleton | None) -> People2D:
    videos = content["positions_2d"]
    if len(videos) != 1:
        raise InputError(f"{path}: holds {len(videos)} videos ({', '.join(videos)}); give a file of one")
    (actions,) = videos.values()
    views = next(iter(actions.values())) if isinstance(actions, dict) and actions else [()]
    points = np.asarray(views[0], np.float32)
    if points.ndim != 3 or points.shape[-1] < 2:
        raise InputError(f"{path}: positions_2d has shape {points.shape}; expected [T,17,2] pixels")
    frames = ((frame[None, :, :2], np.ones((1, len(frame)))) for frame in points)
    people = from_frames(frames, skeleton, where=str(path))
    sightings = tuple(replace(entry, track_id=1) for entry in people.sightings)
    facts = content.get("metadata", {}).get("video_metadata", {}).get(next(iter(videos)), {})
    return replace(people, sightings=sightings, size=_pair([facts[side] for side in ("w", "h") if side in facts]))


def _pair(values: Any) -> tuple[int, int] | None:
    """Width and height, None where they are not given."""
    sides = [] if values is None else [int(side) for side in np.ravel(values)]
    return (sides[0], sides[1]) if len(sides) == 2 and min(sides) > 0 else None
