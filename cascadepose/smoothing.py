"""Signals over time: filling gaps and resampling. Vectorised over every axis but time, which comes first."""

import numpy as np


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


def _expand(mask: np.ndarray, values: np.ndarray) -> np.ndarray:
    return mask.reshape(mask.shape + (1,) * (values.ndim - mask.ndim))


def _take_time(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """values[index[t, ...], ...] along the first axis, where index may lack trailing axes of values."""
    if index.ndim == 1:
        return values[index]
    return np.take_along_axis(values, _expand(index, values), axis=0)
