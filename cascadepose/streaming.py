"""Frame by frame, as they come: 2D poses, ids and 3D joints of a camera or a video without an end.

    for frame in pose.stream(0):
        for person in frame.people:
            print(frame.timestamp, person.track_id, person.joints)

Nothing is kept but the present: the state of the tracker, as many poses of each person as the lifter looks back, and
one frame. A frame is answered before the next one is looked at. Of a live source that is faster than the work, the
frames in between are dropped, so that the delay does not grow; of a file, every frame is worked on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from cascadepose.data.frames import Frame, FrameSource, open_source
from cascadepose.data.live import newest_frames
from cascadepose.errors import InputError
from cascadepose.models.lifters.stream import StreamLifter
from cascadepose.skeletons import Skeleton
from cascadepose.smoothing import OneEuro
from cascadepose.timing import StageClock
from cascadepose.tracking import Tracker
from cascadepose.types import Poses2D

if TYPE_CHECKING:
    from cascadepose.pipeline import Pipeline

METHODS = ("one-euro", "none")


@dataclass(frozen=True)
class StreamPerson:
    """One person in one frame.

    track_id   the same person has the same id, from the third sighting on
    keypoints  [K, 2] px; scores [K]; sigma [K, 2] px, one standard deviation, of the 2D stage
    box_xyxy   [4] px; box_score
    joints     [J, 3] metres, pelvis at the origin, camera axes (x right, y down, z away); None without a lifter
    """

    track_id: int
    keypoints: np.ndarray
    scores: np.ndarray
    sigma: np.ndarray
    box_xyxy: np.ndarray
    box_score: float
    joints: np.ndarray | None
    skeleton: Skeleton


@dataclass(frozen=True)
class StreamFrame:
    """One frame of a stream, answered.

    index      number of the frame in the source; it jumps where frames were dropped
    timestamp  s
    image      uint8 [H, W, 3] RGB
    people     who is seen in it, by id
    latency    s from the frame being at hand until this answer
    """

    index: int
    timestamp: float
    image: np.ndarray
    people: tuple[StreamPerson, ...]
    latency: float


def stream(
    pipeline: Pipeline,
    source: Any,
    fps: float | None = None,
    max_frames: int | None = None,
    smooth: str = "one-euro",
    flip_test: bool = False,
    drop_late: bool | None = None,
    clock: StageClock | None = None,
) -> Iterator[StreamFrame]:
    """See `Pipeline.stream`."""
    if smooth not in METHODS:
        raise InputError(f"unknown smoothing {smooth!r} of a stream; use one of: {', '.join(METHODS)}")
    lifter = pipeline.lifter
    if lifter is not None and not lifter.causal:
        raise InputError("the lifter looks at later frames; load dstformer-small-causal, or None for 2D only")
    clock = clock or StageClock()
    with clock.stage("decode"):
        frames = open_source(source, fps)
    drop_late = frames.live if drop_late is None else drop_late
    came = newest_frames(frames) if drop_late else frames
    return _answer(pipeline, frames, islice(came, max_frames), smooth, flip_test, clock)


def _answer(
    pipeline: Pipeline, source: FrameSource, frames: Iterable[Frame], smooth: str, flip_test: bool, clock: StageClock
) -> Iterator[StreamFrame]:
    min_hits = 1 if source.is_image or source.loose else 3
    tracker = Tracker(pipeline.max_gap, pipeline.max_absence, min_hits, pipeline.threshold)
    lifter: StreamLifter | None = None
    filters: dict[int, tuple[OneEuro, OneEuro]] = {}
    for frame in clock.waiting("decode", frames):
        started = perf_counter()
        ((_, poses),) = pipeline.poses([frame], clock, 1)
        with clock.stage("track"):
            keys = tracker.update(frame.timestamp, poses)
            tracker.forget_ids()
        rows = np.flatnonzero(keys >= 0)
        joints = None
        if pipeline.lifter is not None:
            with clock.stage("lift"):
                if lifter is None:
                    lifter = StreamLifter(pipeline.lifter, source.size, poses.skeleton, flip_test)
                lifter.keep(tracker.keys)
                joints = lifter.push(frame.timestamp, keys[rows].tolist(), poses.keypoints[rows], poses.scores[rows])
        filters = {key: filters[key] for key in tracker.keys if key in filters}
        people = _people(poses, rows, keys, joints, tracker.ids)
        if smooth == "one-euro":
            people = {
                key: _calmed(person, frame.timestamp, filters.setdefault(key, (OneEuro(), OneEuro())))
                for key, person in people.items()
            }
        known = sorted((p for p in people.values() if p.track_id), key=lambda person: person.track_id)
        yield StreamFrame(frame.index, frame.timestamp, frame.image, tuple(known), perf_counter() - started)


def _people(
    poses: Poses2D, rows: np.ndarray, keys: np.ndarray, joints: np.ndarray | None, ids: dict[int, int]
) -> dict[int, StreamPerson]:
    """Everybody who is seen, by key; those who are not confirmed yet have id 0."""
    return {
        int(keys[row]): StreamPerson(
            track_id=ids.get(int(keys[row]), 0),
            keypoints=poses.keypoints[row],
            scores=poses.scores[row],
            sigma=poses.sigma[row],
            box_xyxy=poses.boxes_xyxy[row],
            box_score=float(poses.box_scores[row]),
            joints=None if joints is None else joints[number],
            skeleton=poses.skeleton,
        )
        for number, row in enumerate(rows)
    }


def _calmed(person: StreamPerson, time: float, filters: tuple[OneEuro, OneEuro]) -> StreamPerson:
    """The person smoothed; in 2D lengths count relative to the person's size, which is about a metre."""
    size = float(np.sqrt(np.prod(np.maximum(person.box_xyxy[2:] - person.box_xyxy[:2], 1.0))))
    keypoints = filters[0](time, person.keypoints, size)
    joints = None if person.joints is None else filters[1](time, person.joints)
    return replace(person, keypoints=keypoints, joints=joints)
