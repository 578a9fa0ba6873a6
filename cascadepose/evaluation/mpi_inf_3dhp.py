"""MPI-INF-3DHP's protocol: MPJPE over 17 joints, PCK at 150 mm and its area under the curve over 14 (Mehta et al., 3DV
2017, and the evaluation code of the data set)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from cascadepose.data.recordings import Recording, root_relative
from cascadepose.errors import InputError
from cascadepose.evaluation.averages import answered_frames
from cascadepose.evaluation.lifting import MILLIMETRES

__all__ = ["GROUPS", "JOINTS_14", "THRESHOLDS", "auc", "joint_errors", "pck", "score_3dhp"]

GROUPS = {  # of MPI_INF_3DHP17; pelvis, spine and the lower head joint are in none
    "head": (0,),
    "neck": (1,),
    "shoulders": (2, 5),
    "elbows": (3, 6),
    "wrists": (4, 7),
    "hips": (8, 11),
    "knees": (9, 12),
    "ankles": (10, 13),
}
JOINTS_14 = tuple(joint for group in GROUPS.values() for joint in group)
LIMIT = 150.0
THRESHOLDS = np.arange(0, 151, 5)  # mm; 0 is one of the 31, so that no AUC reaches 100


def joint_errors(pred: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Distances in mm, joint by joint: [..., J, 3] metres -> [..., J]."""
    return MILLIMETRES * np.linalg.norm(pred - target, axis=-1)


def pck(errors: np.ndarray, threshold: float = LIMIT) -> float:
    """Percentage of errors [...] mm below the threshold (not at it)."""
    return 100 * float((errors < threshold).mean())


def auc(errors: np.ndarray) -> float:
    """Mean of `pck` over THRESHOLDS."""
    return float(np.mean([pck(errors, threshold) for threshold in THRESHOLDS]))


def score_3dhp(recordings: Iterable[Recording], predict: Callable[[Recording], np.ndarray]) -> dict[str, Any]:
    """Scores of `predict(recording)` -> [T, 17, 3] metres (NaN: no answer) on the valid frames, root-relative.

    Returns {"lifter": {...}, "per_sequence", "per_joint_group" (PCK), "protocol"}; metrics are MPJPE (17 joints),
    PCK@150 and AUC (14 joints), and both again over all 17. Every frame counts alike. Raises InputError where there is
    nothing to count.
    """
    errors: dict[str, np.ndarray] = {}
    for recording in recordings:
        pred = predict(recording)
        frames = answered_frames(pred, recording)
        truth = root_relative(recording.joints, recording.skeleton)
        errors[recording.name] = joint_errors(pred[frames], truth[frames])
    everything = np.concatenate(list(errors.values())) if errors else np.zeros((0, 17))
    if not len(everything):
        raise InputError("no frame to evaluate: no recording has valid frames with an answer")
    return {
        "lifter": _summary(everything),
        "per_sequence": {name: _summary(values) for name, values in errors.items() if len(values)},
        "per_joint_group": {name: round(pck(everything[:, list(group)]), 2) for name, group in GROUPS.items()},
        "protocol": {
            "dataset": "MPI-INF-3DHP",
            "subjects": ", ".join(errors),
            "frames_evaluated": len(everything),
            "joints": "MPJPE over 17 joints, root included; PCK and AUC over 14 (without pelvis, spine and lower head)",
            "truth": "universal skeleton (univ_annot3), root-relative (pelvis at the origin), camera axes",
            "thresholds": "PCK: error < 150 mm; AUC: mean PCK at 0, 5, ..., 150 mm (31 thresholds)",
            "averaging": "all valid frames of all sequences alike",
        },
    }


def _summary(errors: np.ndarray) -> dict[str, float]:
    fourteen = errors[:, list(JOINTS_14)]
    values = {
        "MPJPE (17 joints)": float(errors.mean()),
        "PCK@150 (14 joints)": pck(fourteen),
        "AUC (14 joints)": auc(fourteen),
        "PCK@150 (17 joints)": pck(errors),
        "AUC (17 joints)": auc(errors),
    }
    return {name: round(value, 2) for name, value in values.items()}
