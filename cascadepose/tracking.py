"""Who is who from frame to frame: online association of 2D poses, and the tracks made of it.

`Tracker` holds only the present state and can run for ever; `TrackBuilder` collects what was seen for a finished video.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from cascadepose.similarity import (
    areas,
    centers,
    contained,
    laid_at_origin,
    pairwise_oks,
    similarity,
    suppress_duplicates,
)
from cascadepose.skeletons import COCO17, Skeleton
from cascadepose.smoothing import fill_gaps
from cascadepose.types import Poses2D, Track

_NO_PERSON = -1
# of a packed sighting; the first three can be filled
_COLUMNS = ("keypoints", "sigma", "boxes_xyxy", "scores", "box_scores")
_FAR = 1e6
_MOMENTUM = 0.5  # share of the old velocity that each new sighting leaves
_COASTING = 0.4  # s; an unseen person's assumed motion dies away with this time constant
_REACH = (
    0.5,
    2.0,
    3.0,
)  # body sizes from its prediction at which a person may turn up: at once, per second unseen, at most
_GROWTH = 1.7, 0.2  # by which factor the size may change: at once, per second unseen
_DOUBT = 0.25  # what a sighting counts that lies on a person who is known: it may be the same one twice


@dataclass
class _Person:
    """What the tracker remembers of one person: the last sighting (Poses2D of one), motion, and how often seen."""

    key: int
    pose: Poses2D
    last_seen: float
    velocity: np.ndarray  # [2] px/s
    hits: int = 0
    frames: int = 0  # since the first sighting
    credit: float = 0.0  # hits, doubtful ones counted in part


class Tracker:
    """Hungarian association on OKS + IoU with constant-velocity prediction, one frame at a time.

    max_gap      s; a person unseen for less is simply expected where the motion leads
    max_absence  s; after a longer gap, until this, a person is taken up again if place, size and pose fit
    min_hits     sightings, in at least half of the frames, before a person counts as real and gets an id; sightings on
                 top of somebody known count a quarter; who is seen in every frame until the very end counts too
    start_score  box score that a first sighting needs; weaker boxes only carry on people who are known
    """

    def __init__(
        self, max_gap: float = 0.5, max_absence: float = 2.0, min_hits: int = 3, start_score: float = 0.0
    ) -> None:
        self.max_gap, self.max_absence = max_gap, max(max_absence, max_gap)
        self.min_hits, self.start_score = min_hits, start_score
        self.ids: dict[int, int] = {}  # key -> id of everybody who was ever confirmed
        self._people: list[_Person] = []
        self._next_key, self._next_id = 0, 1
        self._time: float | None = None
        self._patience = 0.0  # s; at very low frame rates even the next frame is later than the limits

    def update(self, timestamp: float, poses: Poses2D) -> np.ndarray:
        """Assign the poses of the next frame: a key [P] for each, -1 for duplicates and weak boxes of nobody known.

        `ids` maps the keys of confirmed people to their ids (1, 2, ...); a key may be confirmed some frames later.
        """
        keys = np.full(len(poses), _NO_PERSON, np.int64)
        self._patience = 0.0 if self._time is None else 1.5 * (timestamp - self._time)
        self._time = timestamp
        self._forget(timestamp)
        kept = free = suppress_duplicates(poses) if len(poses) else np.zeros(0, np.int64)
        known = np.array([person.key in self.ids for person in self._people], bool)
        confirmed, newcomers = np.flatnonzero(known), np.flatnonzero(~known)
        confirmed, free = self._match(self._continuation_cost, timestamp, poses, confirmed, free, keys)
        newcomers, free = self._match(self._continuation_cost, timestamp, poses, newcomers, free, keys)
        waiting = np.concatenate([confirmed, newcomers])
        _, free = self._match(self._return_cost, timestamp, poses, waiting, free, keys)
        for index in free[poses.box_scores[free] >= self.start_score]:
            keys[index] = self._begin(timestamp, poses[int(index)])
        self._count(poses, kept[keys[kept] != _NO_PERSON], keys)
        return keys

    @property
    def keys(self) -> list[int]:
        """Of everybody who may still turn up again."""
        return [person.key for person in self._people]

    def forget_ids(self) -> None:
        """Drop from `ids` whoever will not turn up again, so that a stream can run for ever; no id is given twice."""
        self.ids = {key: self.ids[key] for key in self.keys if key in self.ids}

    def finish(self) -> None:
        """The video is over: people who were seen in every frame from their first to the last are confirmed too."""
        for person in self._people:
            if person.credit == person.frames:
                self._confirm(person)

    def _count(self, poses: Poses2D, seen: np.ndarray, keys: np.ndarray) -> None:
        """Credit the sightings of this frame and confirm who has enough."""
        credit = dict(zip(keys[seen].tolist(), self._credit(poses, seen, keys), strict=True))
        for person in self._people:
            person.frames += 1
            person.hits += person.key in credit
            person.credit += credit.get(person.key, 0.0)
            if person.credit >= self.min_hits and 2 * person.hits >= person.frames:
                self._confirm(person)

    def _credit(self, poses: Poses2D, seen: np.ndarray, keys: np.ndarray) -> np.ndarray:
        """What each of the seen poses counts."""
        known = np.array([index for index in seen if int(keys[index]) in self.ids], np.int64)
        if self.min_hits == 1 or not len(known):
            return np.ones(len(seen))
        a, b = poses[seen], poses[known]
        close = (similarity(a, b) > 0.3) | (contained(a, b) > 0.8)
        return np.where((close & (seen[:, None] != known)).any(1), _DOUBT, 1.0)

    def _match(
        self, cost: Callable, timestamp: float, poses: Poses2D, waiting: np.ndarray, free: np.ndarray, keys: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Assign what `cost` allows; returns the people still waiting and the poses still free."""
        if not (len(waiting) and len(free)):
            return waiting, free
        matrix = cost(timestamp, [self._people[row] for row in waiting], poses[free])
        rows, columns = linear_sum_assignment(matrix)
        good = matrix[rows, columns] < _FAR
        rows, columns = rows[good], columns[good]
        for row, column in zip(waiting[rows], free[columns], strict=True):
            self._see(self._people[row], timestamp, poses[int(column)])
            keys[column] = self._people[row].key
        return np.delete(waiting, rows), np.delete(free, columns)

    def _continuation_cost(self, timestamp: float, people: list[_Person], poses: Poses2D) -> np.ndarray:
        """[M,P] for people seen within max_gap: how little the pose is like the predicted one."""
        unseen = np.array([timestamp - person.last_seen for person in people])[:, None]
        alike = similarity(_predict(people, timestamp), poses)
        recent = unseen <= max(self.max_gap, self._patience)
        return np.where((alike > 0.2) & recent, 1 - alike, _FAR)

    def _return_cost(self, timestamp: float, people: list[_Person], poses: Poses2D) -> np.ndarray:
        """[M,P] for everybody not yet found: distance, change of size, and change of pose once laid on each other."""
        unseen = np.array([timestamp - person.last_seen for person in people])[:, None]
        expected = _predict(people, timestamp)
        size_a, size_b = np.sqrt(areas(expected))[:, None], np.sqrt(areas(poses))[None]
        size = np.maximum(np.sqrt(size_a * size_b), 1.0)
        distance = np.linalg.norm(centers(expected)[:, None] - centers(poses)[None], axis=-1) / size
        reach = np.minimum(_REACH[0] + _REACH[1] * unseen, _REACH[2])
        growth = np.abs(np.log(np.maximum(size_a, 1.0) / np.maximum(size_b, 1.0))) / np.log(
            _GROWTH[0] + _GROWTH[1] * unseen
        )
        oks, evidence = pairwise_oks(laid_at_origin(expected), laid_at_origin(poses))
        change = np.where(evidence > 0.5, 1 - oks, 0.5)
        fits = (distance < reach) & (growth < 1) & (change < 0.9)
        return np.where(fits, distance / reach + growth + change, _FAR)

    def _see(self, person: _Person, timestamp: float, pose: Poses2D) -> None:
        velocity = (centers(pose)[0] - centers(person.pose)[0]) / max(timestamp - person.last_seen, 1e-3)
        keep = _MOMENTUM if person.hits > 1 else 0.0
        person.velocity = keep * person.velocity + (1 - keep) * velocity
        person.pose, person.last_seen = pose, timestamp

    def _begin(self, timestamp: float, pose: Poses2D) -> int:
        key, self._next_key = self._next_key, self._next_key + 1
        self._people.append(_Person(key, pose, timestamp, np.zeros(2, np.float32)))
        return key

    def _forget(self, timestamp: float) -> None:
        limits = {True: max(self.max_absence, self._patience), False: max(self.max_gap, self._patience)}
        self._people = [p for p in self._people if timestamp - p.last_seen <= limits[p.key in self.ids]]

    def _confirm(self, person: _Person) -> None:
        if person.key not in self.ids:
            self.ids[person.key], self._next_id = self._next_id, self._next_id + 1


class TrackBuilder:
    """Collects the sightings of a video, one packed array a frame, and makes tracks of them."""

    def __init__(self) -> None:
        self._frames: list[np.ndarray] = []
        self._keys: list[np.ndarray] = []
        self._rows: list[np.ndarray] = []
        self._skeleton = COCO17

    def add(self, frame_index: int, poses: Poses2D, keys: np.ndarray) -> None:
        """The poses of one frame with the keys that Tracker.update gave them."""
        kept = np.flatnonzero(keys != _NO_PERSON)
        if len(kept):
            columns = (getattr(poses, name)[kept].reshape(len(kept), -1) for name in _COLUMNS)
            self._rows.append(np.concatenate(list(columns), axis=1))
            self._keys.append(keys[kept])
            self._frames.append(np.full(len(kept), frame_index))
            self._skeleton = poses.skeleton

    def left_out(self, ids: dict[int, int]) -> int:
        """How many sightings belong to nobody in `ids` (key -> id)."""
        return sum(int(key) not in ids for keys in self._keys for key in keys)

    def tracks(self, ids: dict[int, int], timestamps: np.ndarray) -> list[Track]:
        """The tracks of everybody in `ids` (key -> id), by id; timestamps [F] s of all frames of the video."""
        if not self._rows:
            return []
        frames, keys, rows = (np.concatenate(parts) for parts in (self._frames, self._keys, self._rows))
        timestamps = np.asarray(timestamps, np.float64)
        seen = sorted((number, keys == key) for key, number in ids.items() if (keys == key).any())
        return [_track(number, frames[mine], rows[mine], timestamps, self._skeleton) for number, mine in seen]


def _track(track_id: int, seen: np.ndarray, rows: np.ndarray, timestamps: np.ndarray, skeleton: Skeleton) -> Track:
    """Every frame from the first to the last sighting; what lies between sightings is interpolated in time."""
    frame_index = np.arange(seen[0], seen[-1] + 1)
    observed = np.zeros(len(frame_index), bool)
    observed[seen - seen[0]] = True
    full = np.zeros((len(frame_index), rows.shape[1]), np.float32)
    full[observed] = rows
    times = timestamps[frame_index]
    count = skeleton.num_joints
    keypoints, sigma, boxes_xyxy = np.split(
        fill_gaps(full[:, : 4 * count + 4], observed, times), [2 * count, 4 * count], 1
    )
    return Track(
        track_id,
        frame_index,
        times,
        boxes_xyxy=boxes_xyxy,
        box_scores=full[:, -1],
        keypoints=keypoints.reshape(-1, count, 2),
        scores=full[:, 4 * count + 4 : -1],
        sigma=sigma.reshape(-1, count, 2),
        observed=observed,
        skeleton=skeleton,
    )


def _predict(people: list[_Person], timestamp: float) -> Poses2D:
    """Where everybody is expected now: the last pose, moved on by a velocity that dies away."""
    elapsed = np.array([timestamp - person.last_seen for person in people])
    travel = _COASTING * (1 - np.exp(-elapsed / _COASTING))
    shift = (np.stack([person.velocity for person in people]) * travel[:, None]).astype(np.float32)

    def stacked(name: str) -> np.ndarray:
        return np.concatenate([getattr(person.pose, name) for person in people])

    return Poses2D(
        stacked("keypoints") + shift[:, None],
        stacked("scores"),
        stacked("sigma"),
        stacked("boxes_xyxy") + np.tile(shift, 2),
        stacked("box_scores"),
        people[0].pose.skeleton,
    )
