"""BVH motion as Human3.6M joints: the hierarchy and its rotations give positions, names say which joints they are."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from cascadepose.errors import InputError
from cascadepose.skeletons import H36M17

__all__ = ["Bvh", "BvhNode", "h36m_joints", "read_bvh"]

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


@dataclass(frozen=True)
class BvhNode:
    """A node of the hierarchy: parent's index (-1: a root), offset [3] and channels ("Xposition", "Zrotation", ...)."""

    name: str
    parent: int
    offset: tuple[float, ...]
    channels: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Bvh:
    """A file: its nodes (end sites are called NAME_end), positions [T, N, 3] in the file's unit, frames a second."""

    nodes: tuple[BvhNode, ...]
    positions: np.ndarray = field(repr=False)
    rate: float

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(node.name for node in self.nodes)


def read_bvh(path: str | Path) -> Bvh:
    """Raises InputError for a file that cannot be read, is no BVH, or has fewer numbers than it says."""
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    hierarchy, found, motion = text.partition("MOTION")
    head = re.match(r"\s*Frames:\s*(\d+)\s*Frame\s+Time:\s*(\S+)\s*", motion)
    try:
        nodes = _nodes(hierarchy.split())
        width = sum(len(node.channels) for node in nodes)
        rows = np.array(motion[head.end() :].split() if found and head else [], np.float64)
        if not (head and nodes and width):
            raise ValueError("no hierarchy with channels, or no frames")
        if len(rows) < int(head[1]) * width or int(head[1]) < 1:
            raise ValueError(f"{len(rows)} numbers for {head[1]} frames of {width} channels")
        rate = 1 / float(head[2])
    except (ValueError, IndexError, ZeroDivisionError, KeyError) as error:
        raise InputError(f"{path}: is no whole BVH file ({error}); export or copy it again") from None
    rows = rows[: int(head[1]) * width].reshape(-1, width)
    if not np.isfinite(rows).all():
        raise InputError(f"{path}: holds NaN or infinite values; export it again")
    return Bvh(tuple(nodes), _positions(nodes, rows), rate)


def h36m_joints(bvh: Bvh, unit: float | None = None, up: str = "y", name: str = "motion") -> np.ndarray:
    """Joints [T, 17, 3] float32 in H36M17 order, metres, y up.

    unit  metres that the file's unit stands for; None: the one of UNITS in which the legs are most like an adult's
    up    "y" or "z", the axis of the file that points up

    Joints are known by the names of MotionBuilder, Mixamo, CMU, Daz, 3DS Max and this package. A missing spine is put
    half-way to the neck, a missing crown 0.12 m above the head joint. Raises InputError naming other joints that are
    missing.
    """
    if up not in ("y", "z"):
        raise InputError(f"up is {up!r}, expected 'y' or 'z'")
    known = {_letters(node.name): index for index, node in reversed(list(enumerate(bvh.nodes)))}
    places = {joint: _find(joint, known) for joint in H36M17.names}
    if "nose" in known:  # this package's own files: the head is the top of it
        places["head"] = known.get("head")
    missing = [joint for joint, place in places.items() if place is None and joint not in ("spine", "head")]
    if missing:
        raise InputError(f"{name}: has no joints for {', '.join(missing)}; it names {', '.join(bvh.names[:30])}")
    out = np.stack([bvh.positions[:, places[j] or 0] for j in H36M17.names], 1)
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


def _nodes(words: list[str]) -> list[BvhNode]:
    """The hierarchy's nodes, parents before children."""
    nodes: list[BvhNode] = []
    stack: list[int] = []
    position = 0
    while position < len(words):
        word = words[position]
        if word in ("ROOT", "JOINT", "End"):
            start = words.index("{", position)
            parent = stack[-1] if stack else -1
            name = f"{nodes[parent].name}_end" if word == "End" else " ".join(words[position + 1 : start])
            nodes.append(BvhNode(name, parent, (0.0, 0.0, 0.0), ()))
            stack.append(len(nodes) - 1)
            position = start + 1
        elif word == "OFFSET":
            offset = tuple(float(value) for value in words[position + 1 : position + 4])
            nodes[stack[-1]] = BvhNode(nodes[stack[-1]].name, nodes[stack[-1]].parent, offset, ())
            position += 4
        elif word == "CHANNELS":
            count = int(words[position + 1])
            node, channels = nodes[stack[-1]], tuple(words[position + 2 : position + 2 + count])
            nodes[stack[-1]] = BvhNode(node.name, node.parent, node.offset, channels)
            position += 2 + count
        else:
            if word == "}":
                stack.pop()
            position += 1
    return nodes


def _positions(nodes: list[BvhNode], rows: np.ndarray) -> np.ndarray:
    """Forward kinematics: [T, channels] degrees and lengths -> [T, N, 3]."""
    places, turns, column = [], [], 0
    for node in nodes:
        values = {channel: rows[:, column + i] for i, channel in enumerate(node.channels)}
        column += len(node.channels)
        offset = np.tile(node.offset, (len(rows), 1))
        for axis, letter in enumerate("XYZ"):
            if f"{letter}position" in values:
                offset[:, axis] = values[f"{letter}position"]
        axes = [channel[0] for channel in node.channels if channel.endswith("rotation")]
        turn = Rotation.identity(len(rows))
        if axes:
            angles = np.stack([values[f"{axis}rotation"] for axis in axes], -1)
            turn = Rotation.from_euler("".join(axes), angles, degrees=True)
        if node.parent < 0:
            places.append(offset)
            turns.append(turn)
        else:
            places.append(places[node.parent] + turns[node.parent].apply(offset))
            turns.append(turns[node.parent] * turn)
    return np.stack(places, 1)


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
