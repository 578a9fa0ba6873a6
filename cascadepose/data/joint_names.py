"""Which of a file's nodes or markers are Human3.6M's joints, by the names that animation and motion capture use."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from cascadepose.errors import InputError
from cascadepose.skeletons import H36M17

__all__ = ["h36m_joints"]

LEG = 0.84  # metres of thigh and shin of an adult
UNITS = (1.0, 0.01, 0.001, 0.0254, 0.0254 / 0.45)  # metres in a file's unit: m, cm, mm, inch, CMU's own
# Names of joints, the most telling first; sides are put before them. Letters only, lower case.
SIDED = {
    "hip": "upleg thigh upperleg hip",
    "knee": "leg shin knee lowleg lowerleg calf",
    "ankle": "foot ankle",
    "shoulder": "arm shldr uparm upperarm shoulder",
    "elbow": "forearm elbow lowarm lowerarm",
    "wrist": "hand wrist",
}
MIDDLE = {
    "pelvis": "hips pelvis hip root",
    "spine": "spine1 chest abdomen spine",
    "thorax": "thorax neck neck1 neckbase",
    "nose": "nose head",
    "head": "headend headtop headtopend headnub",
}


def h36m_joints(
    names: Sequence[str], positions: np.ndarray, unit: float | None = None, up: str = "y", where: str = "motion"
) -> np.ndarray:
    """Positions [T, N, 3] of named nodes or markers -> joints [T, 17, 3] float32 in H36M17 order, metres, y up.

    unit  metres that the file's unit stands for; None: the one of UNITS in which the legs are most like an adult's
    up    "y" or "z", the axis of the file that points up

    Joints are known by the names of MotionBuilder, Mixamo, CMU, Daz, 3DS Max and this package. A missing spine is put
    half-way to the neck, a missing crown 0.12 m above the head joint. Raises InputError naming other joints that are
    missing.
    """
    if up not in ("y", "z"):
        raise InputError(f"up is {up!r}, expected 'y' or 'z'")
    known = {_letters(name): index for index, name in reversed(list(enumerate(names)))}
    places = {joint: _find(joint, known) for joint in H36M17.names}
    if "nose" in known:  # this package's own files: the head is the top of it
        places["head"] = known.get("head")
    missing = [joint for joint, place in places.items() if place is None and joint not in ("spine", "head")]
    if missing:
        raise InputError(f"{where}: has no joints for {', '.join(missing)}; it names {', '.join(names[:30])}")
    out = np.stack([positions[:, places[j] or 0] for j in H36M17.names], 1)
    pelvis, thorax, nose = (out[:, H36M17.index(joint)] for joint in ("pelvis", "thorax", "nose"))
    legs = np.linalg.norm(out[:, [2, 3, 5, 6]] - out[:, [1, 2, 4, 5]], axis=-1).mean() * 2
    unit = min(UNITS, key=lambda value: abs(np.log(max(legs, 1e-9) * value / LEG))) if unit is None else unit
    if places["spine"] is None:
        out[:, H36M17.index("spine")] = (pelvis + thorax) / 2
    if places["head"] is None:
        above = (nose - thorax) / np.maximum(np.linalg.norm(nose - thorax, axis=-1, keepdims=True), 1e-9)
        out[:, H36M17.index("head")] = nose + 0.12 / unit * above
    out = out if up == "y" else np.stack([out[..., 0], out[..., 2], -out[..., 1]], -1)
    return (out * unit).astype(np.float32)


def _find(joint: str, known: dict[str, int]) -> int | None:
    """The node that stands for a joint: by the table's order, with the side in any of its spellings."""
    side, _, part = joint.partition("_")
    if not part:
        spellings = MIDDLE[joint].split()
    else:
        letter = side[0]
        spellings = [
            form for name in SIDED[part].split() for form in (side + name, letter + name, name + letter, name + side)
        ]
    return next((known[spelling] for spelling in spellings if spelling in known), None)


def _letters(name: str) -> str:
    """A node's name without name space, "mixamorig" and separators, in lower case."""
    return re.sub(r"[^a-z0-9]", "", name.rsplit(":", 1)[-1].lower()).removeprefix("mixamorig")
