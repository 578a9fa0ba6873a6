"""HumanEva-I's protocol: errors by action and subject, over the validation chunks (VideoPose3D, section 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from cascadepose.data.recordings import Recording
from cascadepose.errors import InputError
from cascadepose.evaluation.averages import mean_of_groups, means, pooled, rounded, tally

__all__ = ["score_humaneva"]


def score_humaneva(recordings: Iterable[Recording], predict: Callable[[Recording], np.ndarray]) -> dict[str, Any]:
    """Errors in mm of `predict(recording)` -> [T, 15, 3] metres (NaN: no answer) against the root-relative truth.

    Returns {"lifter": mean over the cells of the table, "per_action": {action: {subject: errors}}, "protocol"}. Raises
    InputError where there is nothing to count.
    """
    tallies: dict[tuple[str, str], list] = {}
    counted = []
    for recording in recordings:
        action, subject = recording.action.split(" ")[0], recording.subject.split("/")[-1]
        tallies.setdefault((action, subject), []).append(tally(predict(recording), recording))
        counted.append(recording)
    cells = {key: values for key, entries in tallies.items() if (values := means(pooled(entries)))}
    if not cells:
        raise InputError("no frame to evaluate: no recording has frames with an answer")
    actions = sorted({action for action, _ in cells})
    frames = pooled(entry for entries in tallies.values() for entry in entries)["MPJPE"][1]
    return {
        "lifter": rounded(mean_of_groups(list(cells.values()))),
        "per_action": {
            action: {subject: rounded(values) for (name, subject), values in cells.items() if name == action}
            for action in actions
        },
        "protocol": {
            "dataset": "HumanEva-I",
            "subjects": ", ".join(dict.fromkeys(recording.subject for recording in counted)),
            "cameras": len({recording.camera for recording in counted}),
            "actions": ", ".join(actions),
            "frames_evaluated": int(frames),
            "joints": "15, root-relative (pelvis at the origin), camera axes, millimetres",
            "averaging": "frames of all cameras and chunks of an action of a subject, then the mean of these cells",
        },
    }
