"""Detector-like errors on ideal 2D joints: what a 2D stage gets wrong, and the scores it gives.

Every error is proportional to the person's size in the image. One clip draws its own detector: how large its errors
are, how they hang together in time, how well its scores tell.
"""

from __future__ import annotations

import numpy as np

from cascadepose.skeletons import COCO17
from cascadepose.smoothing import fill_gaps

# One standard deviation relative to the person's size (root of the box area): the face, then pairs of shoulders,
# elbows, wrists, hips, knees, ankles in COCO17 order. Wrists and ankles are the worst, as in every detector.
SPREAD = np.repeat(np.float32([0.025, 0.045, 0.06, 0.085, 0.06, 0.06, 0.085]), [5, 2, 2, 2, 2, 2, 2])
SWAPS = (  # joint pairs that a detector confuses together: everything, arms, legs, single ends
    COCO17.flip_pairs,
    COCO17.flip_pairs[3:5],
    COCO17.flip_pairs[5:],
    COCO17.flip_pairs[4:5],
    COCO17.flip_pairs[7:],
)


def person_size(keypoints: np.ndarray) -> float:
    """Root of the typical box area of keypoints [T, K, 2], in their unit; never below 1."""
    extent = np.median(keypoints.max(1) - keypoints.min(1), axis=0)
    return float(max(np.sqrt(extent[0] * extent[1]), extent.max() / 2, 1.0))


def detect(
    keypoints: np.ndarray, image_size: tuple[int, int], rng: np.random.Generator, level: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """What a detector might report for true keypoints [T, 17, 2] px: keypoints [T, 17, 2], scores [T, 17] in 0..1.

    level  size of the errors, 1 for a detector whose spread is SPREAD; None draws 0.15 to 1.3
    Frames without a detection come back filled by `fill_gaps` with score 0, as a tracker delivers them.
    """
    count = len(keypoints)
    level = rng.uniform(0.15, 1.3) if level is None else level
    size = person_size(keypoints)
    scale = (SPREAD * size * level).astype(np.float32)[:, None]
    seen = swap_sides(keypoints, rng)
    outside = _outside(keypoints, image_size)
    lost = spans(count, 17, rng, rate=0.004 * level, longest=8)
    factor = np.where(lost | outside, 3.0, 1.0).astype(np.float32)[..., None]
    seen = seen + scale * factor * correlated_noise(count, rng)
    outlier = rng.random((count, 17)) < 0.006 * level
    seen = np.where(outlier[..., None], seen + rng.uniform(-0.6, 0.6, seen.shape) * size, seen)
    border = np.asarray(image_size, np.float32)
    seen = np.where(outside[..., None], np.clip(seen, -0.02 * border, 1.02 * border), seen).astype(np.float32)
    scores = judge(np.linalg.norm(seen - keypoints, axis=-1), size, lost | outside, rng)
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


def swap_sides(keypoints: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exchange left and right of some joints for a short span, in one clip of six; in proportion in longer ones."""
    count = len(keypoints)
    out = keypoints.copy()
    for _ in range(rng.poisson(0.18 * max(count, 27) / 27)):
        pairs = SWAPS[rng.integers(len(SWAPS))]
        start = rng.integers(count)
        span = slice(start, start + rng.integers(1, 9))
        left, right = [list(side) for side in zip(*pairs, strict=True)]
        out[span, left], out[span, right] = out[span, right], out[span, left]
    return out


def spans(count: int, joints: int, rng: np.random.Generator, rate: float, longest: int) -> np.ndarray:
    """Mask [count, joints] of spans of 1..longest frames that start with probability `rate` per joint and frame."""
    length = np.where(rng.random((count, joints)) < rate, rng.integers(1, longest + 1, (count, joints)), 0)
    end = np.maximum.accumulate(np.arange(count)[:, None] + length, axis=0)
    return end > np.arange(count)[:, None]


def judge(error: np.ndarray, size: float, hard: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Scores [T, 17] in 0..1 that fall with the error [T, 17] px, imperfectly; `hard` joints are known to be doubtful.

    Gain and gamma are drawn per clip: the calibration of the detector that will be used is not known here.
    """
    quality = np.exp(-error / (2.5 * SPREAD * size))
    scores = 0.25 + 0.75 * quality + rng.normal(0, 0.12, error.shape)
    scores = np.where(hard, scores * rng.uniform(0.1, 0.6), scores)
    scores = np.clip(scores, 0.02, 1) ** rng.uniform(0.6, 1.8) * rng.uniform(0.7, 1.0)
    return scores.astype(np.float32)


def drop_frames(keypoints: np.ndarray, scores: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Lose the person for whole frames now and then; the gaps are filled and score 0."""
    missing = spans(len(keypoints), 1, rng, rate=0.008, longest=6)[:, 0]
    if missing.all() or not missing.any():
        return keypoints, scores
    return fill_gaps(keypoints, ~missing), np.where(missing[:, None], 0, scores).astype(np.float32)


def _outside(keypoints: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    return ((keypoints < 0) | (keypoints > np.asarray(image_size))).any(-1)
