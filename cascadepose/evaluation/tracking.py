"""Who is who: how often a tracker changes its mind, against a list of who really was where.

ID switches as CLEAR MOT counts them (Bernardin and Stiefelhagen, EURASIP JIVP 2008); IDF1 of Ristani et al. (ECCVW
2016): the share of sightings that carry the right id when each person is given the one id that fits best.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from cascadepose.errors import InputError
from cascadepose.types import Track


@dataclass(frozen=True)
class Sightings:
    """Who is where: frames [N], ids [N], points [N, 2] px (the middle of what is seen of a person)."""

    frames: np.ndarray
    ids: np.ndarray
    points: np.ndarray

    def between(self, first: int, last: int) -> Sightings:
        """Those in frames first..last."""
        inside = (self.frames >= first) & (self.frames <= last)
        return Sightings(self.frames[inside], self.ids[inside], self.points[inside])


def read_sightings(path: str | Path) -> Sightings:
    """A hand-made list: {"people": {id: [[frame, x, y], ...]}}, ascending; in between, people move evenly.

    Raises InputError for a file that cannot be read or holds something else.
    """
    try:
        people = json.loads(Path(path).read_text("utf-8"))["people"]
        knots = {int(name): np.array(rows, np.float64).reshape(-1, 3) for name, rows in people.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: is no list of who is where ({' '.join(str(error).split())})") from None
    parts = []
    for number, rows in knots.items():
        frames = np.arange(int(rows[0, 0]), int(rows[-1, 0]) + 1)
        points = np.stack([np.interp(frames, rows[:, 0], rows[:, axis]) for axis in (1, 2)], -1)
        parts.append((frames, np.full(len(frames), number), points))
    return Sightings(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def sightings_of(tracks: list[Track] | tuple[Track, ...]) -> Sightings:
    """Where the tracks say that people were seen; frames that were filled do not count."""
    frames = [track.frame_index[track.observed] for track in tracks]
    ids = [np.full(len(part), track.track_id) for part, track in zip(frames, tracks, strict=True)]
    points = [track.boxes_xyxy[track.observed].reshape(-1, 2, 2).mean(1) for track in tracks]
    empty = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 2)))
    return Sightings(*(np.concatenate([none, *part]) for none, part in zip(empty, (frames, ids, points), strict=True)))


def identity_scores(truth: Sightings, found: Sightings, reach: float) -> dict[str, float]:
    """Compare ids of what was found with the truth; points up to `reach` pixels apart can be the same person.

    Returns counts: people, ids (used), switches (a person's id is not the one of the last time), sightings (true ones),
    misses, false (found where nobody is); and idf1 in 0..1.
    """
    last: dict[int, int] = {}
    switches = hits = 0
    people, truth_column = np.unique(truth.ids, return_inverse=True)
    ids, found_column = np.unique(found.ids, return_inverse=True)
    together = np.zeros((len(people), len(ids)), np.int64)
    for frame in np.union1d(truth.frames, found.frames):
        rows, columns = np.flatnonzero(truth.frames == frame), np.flatnonzero(found.frames == frame)
        distance = np.linalg.norm(truth.points[rows][:, None] - found.points[columns][None], axis=-1)
        near = distance <= reach
        np.add.at(together, (truth_column[rows][:, None], found_column[columns][None]), near)
        kept = np.array([[last.get(person) == number for number in found.ids[columns]] for person in truth.ids[rows]])
        cost = np.where(near, distance - 1e3 * reach * kept.reshape(near.shape), 1e6 * reach)  # who was matched stays
        for row, column in zip(*linear_sum_assignment(cost), strict=True):
            if near[row, column]:
                person, number = int(truth.ids[rows[row]]), int(found.ids[columns[column]])
                switches += last.get(person, number) != number
                last[person] = number
                hits += 1
    best = together[linear_sum_assignment(together, maximize=True)].sum() if together.size else 0
    return {
        "people": len(people),
        "ids": len(ids),
        "switches": int(switches),
        "sightings": len(truth.frames),
        "misses": len(truth.frames) - hits,
        "false": len(found.frames) - hits,
        "idf1": float(2 * best / max(len(truth.frames) + len(found.frames), 1)),
    }
