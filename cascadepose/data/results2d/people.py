"""What the readers of other programs' 2D results have in common: sightings, and the tracks made of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cascadepose.errors import InputError
from cascadepose.skeletons import BODY25, COCO17, HALPE26, OPENPOSE18, SKELETONS, Skeleton
from cascadepose.smoothing import fill_gaps
from cascadepose.tracking import TrackBuilder, Tracker
from cascadepose.types import Poses2D, Track

__all__ = ["People2D", "Sighting", "convert_tracks", "frame_number", "joints_of", "sighting"]

# How many joints a program lists -> what they are, and how many of them: whole-body lists begin with the body.
LAYOUTS = {
    17: COCO17,
    18: OPENPOSE18,
    25: BODY25,
    26: HALPE26,
    133: COCO17,  # COCO-WholeBody
    134: OPENPOSE18,  # the same in OpenPose's order
    136: HALPE26,  # Halpe-136
}
MARGIN = 0.1  # by which the extent of the joints is widened on each side to stand for a box that is not given
FORGOTTEN = 3.0  # s without anybody after which nobody is expected back
SIGMA = 0.03  # of the box's size: an assumption for joints whose spread nobody states


@dataclass(frozen=True, eq=False)
class Sighting:
    """A person in a frame: keypoints [K, 2] px, scores [K], and a box, its score and an id where the program has them.

    A joint with score 0 was not found; its place means nothing.
    """

    frame: int
    keypoints: np.ndarray
    scores: np.ndarray
    box_xyxy: np.ndarray | None = None
    box_score: float | None = None
    track_id: int | None = None


@dataclass(frozen=True, eq=False)
class People2D:
    """Everything in a result file: sightings in the joints of `skeleton`; num_frames that the file speaks of; the frame
    rate, and the size (w, h) px of the frames, where it states them.
    """

    sightings: tuple[Sighting, ...]
    skeleton: Skeleton
    num_frames: int
    fps: float | None = None
    size: tuple[int, int] | None = None

    def poses(self) -> dict[int, Poses2D]:
        """The people of each frame that has any, in the file's order; joints that were not found lie mid-box."""
        rows: dict[int, list[Sighting]] = {}
        for entry in self.sightings:
            rows.setdefault(entry.frame, []).append(entry)
        return {frame: _stack(rows[frame], self.skeleton) for frame in sorted(rows)}

    def tracks(self, fps: float | None = None, min_hits: int = 3, times: np.ndarray | None = None) -> list[Track]:
        """One track a person, by id: the program's ids where it gave them, else people are followed by their poses.

        fps       of the video, which few formats state (default: the file's, else 30)
        min_hits  see `Tracker`; not used with the program's ids
        times     [F] seconds of every frame of the video, up to the last sighting at least (default: from fps)

        Frames between sightings are interpolated and not observed; so are, with score 0, joints that were not found.
        Raises InputError for an id that is twice in a frame.
        """
        poses = self.poses()
        if times is None:
            times = np.arange(max(poses, default=-1) + 1) / (fps or self.fps or 30.0)
        keys = self._given_ids() or _followed(poses, times, min_hits)
        builder = TrackBuilder()
        for frame, people in poses.items():
            builder.add(frame, people, np.array(keys[frame], np.int64))
        known = {key: key for frame in keys.values() for key in frame if key > 0}
        return [_filled(track) for track in builder.tracks(known, times)]

    def _given_ids(self) -> dict[int, list[int]]:
        """The program's ids by frame, from 1 on; empty where somebody has none."""
        if any(entry.track_id is None for entry in self.sightings):
            return {}
        first = min((entry.track_id for entry in self.sightings), default=1)
        ids: dict[int, list[int]] = {}
        for entry in self.sightings:
            ids.setdefault(entry.frame, []).append(int(entry.track_id) + max(1 - first, 0))
        for frame, present in ids.items():
            if len(set(present)) < len(present):
                raise InputError(f"frame {frame} has the same person twice (ids {present}); give every one an id")
        return ids


def joints_of(values: Any, skeleton: Skeleton | None, where: str) -> tuple[np.ndarray, np.ndarray, Skeleton]:
    """Flat or nested x, y, score -> keypoints [K, 2], scores [K] in 0..1, and whose joints they are.

    skeleton: None: by their number (see LAYOUTS). Raises InputError naming `where` for other numbers.
    """
    try:
        rows = np.asarray(values, np.float32).reshape(-1, 3)
    except (TypeError, ValueError):
        raise InputError(f"{where}: keypoints are not x, y, score triples; is the format the right one?") from None
    if skeleton is None and len(rows) not in LAYOUTS:
        raise InputError(
            f"{where}: {len(rows)} joints, known are lists of {', '.join(map(str, LAYOUTS))}; name the skeleton "
            f"(--joints): {', '.join(SKELETONS)}"
        )
    skeleton = skeleton or LAYOUTS[len(rows)]
    if len(rows) < skeleton.num_joints:
        raise InputError(f"{where}: {len(rows)} joints, but {skeleton.name} has {skeleton.num_joints}")
    rows = rows[: skeleton.num_joints]
    found = np.isfinite(rows).all(1)
    rows = np.where(found[:, None], rows, 0)
    return rows[:, :2], rows[:, 2].clip(0, 1), skeleton


def sighting(
    frame: int,
    keypoints: np.ndarray,
    scores: np.ndarray,
    box_xyxy: Any = None,
    box_score: Any = None,
    track_id: Any = None,
) -> Sighting:
    """A sighting with a checked box and score: what is missing, not finite or empty is replaced when poses are made."""
    box = None if box_xyxy is None else np.asarray(box_xyxy, np.float32).reshape(-1)[:4]
    if box is not None and not (len(box) == 4 and np.isfinite(box).all() and (box[2:] > box[:2]).all()):
        box = None
    certain = None if box_score is None else float(box_score)
    certain = certain if certain is not None and np.isfinite(certain) else None
    return Sighting(int(frame), keypoints, scores, box, certain, None if track_id is None else int(track_id))


def frame_number(name: str) -> int | None:
    """The last number in a file name's stem: "walk_000012_keypoints.json" -> 12; None without one."""
    digits = re.findall(r"\d+", name.rsplit("/", 1)[-1].rsplit(".", 1)[0])
    return int(digits[-1]) if digits else None


def convert_tracks(tracks: Sequence[Track], skeleton: Skeleton) -> list[Track]:
    """The tracks with the joints of another skeleton, as a lifter needs them (COCO-17). InputError: no conversion."""
    converted = []
    for track in tracks:
        keypoints, scores, _ = track.skeleton.convert(track.keypoints, track.scores, to=skeleton)
        sigma = track.skeleton.convert(track.sigma, to=skeleton)[0]
        converted.append(
            replace(track, keypoints=keypoints, scores=scores, sigma=sigma, skeleton=skeleton, poses3d=None)
        )
    return converted


def _followed(poses: dict[int, Poses2D], times: np.ndarray, min_hits: int) -> dict[int, list[int]]:
    """Ids by frame from following people by their poses; 0 for who is left out. times [F] s of all frames."""
    skeleton = next(iter(poses.values())).skeleton if poses else COCO17
    if not set(COCO17.names) <= set(skeleton.names):
        if any(len(people) > 1 for people in poses.values()):
            raise InputError(f"people in {skeleton.name} joints can only be told apart by ids, which the file lacks")
        return {frame: [1] for frame in poses}
    tracker, keys, last = Tracker(min_hits=min_hits), {}, None
    for frame, people in poses.items():
        for time in times[frame if last is None else last + 1 : frame]:
            if time - times[last] > FORGOTTEN:
                break
            tracker.update(time, Poses2D.empty())
        keys[frame] = tracker.update(times[frame], _as_coco(people)).tolist()
        last = frame
    tracker.finish()
    return {frame: [tracker.ids.get(key, 0) for key in present] for frame, present in keys.items()}


def _stack(people: list[Sighting], skeleton: Skeleton) -> Poses2D:
    boxes = np.stack([_extent(entry) if entry.box_xyxy is None else entry.box_xyxy for entry in people])
    scores = np.stack([entry.scores for entry in people])
    middle = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
    keypoints = np.where(scores[..., None] > 0, np.stack([entry.keypoints for entry in people]), middle)
    size = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(1))[:, None, None]
    own = [entry.scores[entry.scores > 0].mean() if (entry.scores > 0).any() else 0.0 for entry in people]
    certain = [o if entry.box_score is None else entry.box_score for o, entry in zip(own, people, strict=True)]
    return Poses2D(
        keypoints, scores, np.broadcast_to(SIGMA * size, keypoints.shape), boxes, np.array(certain), skeleton
    )


def _extent(entry: Sighting) -> np.ndarray:
    points = entry.keypoints[entry.scores > 0]
    if not len(points):
        return np.array([0, 0, 1, 1], np.float32)
    low, high = points.min(0), points.max(0)
    margin = MARGIN * np.maximum(high - low, 1)
    return np.concatenate([low - margin, high + margin])


def _as_coco(poses: Poses2D) -> Poses2D:
    """The same people in COCO-17, which association knows."""
    keypoints, scores, _ = poses.skeleton.convert(poses.keypoints, poses.scores, to=COCO17)
    sigma = poses.skeleton.convert(poses.sigma, to=COCO17)[0]
    return Poses2D(keypoints, scores, sigma, poses.boxes_xyxy, poses.box_scores)


def _filled(track: Track) -> Track:
    """Joints that were not found, from the frames around in which they were."""
    known = (track.scores > 0) & track.observed[:, None]
    ever = known.any(0)
    if known.all() or not ever.any():
        return track
    filled = fill_gaps(track.keypoints, known, track.timestamp)
    return replace(track, keypoints=np.where(ever[:, None], filled, track.keypoints))
