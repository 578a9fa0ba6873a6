"""3D joints as GLB (binary glTF 2.0): everybody as an animated, skinned skeleton, for browsers and Blender.

The glTF 2.0 specification (Khronos) has metres, y up and z towards the viewer, as in motion.Motion.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from cascadepose.export import schema
from cascadepose.export.motion import Motion, motions
from cascadepose.export.rig import NAMES, PARENTS, Rig, make_rig
from cascadepose.files import atomic_path
from cascadepose.rotations import cross, matrix_to_quaternion, normalize
from cascadepose.types import VideoResult

_FLOAT, _BYTE = 5126, 5121  # component types
_TYPES = {(): "SCALAR", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}
_COLORS = ((0.95, 0.45, 0.2), (0.2, 0.6, 0.95), (0.35, 0.75, 0.35), (0.85, 0.35, 0.75), (0.9, 0.75, 0.2))
_THICKNESS = 0.09  # of a bone, relative to its length


def write(result: VideoResult, path: str | Path) -> list[Path]:
    """Write one file with everybody; the time of the animation is that of the video.

    Nodes are named person_ID/NAME after rig.NAMES. Raises InputError where nobody has 3D joints, they are not those of
    H36M17, a number is not finite, or the place cannot be written.
    """
    schema.check_finite(result)
    scene = _Scene()
    for number, person in enumerate(motions(result)):
        scene.add(person, make_rig(person), _COLORS[number % len(_COLORS)], float(result.timestamps[0]))
    with atomic_path(path) as temporary:
        temporary.write_bytes(scene.to_bytes())
    return [Path(path)]


class _Scene:
    """A glTF document and its one buffer while they grow."""

    def __init__(self) -> None:
        lists = ("nodes", "meshes", "skins", "materials", "accessors", "bufferViews")
        self.content: dict[str, Any] = {name: [] for name in lists}
        self.animation: dict[str, Any] = {"name": "motion", "channels": [], "samplers": []}
        self.roots: list[int] = []
        self.data = bytearray()

    def add(self, person: Motion, rig: Rig, color: tuple[float, float, float], zero: float) -> None:
        """A person: nodes, animation, skin, mesh. `zero`: s, the time at which the animation begins."""
        nodes, name = self.content["nodes"], f"person_{person.track_id}"
        first = len(nodes)
        for node, joint in enumerate(NAMES):
            entry = {"name": f"{name}/{joint}", "translation": rig.offsets[node].tolist()}
            children = [first + child for child, parent in enumerate(PARENTS) if parent == node]
            nodes.append(entry | ({"children": children} if children else {}))
        nodes[first]["translation"] = rig.root[0].tolist()
        self._animate(person, rig, first, zero)
        rest = _rest_places(rig)
        unbind = np.tile(np.eye(4), (len(NAMES), 1, 1))
        unbind[:, 3, :3] = -rest  # column by column
        joints = [first + node for node in range(len(NAMES))]
        skin = {"name": name, "joints": joints, "skeleton": first, "inverseBindMatrices": self._accessor(unbind)}
        self.content["skins"].append(skin)
        self._mesh(name, rig, rest, color)
        skin, mesh = len(self.content["skins"]) - 1, len(self.content["meshes"]) - 1
        nodes.append({"name": name, "mesh": mesh, "skin": skin})
        self.roots += [first, len(nodes) - 1]

    def to_bytes(self) -> bytes:
        """The file: a header, the document, the buffer."""
        document = {
            "asset": {"version": "2.0", "generator": "cascadepose"},
            "scene": 0,
            "scenes": [{"nodes": self.roots}],
            **self.content,
            "animations": [self.animation],
            "buffers": [{"byteLength": len(self.data)}],
        }
        text = json.dumps(document, allow_nan=False, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(self.data), b"BIN\0")
        return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks) + len(self.data)) + chunks + bytes(self.data)

    def _animate(self, person: Motion, rig: Rig, first: int, zero: float) -> None:
        times = self._accessor(person.times - zero, bounds=True)
        tracks = [(first, "translation", rig.root)]
        tracks += [(first + node, "rotation", _quaternions(rig.rotations[:, node])) for node in range(len(NAMES))]
        for node, path, values in tracks:
            sampler = {"input": times, "output": self._accessor(values), "interpolation": "LINEAR"}
            self.animation["samplers"].append(sampler)
            target = {"node": node, "path": path}
            self.animation["channels"].append({"sampler": len(self.animation["samplers"]) - 1, "target": target})

    def _mesh(self, name: str, rig: Rig, rest: np.ndarray, color: tuple[float, float, float]) -> None:
        """Every bone as a long double pyramid that moves with the node at its beginning."""
        bones = [(PARENTS[node], node) for node in range(len(NAMES)) if rig.offsets[node].any()]
        if not bones:
            bones = [(0, 0)]
        places = np.concatenate([_double_pyramid(rest[start], rest[end]) for start, end in bones])
        joints = np.zeros((len(places), 4))
        joints[:, 0] = np.repeat([start for start, _ in bones], len(places) // len(bones))
        weights = np.zeros((len(places), 4))
        weights[:, 0] = 1
        attributes = {
            "POSITION": self._accessor(places, bounds=True),
            "JOINTS_0": self._accessor(joints, _BYTE),
            "WEIGHTS_0": self._accessor(weights),
        }
        look = {"baseColorFactor": [*color, 1], "metallicFactor": 0, "roughnessFactor": 0.6}
        self.content["materials"].append({"name": name, "pbrMetallicRoughness": look, "doubleSided": True})
        primitive = {"attributes": attributes, "material": len(self.content["materials"]) - 1}
        self.content["meshes"].append({"name": name, "primitives": [primitive]})

    def _accessor(self, values: np.ndarray, component: int = _FLOAT, bounds: bool = False) -> int:
        """Append an array [N, ...] to the buffer; returns its number."""
        values = np.ascontiguousarray(values, "<f4" if component == _FLOAT else np.uint8)
        view = {"buffer": 0, "byteOffset": len(self.data), "byteLength": values.nbytes}
        self.content["bufferViews"].append(view)
        self.data += values.tobytes() + b"\0" * (-values.nbytes % 4)
        entry = {"bufferView": len(self.content["bufferViews"]) - 1, "componentType": component, "count": len(values)}
        entry["type"] = _TYPES[values.shape[1:]]
        if bounds:
            rows = values.reshape(len(values), -1)
            entry |= {"min": rows.min(0).tolist(), "max": rows.max(0).tolist()}
        self.content["accessors"].append(entry)
        return len(self.content["accessors"]) - 1


def _rest_places(rig: Rig) -> np.ndarray:
    """Where the nodes are in the rest pose [N, 3], the pelvis at the origin."""
    places = np.zeros_like(rig.offsets)
    for node, parent in enumerate(PARENTS[1:], 1):
        places[node] = places[parent] + rig.offsets[node]
    return places


def _quaternions(rotations: np.ndarray) -> np.ndarray:
    """Matrices [T, 3, 3] -> quaternions (x, y, z, w) [T, 4], each on the side of the one before it."""
    q = matrix_to_quaternion(rotations)
    flips = np.where((q[1:] * q[:-1]).sum(-1) < 0, -1.0, 1.0)
    q[1:] *= np.cumprod(flips)[:, None]
    return np.roll(q, -1, axis=1)


def _double_pyramid(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Corners [24, 3] of eight triangles around the line from `start` to `end`, thickest at a fifth of it."""
    along = end - start
    one = cross(along, np.eye(3)[np.abs(along).argmin()])
    two = cross(along, one)
    size = _THICKNESS * np.linalg.norm(along)
    ring = [start + 0.2 * along + size * normalize(side) for side in (one, two, -one, -two)]
    pairs = [(ring[i], ring[(i + 1) % 4]) for i in range(4)]
    return np.array([corner for a, b in pairs for corner in (start, b, a, end, a, b)])
