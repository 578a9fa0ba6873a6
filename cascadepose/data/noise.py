"""Detector-like errors on ideal 2D joints: what a 2D stage gets wrong, and the scores it gives.

Every error is proportional to the person's size in the image, as far and as often off as was measured of a 2D stage
(`error_model.py`). One clip draws its own detector: how large its errors are, how they hang together in time, how well
its scores tell.
"""

from __future__ import annotations

import numpy as np

from cascadepose.data.error_model import ERROR_BINS, ErrorModel, read_error_model
from cascadepose.skeletons import COCO17
from cascadepose.smoothing import fill_gaps

SWAPS = (  # joint pairs that a detector confuses together: everything, arms, legs
    COCO17.flip_pairs,
    COCO17.flip_pairs[3:5],
    COCO17.flip_pairs[5:],
)
_SWAPPED, _ASTRAY = 5, 3  # frames that a swapped or misplaced joint stays so, at most


def person_size(keypoints: np.ndarray) -> float:
    """Root of the typical box area of keypoints [T, K, 2], in their unit; never below 1."""
    extent = np.median(keypoints.max(1) - keypoints.min(1), axis=0)
    return float(max(np.sqrt(extent[0] * extent[1]), extent.max() / 2, 1.0))


def detect(
    keypoints: np.ndarray,
    image_size: tuple[int, int],
    rng: np.random.Generator,
    level: float | None = None,
    errors: ErrorModel | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """What a detector might report for true keypoints [T, 17, 2] px: keypoints [T, 17, 2], scores [T, 17] in 0..1.

    level   size and number of the errors, 1 for those of `errors`; None draws 0.15 to 1.3
    errors  measured errors; None are those of the packaged 2D stage
    Frames without a detection come back filled by `fill_gaps` with score 0, as a tracker delivers them.
    """
    errors = read_error_model() if errors is None else errors
    count = len(keypoints)
    level = rng.uniform(0.15, 1.3) if level is None else level
    size = person_size(keypoints)
    scale = (np.float32(errors.spread) * size * level).astype(np.float32)[:, None]
    seen = swap_sides(keypoints, rng, np.float32(errors.swap_rate) * level)
    outside = _outside(keypoints, image_size)
    lost = spans(count, 17, rng, rate=0.004 * level, longest=8)
    factor = np.where(lost | outside, 3.0, 1.0).astype(np.float32)[..., None]
    seen = seen + scale * factor * correlated_noise(count, rng)
    astray = spans(count, 17, rng, rate=_start_rate(np.float32(errors.outlier_rate) * level, _ASTRAY), longest=_ASTRAY)
    away = rng.standard_normal(seen.shape, np.float32) * (np.float32(errors.outlier_spread) * size / 1.25)[:, None]
    seen = np.where(astray[..., None], seen + away, seen)
    border = np.asarray(image_size, np.float32)
    seen = np.where(outside[..., None], np.clip(seen, -0.02 * border, 1.02 * border), seen).astype(np.float32)
    relative = np.linalg.norm(seen - keypoints, axis=-1) / (size * np.float32(errors.spread))
    scores = judge(relative, errors, lost | outside, rng)
    return drop_frames(seen, scores, rng)


def correlated_noise(count: int, rng: np.random.Generator) -> np.ndarray:
    """Noise [count, 17, 2] of unit variance: a bias of the clip, a slow part (about six frames) and a white part."""
    keys = max(count // 6, 1) + 1
    key_times = np.linspace(0, max(count - 1, 1), keys)
    nodes = rng.standard_normal((keys, 17, 2), np.float32)
    times = np.arange(count)
    right = np.clip(np.searchsorted(key_times, times, side="right"), 1, keys - 1)
    weight = (times - key_times[right - 1]) / (key_times[right] - key_times[right - 1])
    weight = weight.astype(np.float32)[:, None, None]
    slow = nodes[right - 1] * (1 - weight) + nodes[right] * weight
    bias, white = rng.standard_normal((1, 17, 2), np.float32), rng.standard_normal((count, 17, 2), np.float32)
    return np.float32(0.55) * bias + np.float32(0.85) * slow + np.float32(0.45) * white


def swap_sides(keypoints: np.ndarray, rng: np.random.Generator, rate: np.ndarray) -> np.ndarray:
    """Exchange left and right for short spans: of single joints, in `rate` [17] of the frames, and now and then, in one
    clip of sixteen and in proportion in longer ones, of whole limbs.
    """
    count, flip = len(keypoints), list(COCO17.flip_index)
    alone = spans(count, 17, rng, rate=_start_rate(rate, _SWAPPED), longest=_SWAPPED)
    out = np.where(alone[..., None], keypoints[:, flip], keypoints)
    for _ in range(rng.poisson(count / 16 / 27)):
        pairs = SWAPS[rng.integers(len(SWAPS))]
        start = rng.integers(count)
        span = slice(start, start + rng.integers(1, 9))
        left, right = [list(side) for side in zip(*pairs, strict=True)]
        out[span, left], out[span, right] = out[span, right], out[span, left]
    return out


def spans(count: int, joints: int, rng: np.random.Generator, rate: float | np.ndarray, longest: int) -> np.ndarray:
    """Mask [count, joints] of spans of 1..longest frames that start with probability `rate` per joint and frame."""
    length = np.where(rng.random((count, joints)) < rate, rng.integers(1, longest + 1, (count, joints)), 0)
    end = np.maximum.accumulate(np.arange(count)[:, None] + length, axis=0)
    return end > np.arange(count)[:, None]


def _start_rate(share: np.ndarray, longest: int) -> np.ndarray:
    """How often spans of 1..longest frames have to start so that they cover this share of the frames."""
    mean = (longest + 1) / 2
    return share / (mean * (1 - np.minimum(share, 0.9)) + share)


def judge(relative: np.ndarray, errors: ErrorModel, hard: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Scores [T, 17] for errors of so many standard deviations [T, 17], drawn from those that were measured for such
    errors; `hard` joints are known to be doubtful.

    Gain and gamma are drawn per clip, for other detectors are calibrated otherwise. A joint keeps part of its rank.
    """
    table = np.float32(errors.scores)
    place = np.interp(relative, ERROR_BINS, np.arange(len(ERROR_BINS), dtype=np.float32))
    own, now = rng.random((1, relative.shape[1])), rng.random(relative.shape)
    rank = np.where(rng.random(relative.shape) < 0.5, own, now) * (table.shape[1] - 1)
    low, left = np.floor(place).astype(int), np.floor(rank).astype(int)
    high, right = np.minimum(low + 1, len(table) - 1), np.minimum(left + 1, table.shape[1] - 1)
    x, y = place - low, rank - left
    scores = (1 - x) * ((1 - y) * table[low, left] + y * table[low, right])
    scores = scores + x * ((1 - y) * table[high, left] + y * table[high, right])
    scores = np.where(hard, scores * rng.uniform(0.1, 0.6), scores)
    scores = np.clip(scores, 0.02, 1) ** rng.uniform(0.7, 1.4) * rng.uniform(0.8, 1.0)
    return scores.astype(np.float32)


def drop_frames(keypoints: np.ndarray, scores: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Lose the person for whole frames now and then; the gaps are filled and score 0."""
    missing = spans(len(keypoints), 1, rng, rate=0.008, longest=6)[:, 0]
    if missing.all() or not missing.any():
        return keypoints, scores
    return fill_gaps(keypoints, ~missing), np.where(missing[:, None], 0, scores).astype(np.float32)


def _outside(keypoints: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    return ((keypoints < 0) | (keypoints > np.asarray(image_size))).any(-1)
