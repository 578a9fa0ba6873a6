"""Feeding a causal lifter: what it sees of the past of each frame, for whole tracks and for streams alike.

A lifter has a rate of its own. Its grid are the times `first frame + g / rate`; the poses of a person there are
interpolated between the frames around, which are all known as soon as the grid point has passed. A frame is answered
from the grid points before it and, as the newest token, its own pose. So the answer needs nothing that comes later,
does not lag, and costs no frame at any rate.

Windows of a lifter that answers for every frame begin `hop` grid points apart; all that fall on the last `hop` places
share one, and everything before is its context. A lifter that answers for one frame has a window for each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import nn

from cascadepose.errors import InputError
from cascadepose.smoothing import resample

_ON_GRID = 1e-3  # share of a grid interval by which a frame may miss a grid point and still lie on it


@dataclass(frozen=True)
class Layout:
    """How a causal lifter's windows lie: `context` places before the `hop` answered ones.

    tips  whether a window may end in several newest frames, at the places that `positions` names
    """

    context: int
    hop: int
    tips: bool

    @classmethod
    def of(cls, lifter: nn.Module) -> Layout:
        """The layout of a lifter that declares `causal`. Raises InputError for forms that do not say their context."""
        tips = lifter.frames_out == "all"
        if tips and not hasattr(lifter, "context"):
            raise InputError("this form of a causal lifter cannot be fed frame by frame; use the torch backend")
        context = lifter.context if tips else lifter.num_frames - 1
        return cls(context, lifter.num_frames - context, tips)

    @property
    def trunk(self) -> int:
        """Grid points in a window; the newest frames come on top."""
        return self.context + self.hop - 1

    def start(self, places: np.ndarray) -> np.ndarray:
        """First grid point of the windows in which frames at these places [...] are the newest; may be negative."""
        return places // self.hop * self.hop - self.context


def grid_places(times: np.ndarray, start: float, rate: float | None) -> np.ndarray:
    """Times [...] in grid intervals since `start`; without a rate the times are frame numbers."""
    places = (np.asarray(times, np.float64) - start) * (rate or 1.0)
    nearest = np.round(places)
    return np.where(np.abs(places - nearest) < _ON_GRID, nearest, places)


@dataclass(frozen=True)
class CausalWindows:
    """A clip cut into windows of grid points and newest frames.

    poses      [G + T, ...] each array of the clip at the grid points, then at its own frames
    index      [N, W - 1 + M] of them to feed: the trunk, then M newest frames
    frames     [N, M] frames that these are, -1 for padding
    positions  [N, M] their places in the window
    """

    poses: list[np.ndarray]
    index: np.ndarray
    frames: np.ndarray
    positions: np.ndarray


def causal_windows(layout: Layout, places: np.ndarray, *arrays: np.ndarray) -> CausalWindows:
    """The windows of a clip whose frames lie at ascending places [T] of the grid; arrays [T, ...] are its poses."""
    newest = np.ceil(places).astype(np.int64)
    points = np.arange(max(newest[-1], 1))
    poses = [np.concatenate([resample(array, places, points), array]) for array in arrays]
    group = newest // layout.hop if layout.tips else np.arange(len(places))
    firsts, counts = np.unique(group, return_index=True, return_counts=True)[1:]
    slots = np.arange(counts.max())
    frames = firsts[:, None] + np.minimum(slots, counts[:, None] - 1)
    start = layout.start(newest[firsts])[:, None]
    trunk = np.clip(start + np.arange(layout.trunk), 0, len(points) - 1)
    positions = newest[frames] - start
    index = np.concatenate([trunk, len(points) + frames], 1)
    return CausalWindows(poses, index, np.where(slots < counts[:, None], frames, -1), positions)


class CausalTrack:
    """One person's past in a stream, as long as a causal lifter looks back; memory does not grow.

    push() takes the pose of each frame, seen or held, and gives the window whose newest frame it is; `start` is then
    the first grid point of that window.
    """

    def __init__(self, layout: Layout, rate: float | None) -> None:
        self._layout, self._rate = layout, rate
        self.start = 0
        self._begin = self._last_place = 0.0
        self._last: list[np.ndarray] = []
        self._points: list[np.ndarray] = []  # of each array the newest grid points [n, ...]
        self._count = 0  # grid points passed so far

    def push(self, time: float, *arrays: np.ndarray) -> tuple[list[np.ndarray], int]:
        """Arrays [...] of a frame later than all before -> each array's window [trunk + 1, ...], place of its end."""
        arrays = [np.asarray(array) for array in arrays]
        if not self._last:
            self._begin, self._last = time, arrays
            self._points = [array[None] for array in arrays]
            self._count = 1
        place = float(grid_places(np.float64(time), self._begin, self._rate))
        newest = int(np.ceil(place))
        self._pass(newest, place, arrays)
        self._last, self._last_place = arrays, place
        self.start = int(self._layout.start(np.int64(newest)))
        oldest = self._count - len(self._points[0])
        rows = np.clip(self.start + np.arange(self._layout.trunk), 0, max(self._count - 1, 0)) - oldest
        windows = [
            np.concatenate([points[rows], array[None]]) for points, array in zip(self._points, arrays, strict=True)
        ]
        return windows, newest - self.start

    def _pass(self, newest: int, place: float, arrays: list[np.ndarray]) -> None:
        """Take up the grid points before `newest`; of a long pause only as many as will be looked at."""
        kept = self._layout.trunk + 1
        points = np.arange(max(self._count, newest - kept), newest)
        if not len(points):
            return
        times = np.array([self._last_place, place])
        for number, (before, now) in enumerate(zip(self._last, arrays, strict=True)):
            passed = resample(np.stack([before, now]), times, points)
            self._points[number] = np.concatenate([self._points[number], passed])[-kept:]
        self._count = newest
