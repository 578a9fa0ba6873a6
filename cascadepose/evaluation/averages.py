"""Errors of recordings and their averages.

A tally is {metric: (sum, weight)}: averages over any grouping follow from the same sums.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from cascadepose.data.recordings import Recording, root_relative
from cascadepose.errors import InputError
from cascadepose.evaluation.lifting import mpjpe, mpjve, n_mpjpe, p_mpjpe

__all__ = ["answered_frames", "mean_of_groups", "means", "pooled", "tally"]

PER_FRAME: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "MPJPE": mpjpe,
    "P-MPJPE": p_mpjpe,
    "N-MPJPE": n_mpjpe,
}
METRICS = (*PER_FRAME, "MPJVE")

Tally = dict[str, tuple[float, float]]


def answered_frames(pred: np.ndarray, recording: Recording) -> np.ndarray:
    """[T] bool: frames that count and that have an answer (NaN: none). InputError for another shape or infinity."""
    if pred.shape != recording.joints.shape:
        raise InputError(f"{recording.name}: {pred.shape} predicted for joints {recording.joints.shape}")
    answered = ~np.isnan(pred).any((1, 2))
    if not np.isfinite(pred[answered]).all():
        raise InputError(f"{recording.name}: predictions are infinite; the weights or the input are damaged")
    return answered & recording.valid


def tally(pred: np.ndarray, recording: Recording) -> Tally:
    """Sums of errors in mm over the frames that count: pred [T, J, 3] metres as it stands against root-relative truth.

    MPJVE is the mean over the recording's frame-to-frame steps, weighted by its frames (as VideoPose3D counts it).
    """
    frames = answered_frames(pred, recording)
    truth = root_relative(recording.joints, recording.skeleton)
    count = int(frames.sum())
    sums = {name: (float(metric(pred[frames], truth[frames]).sum()), count) for name, metric in PER_FRAME.items()}
    steps = frames[1:] & frames[:-1]
    if steps.any():
        speed = mpjve(pred, truth)[steps].mean()
        sums["MPJVE"] = (float(speed) * count, count)
    return sums


def pooled(tallies: Iterable[Tally]) -> Tally:
    """One tally of several."""
    total: dict[str, tuple[float, float]] = {}
    for entry in tallies:
        for name, (value, weight) in entry.items():
            old = total.get(name, (0.0, 0.0))
            total[name] = (old[0] + value, old[1] + weight)
    return total


def means(entry: Tally) -> dict[str, float]:
    """The mean of each metric, unrounded; metrics that nothing was counted for are left out."""
    return {name: value / weight for name, (value, weight) in entry.items() if weight}


def mean_of_groups(groups: Sequence[dict[str, float]]) -> dict[str, float]:
    """The plain mean over groups of each metric that all of them have."""
    names = [name for name in groups[0] if all(name in group for group in groups)] if groups else []
    return {name: float(np.mean([group[name] for group in groups])) for name in names}


def rounded(values: dict[str, float]) -> dict[str, float]:
    """Two decimals, for reports."""
    return {name: round(value, 2) for name, value in values.items()}
