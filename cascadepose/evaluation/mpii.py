"""PCKh of MPII (Andriluka et al., CVPR 2014): joints right within half a head's size, as HRNet and PRTR report it."""

from __future__ import annotations

from typing import Any

import numpy as np

from cascadepose.data.mpii import MpiiTruth
from cascadepose.errors import InputError
from cascadepose.skeletons import MPII16

__all__ = ["head_sizes", "score_mpii"]

HEAD_SHARE = 0.6  # of the head box's diagonal
LEFT_OUT = ("pelvis", "thorax")
GROUPS = {
    "head": ("head_top",),
    "shoulder": ("left_shoulder", "right_shoulder"),
    "elbow": ("left_elbow", "right_elbow"),
    "wrist": ("left_wrist", "right_wrist"),
    "hip": ("left_hip", "right_hip"),
    "knee": ("left_knee", "right_knee"),
    "ankle": ("left_ankle", "right_ankle"),
}


def head_sizes(truth: MpiiTruth) -> np.ndarray:
    """0.6 of the head boxes' diagonals [N] px."""
    return HEAD_SHARE * np.linalg.norm(truth.head_boxes_xyxy[:, 2:] - truth.head_boxes_xyxy[:, :2], axis=1)


def score_mpii(truth: MpiiTruth, keypoints: np.ndarray, thresholds: tuple[float, ...] = (0.5, 0.1)) -> dict[str, Any]:
    """Percentages of joints within `threshold` head sizes: keypoints [N, 16, 2] px (MPII16, first pixel 0).

    Returns {"PCKh@0.5": {head, shoulder, ..., ankle, mean}, ..., "protocol"}. A pair is the mean of its two joints;
    "mean" weighs the 14 joints by how often they are labelled. Raises InputError for another shape or NaN.
    """
    if keypoints.shape != truth.keypoints.shape or not np.isfinite(keypoints).all():
        raise InputError(f"keypoints {keypoints.shape} must be finite numbers of shape {truth.keypoints.shape}")
    distances = np.linalg.norm(keypoints - truth.keypoints, axis=-1) / head_sizes(truth)[:, None]
    labelled = ~truth.missing
    report: dict[str, Any] = {f"PCKh@{t:g}": _summary((distances <= t) & labelled, labelled) for t in thresholds}
    report["protocol"] = {
        "dataset": "MPII, validation",
        "people": len(distances),
        "joints": f"14 of 16 (without {' and '.join(LEFT_OUT)})",
        "threshold": "distance <= threshold x 0.6 x diagonal of the head box",
        "averaging": "mean over joints weighted by how often each is labelled",
    }
    return report


def _summary(right: np.ndarray, labelled: np.ndarray) -> dict[str, float]:
    counts = labelled.sum(0)
    shares = 100 * right.sum(0) / np.maximum(counts, 1)
    values = {name: shares[[MPII16.index(joint) for joint in joints]].mean() for name, joints in GROUPS.items()}
    kept = [index for index, name in enumerate(MPII16.names) if name not in LEFT_OUT]
    values["mean"] = (shares[kept] * counts[kept]).sum() / max(counts[kept].sum(), 1)
    return {name: round(float(value), 2) for name, value in values.items()}
