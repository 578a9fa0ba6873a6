"""The size of a body by its limbs: the only scale that one camera can be told."""

from __future__ import annotations

import numpy as np

from cascadepose.errors import InputError
from cascadepose.skeletons import H36M17

# Limbs by the joints at their ends: thighs, shanks, lower and upper trunk, upper arms and forearms.
LIMBS = (
    *(("right_hip", "right_knee"), ("left_hip", "left_knee")),
    *(("right_knee", "right_ankle"), ("left_knee", "left_ankle")),
    *(("pelvis", "spine"), ("spine", "thorax")),
    *(("right_shoulder", "right_elbow"), ("left_shoulder", "left_elbow")),
    *(("right_elbow", "right_wrist"), ("left_elbow", "left_wrist")),
)
_STARTS, _ENDS = ([H36M17.index(name) for name in ends] for ends in zip(*LIMBS, strict=True))

# Their sum for a stature of 1. Of stature are thigh 0.245, shank 0.246, trunk from hip to shoulder 0.288, upper arm
# 0.186, forearm 0.146 (Drillis and Contini 1966; in Winter, Biomechanics and Motor Control of Human Movement).
LIMBS_PER_STATURE = 2 * (0.245 + 0.246) + 0.288 + 2 * (0.186 + 0.146)
# Lifters shorten limbs along the line of sight. With this quantile in place of the median, distances of people in
# motion capture were nearly right on average.
_TYPICAL = 0.6
PLAUSIBLE = 0.4, 2.8  # m
ADULT = 0.05  # relative standard deviation of the statures of adults, women and men together


def stature(joints: np.ndarray, observed: np.ndarray | None = None) -> float:
    """How tall a person with these limbs usually is: H36M17 joints [T, 17, 3] metres -> metres.

    From the length of each limb that 60 % of the observed frames [T] (of all, if none is) stay below.
    """
    seen = joints if observed is None or not np.any(observed) else joints[observed]
    lengths = np.linalg.norm(seen[:, _STARTS] - seen[:, _ENDS], axis=-1)
    return float(np.quantile(lengths, _TYPICAL, axis=0).sum() / LIMBS_PER_STATURE)


def check_height(height: float) -> float:
    """A stature in metres. Raises InputError where no person has it."""
    if not PLAUSIBLE[0] <= height <= PLAUSIBLE[1]:
        low, high = PLAUSIBLE
        raise InputError(f"height {height} is no person's in metres; give a number from {low} to {high}")
    return float(height)
