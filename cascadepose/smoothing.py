"""Signals over time: filling gaps, resampling, smoothing. Vectorised over every axis but time, which comes first."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cascadepose.errors import InputError

if TYPE_CHECKING:
    from cascadepose.types import Track

METHODS = ("butterworth", "savgol", "none")
CUTOFF = 5.0  # Hz; the lowest at which answers from clean 2D joints lose nothing, see docs/tracking.md
_PASSES = 0.802  # what two passes of a second-order Butterworth filter do to its cutoff (Winter 2009, section 3.4.4)
_UNEVEN = 0.1  # share by which frame intervals may differ and still count as even


def fill_gaps(values: np.ndarray, known: np.ndarray, times: np.ndarray | None = None, hold: bool = False) -> np.ndarray:
    """Replace unknown entries by linear interpolation in time between the nearest known ones.

    values  [T, ..., D]
    known   [T] or [T, ...] bool, any prefix of the axes before D
    times   [T] ascending seconds; default: frame numbers
    hold    repeat the last known entry instead, as one has to where the future is not known
    Before the first and after the last known entry the nearest known value is held; a signal that is never known is
    zero. Returns an array like `values`; known entries are unchanged, what unknown ones held (even NaN) is ignored.
    """
    values = np.asarray(values)
    known = np.asarray(known, bool)
    count = len(values)
    times = np.arange(count, dtype=np.float64) if times is None else np.asarray(times, np.float64)
    column = (slice(None),) + (None,) * (known.ndim - 1)
    index = np.arange(count)[column]
    before = np.maximum.accumulate(np.where(known, index, -1), axis=0)
    after = np.minimum.accumulate(np.where(known, index, count)[::-1], axis=0)[::-1]
    before, after = (
        np.where(before < 0, after, before),
        np.where((after >= count) | (hold & (before >= 0)), before, after),
    )
    never = before >= count
    before, after = np.where(never, 0, before), np.where(never | (after < 0), 0, after)
    span = times[after] - times[before]
    weight = np.where(span > 0, (times[column] - times[before]) / np.where(span > 0, span, 1), 0)
    expand = (...,) + (None,) * (values.ndim - known.ndim)
    weight = weight[expand].astype(values.dtype)
    source = np.where(_expand(known, values), values, 0)
    first, second = (_take_time(source, i) for i in (before, after))
    filled = np.where(_expand(never, values), 0, first + (second - first) * weight)
    return np.where(_expand(known, values), values, filled).astype(values.dtype, copy=False)


def resample(values: np.ndarray, times: np.ndarray, new_times: np.ndarray) -> np.ndarray:
    """Values [T, ...] at ascending `times` [T], linearly interpolated at `new_times` [N] and held beyond the ends."""
    if len(values) == 1:
        return np.repeat(values, len(new_times), axis=0)
    right = np.clip(np.searchsorted(times, new_times, side="right"), 1, len(times) - 1)
    left = right - 1
    weight = (new_times - times[left]) / np.maximum(times[right] - times[left], 1e-12)
    weight = np.clip(weight, 0, 1).reshape((-1,) + (1,) * (values.ndim - 1)).astype(values.dtype)
    return values[left] * (1 - weight) + values[right] * weight


def smooth_track(track: Track, method: str = "butterworth", cutoff: float = CUTOFF) -> Track:
    """The track with smoothed keypoints and 3D joints, see `smooth`. Of 2D, frames without a sighting do not count."""
    keypoints = smooth(track.keypoints, track.timestamp, method, cutoff, track.observed)
    pose = track.poses3d
    if pose is not None:
        pose = replace(pose, joints=smooth(pose.joints, track.timestamp, method, cutoff))
    return replace(track, keypoints=keypoints, poses3d=pose)


def check_smoothing(method: str, cutoff: float) -> None:
    """Raise InputError for a method that does not exist, or a cutoff that is no frequency."""
    if method not in METHODS:
        raise InputError(f"unknown smoothing {method!r}; use one of: {', '.join(METHODS)}")
    if not cutoff > 0:
        raise InputError(f"cutoff {cutoff}: give a frequency in Hz above zero, such as {CUTOFF}")


def smooth(
    values: np.ndarray,
    times: np.ndarray,
    method: str = "butterworth",
    cutoff: float = CUTOFF,
    known: np.ndarray | None = None,
) -> np.ndarray:
    """Take out what is faster than `cutoff`, without delay: for signals that are there as a whole.

    values  [T, ...]
    times   [T] ascending seconds; uneven ones are evened out for the filter
    method  "butterworth": second order, forward and backward; "savgol": cubic Savitzky-Golay; "none"
    cutoff  Hz at which the amplitude is down by 3 dB; nothing changes where the frame rate cannot show it, or the
            signal is shorter than one period
    known   [T] bool; what other frames hold is not looked at: they are interpolated before
    Returns an array like `values`. Raises InputError as `check_smoothing` does.
    """
    check_smoothing(method, cutoff)
    values, times = np.asarray(values), np.asarray(times, np.float64)
    if method == "none" or len(values) < 3 or (known is not None and np.count_nonzero(known) < 3):
        return values
    filled = values if known is None else fill_gaps(values, known, times)
    steps = np.diff(times)
    even = np.median(steps)
    if (np.abs(steps - even) < _UNEVEN * even).all():
        return _filtered(filled, 1 / steps.mean(), method, cutoff).astype(values.dtype, copy=False)
    grid = np.linspace(times[0], times[-1], 1 + max(int(np.ceil((times[-1] - times[0]) / even)), 2))
    filtered = _filtered(resample(filled, times, grid), 1 / (grid[1] - grid[0]), method, cutoff)
    return resample(filtered, grid, times).astype(values.dtype, copy=False)


def _filtered(values: np.ndarray, rate: float, method: str, cutoff: float) -> np.ndarray:
    from scipy.signal import butter, savgol_filter, sosfiltfilt

    if cutoff >= 0.45 * rate or len(values) * cutoff < rate:
        return values
    if method == "savgol":
        half = min(_savgol_half(rate / cutoff), (len(values) - 1) // 2)
        return savgol_filter(values, 2 * half + 1, min(3, 2 * half), axis=0) if half else values
    design = rate / np.pi * np.arctan(np.tan(np.pi * cutoff / rate) / _PASSES)
    padding = min(len(values) - 1, int(np.ceil(3 * rate / cutoff)))
    return sosfiltfilt(butter(2, design, fs=rate, output="sos"), values, axis=0, padlen=padding)


def _savgol_half(period: float) -> int:
    """Frames to either side of a cubic Savitzky-Golay filter whose 3 dB cutoff is nearest to a period in frames."""
    from scipy.signal import savgol_coeffs

    halves = np.arange(2, int(np.ceil(1.5 * period)) + 3)
    waves = [np.cos(2 * np.pi * np.arange(-half, half + 1) / period) for half in halves]
    gains = [savgol_coeffs(2 * half + 1, 3) @ wave for half, wave in zip(halves, waves, strict=True)]
    return int(halves[np.abs(np.array(gains) - np.sqrt(0.5)).argmin()])


class OneEuro:
    """The One-Euro filter (Casiez, Roussel and Vogel, CHI 2012): for streams, it sees the past only.

    A low-pass filter whose cutoff rises with the speed of each point: little jitter at rest, little lag in motion.

    min_cutoff    Hz, of a point at rest
    beta          Hz more for each unit (of the values) a second of speed
    speed_cutoff  Hz, of the speed itself
    """

    def __init__(self, min_cutoff: float = 2.0, beta: float = 10.0, speed_cutoff: float = 2.0) -> None:
        self.min_cutoff, self.beta, self.speed_cutoff = min_cutoff, beta, speed_cutoff
        self._time = 0.0
        self._values: np.ndarray | None = None
        self._velocity: np.ndarray | None = None

    def __call__(self, time: float, values: np.ndarray, scale: float = 1.0) -> np.ndarray:
        """The smoothed values [..., D] at this time (s); points have D coordinates. `scale`: the unit of length.

        After a pause the last values count the less, the longer it was. Frames without a sighting are left out.
        """
        values = np.asarray(values)
        if self._values is None or time <= self._time:
            self._values, self._velocity, self._time = values, np.zeros_like(values), time
            return values
        step, self._time = time - self._time, time
        velocity = (values - self._values) / step
        self._velocity += _share(self.speed_cutoff, step) * (velocity - self._velocity)
        speed = np.linalg.norm(self._velocity, axis=-1, keepdims=True) / scale
        share = _share(self.min_cutoff + self.beta * speed, step)
        self._values = (self._values + share * (values - self._values)).astype(values.dtype, copy=False)
        return self._values


def _share(cutoff: float | np.ndarray, step: float) -> float | np.ndarray:
    """How much a new value counts in a first-order low-pass filter, after `step` seconds."""
    turn = 2 * np.pi * cutoff * step
    return turn / (turn + 1)


def _expand(mask: np.ndarray, values: np.ndarray) -> np.ndarray:
    return mask.reshape(mask.shape + (1,) * (values.ndim - mask.ndim))


def _take_time(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """values[index[t, ...], ...] along the first axis, where index may lack trailing axes of values."""
    if index.ndim == 1:
        return values[index]
    return np.take_along_axis(values, _expand(index, values), axis=0)
