"""BVH motion: a hierarchy of nodes and its rotations over time give positions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from cascadepose.errors import InputError

__all__ = ["Bvh", "BvhNode", "read_bvh"]


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
