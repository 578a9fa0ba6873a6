"""Human3.6M's protocols 1 (MPJPE), 2 (P-MPJPE), 3 (N-MPJPE) and MPJVE, by action, with and without damaged videos."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from cascadepose.data.recordings import Recording
from cascadepose.errors import InputError
from cascadepose.evaluation.averages import mean_of_groups, means, pooled, rounded, tally

__all__ = ["score_h36m"]

AVERAGING = (
    "frames of an action, then the mean of the actions ('frame_average': all frames alike, as training logs have it); "
    "MPJVE in mm a frame, the mean of each video weighted by its frames"
)


def score_h36m(
    recordings: Iterable[Recording],
    predict: Callable[[Recording], np.ndarray],
    leave_out_damaged: bool = False,
) -> dict[str, Any]:
    """Errors in mm of `predict(recording)` -> [T, 17, 3] metres (NaN: no answer) against the root-relative truth.

    leave_out_damaged  do not count the three videos of S9 whose truth has drifted, as MotionBERT does; the papers that
                       follow VideoPose3D count them

    Returns {"lifter": mean over actions, "frame_average": over frames, "per_action", "per_subject", "protocol"}; the
    first four hold MPJPE, P-MPJPE, N-MPJPE and MPJVE. Raises InputError where there is nothing to count.
    """
    counted, left_out, tallies = [], [], []
    for recording in recordings:
        if leave_out_damaged and recording.damaged:
            left_out.append(recording)
            continue
        counted.append(recording)
        tallies.append(tally(predict(recording), recording))
    frames = int(sum(entry["MPJPE"][1] for entry in tallies))
    if not frames:
        raise InputError("no frame to evaluate: every recording is left out, shorter than a window or not valid")
    actions = _grouped(tallies, [recording.action.split(" ")[0] for recording in counted])
    return {
        "lifter": rounded(mean_of_groups(list(actions.values()))),
        "frame_average": rounded(means(pooled(tallies))),
        "per_action": {name: rounded(values) for name, values in actions.items()},
        "per_subject": {
            name: rounded(values) for name, values in _grouped(tallies, [r.subject for r in counted]).items()
        },
        "protocol": _facts(counted, left_out, frames),
    }


def _grouped(tallies: Sequence[dict], keys: Sequence[str]) -> dict[str, dict[str, float]]:
    groups = {
        key: means(pooled(t for t, k in zip(tallies, keys, strict=True) if k == key)) for key in sorted(set(keys))
    }
    return {key: values for key, values in groups.items() if values}


def _facts(counted: list[Recording], left_out: list[Recording], frames: int) -> dict[str, Any]:
    return {
        "dataset": "Human3.6M",
        "subjects": ", ".join(dict.fromkeys(recording.subject for recording in counted)),
        "cameras": len({recording.camera for recording in counted}),
        "actions": len({recording.action.split(" ")[0] for recording in counted}),
        "videos": len(counted),
        "frames_evaluated": frames,
        "joints": "17, root-relative (pelvis at the origin), camera axes, millimetres",
        "averaging": AVERAGING,
        "damaged_videos": _damaged(counted, left_out),
    }


def _damaged(counted: list[Recording], left_out: list[Recording]) -> str:
    if left_out:
        return f"left out: {', '.join(recording.name for recording in left_out)}"
    damaged = sum(recording.damaged for recording in counted)
    return f"counted ({damaged} videos of S9)" if damaged else "none among these"
