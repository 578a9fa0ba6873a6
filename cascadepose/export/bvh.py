"""3D joints as BVH, a rest skeleton and rotations over time, for Blender and other animation tools: metres, y up."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from cascadepose.export import schema
from cascadepose.export.motion import Motion, motions, write_people
from cascadepose.export.rig import NAMES, PARENTS, Rig, make_rig
from cascadepose.types import VideoResult

_TIP = 0.25  # length of a hand, a foot and the crown, which no joint marks, relative to the bone before it


def write(result: VideoResult, path: str | Path) -> list[Path]:
    """Write each person's motion; returns the files, see motion.person_paths.

    The nodes are those of rig.NAMES, the rest pose is a T-pose that faces z. Angles are degrees in the order in which
    the channels are listed. Raises InputError where nobody has 3D joints, they are not those of H36M17, a number is not
    finite, or the place cannot be written.
    """
    schema.check_finite(result)
    return write_people(Path(path), motions(result), _write_person)


def channel_order(name: str) -> str:
    """The axes of a node's rotation channels, first the outermost; the middle one should keep clear of 90 degrees."""
    if name.endswith(("hip_base", "hip", "knee", "ankle")):
        return "XYZ"  # a leg turns little about itself
    if name.endswith(("collar", "shoulder", "elbow", "wrist")):
        return "ZXY"  # an arm neither
    return "YZX"  # a trunk tilts little to the side; it may look back or turn a somersault


def continuous_angles(rotations: np.ndarray, order: str) -> np.ndarray:
    """Rotation matrices [T, 3, 3] -> intrinsic angles [T, 3] in degrees, each frame as near to the last as can be.

    Of the two sets of angles that make a rotation, and of their full turns, the nearest is taken.
    """
    with warnings.catch_warnings():  # of gimbal lock, where one of the angles is free
        warnings.simplefilter("ignore", UserWarning)
        first = Rotation.from_matrix(rotations).as_euler(order, degrees=True)
    second = first * (1, -1, 1) + 180
    angles = np.empty_like(first)
    last = np.zeros(3)
    for t, pair in enumerate(np.stack([first, second], 1)):
        pair = pair - 360 * np.round((pair - last) / 360)
        last = angles[t] = pair[np.abs(pair - last).sum(-1).argmin()]
    return angles


def _write_person(person: Motion, path: Path, name: str) -> None:
    rig = make_rig(person)
    angles = [continuous_angles(rig.rotations[:, i], channel_order(name)) for i, name in enumerate(NAMES)]
    rows = np.concatenate([rig.root, *angles], 1)
    lines = ["HIERARCHY", *_hierarchy(rig, 0, "")]
    lines += ["MOTION", f"Frames: {len(rows)}", f"Frame Time: {1 / person.rate:.9f}"]
    with path.open("w", encoding="ascii", newline="\n") as file:
        file.write("\n".join(lines) + "\n")
        np.savetxt(file, rows, "%.6f")


def _hierarchy(rig: Rig, node: int, pad: str) -> list[str]:
    """The lines of a node and of everything that hangs on it."""
    name, inner = NAMES[node], pad + "  "
    rotations = " ".join(f"{axis}rotation" for axis in channel_order(name))
    places = "" if node else "Xposition Yposition Zposition "
    lines = [
        f"{pad}{'JOINT' if node else 'ROOT'} {name}",
        f"{pad}{{",
        f"{inner}OFFSET {_numbers(rig.offsets[node])}",
        f"{inner}CHANNELS {3 if node else 6} {places}{rotations}",
    ]
    children = [child for child, parent in enumerate(PARENTS) if parent == node]
    for child in children:
        lines += _hierarchy(rig, child, inner)
    if not children:
        tip = _numbers(_TIP * rig.offsets[node])
        lines += [f"{inner}End Site", f"{inner}{{", f"{inner}  OFFSET {tip}", f"{inner}}}"]
    return [*lines, f"{pad}}}"]


def _numbers(vector: np.ndarray) -> str:
    return " ".join(f"{value:.6f}" for value in vector + 0.0)
