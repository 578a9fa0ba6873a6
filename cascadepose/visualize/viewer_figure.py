"""One person in a viser scene: limbs as rods, joints as balls, a ring on the ground, the id above the head."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from cascadepose.rotations import axis_angle_to_quaternion, cross, normalize
from cascadepose.visualize.scene import Figure
from cascadepose.visualize.style import edge_colors, person_color

_ROD, _BALL, _RING = 0.02, 0.026, 0.27  # m, radii
_MIDDLE, _UNSEEN = (112, 120, 134), (176, 180, 187)  # RGB that can be told from a light and from a dark ground


class DrawnFigure:
    """The handles of one person, moved from frame to frame.

    server: a viser.ViserServer whose scene has y up; figure: who it is. All of it hangs on the node people/ID.
    """

    def __init__(self, server: Any, figure: Figure) -> None:
        self.figure = figure
        number, skeleton = figure.track.track_id, figure.track.poses3d.skeleton
        name, scene = f"people/{number}", server.scene
        self._edges = np.array(skeleton.edges)
        sides = [color if min(color) < 200 else _MIDDLE for color in edge_colors(skeleton)]
        self._colors = {True: _linear(sides), False: _linear([_UNSEEN] * len(sides))}
        self._node = scene.add_frame(name, show_axes=False, visible=False)
        self._rods = scene.add_batched_meshes_simple(
            f"{name}/limbs", *_rod(), *_turns(figure.joints[0][self._edges]), batched_colors=self._colors[True],
            batched_scales=np.ones((len(sides), 3), np.float32), lod="off",
        )  # fmt: skip
        upright = np.tile(np.array([1, 0, 0, 0], np.float32), (skeleton.num_joints, 1))
        self._balls = scene.add_batched_meshes_simple(
            f"{name}/joints", *_ball(), upright, figure.joints[0], batched_colors=_linear(_MIDDLE), lod="off"
        )
        self._ring = scene.add_mesh_simple(
            f"{name}/ring", *_ring(), color=person_color(number), side="double", cast_shadow=False
        )
        self._label = scene.add_label(f"{name}/id", str(number), anchor="bottom-center")
        self._row: int | None = None

    def show(self, frame_index: int, visible: bool = True) -> None:
        """Take the pose of a frame; nothing is seen where the person is not in it, or is switched off."""
        row = self.figure.track.row(frame_index)
        shown = visible and row is not None
        if shown and row != self._row:
            self._pose(row)
            self._row = row
        if self._node.visible != shown:
            self._node.visible = shown

    def _pose(self, row: int) -> None:
        joints = self.figure.joints[row]
        limbs = joints[self._edges]
        lengths = np.linalg.norm(limbs[:, 1] - limbs[:, 0], axis=-1)
        turns, middles = _turns(limbs)
        self._rods.batched_positions, self._rods.batched_wxyzs = middles, turns
        self._rods.batched_scales = np.stack([np.ones_like(lengths), np.ones_like(lengths), lengths], -1)
        self._rods.batched_colors = self._colors[bool(self.figure.track.observed[row])]
        self._balls.batched_positions = joints
        root = joints[self.figure.root]
        self._ring.position = (root[0], 0.004, root[2])
        top = joints[joints[:, 1].argmax()]
        self._label.position = (top[0], top[1] + 0.1, top[2])


def _linear(colors: Any) -> np.ndarray:
    """The colours of batched meshes are shown as amounts of light, those of all else as sRGB."""
    return np.round(255 * (np.asarray(colors) / 255) ** 2.2).astype(np.uint8)


def _turns(limbs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of limbs [N,2,3] -> the turns [N,4] (wxyz) that bring z along them, and their middles [N,3]."""
    along = normalize(limbs[:, 1] - limbs[:, 0])
    z = np.zeros_like(along) + np.array((0, 0, 1), along.dtype)
    axis, angle = cross(z, along), np.arccos(np.clip(along[:, 2], -1, 1))
    axis[np.abs(axis).max(-1) < 1e-6] = (1, 0, 0)  # parallel: any axis does
    return axis_angle_to_quaternion(axis, angle).astype(np.float32), limbs.mean(1)


@lru_cache(maxsize=1)
def _rod() -> tuple[np.ndarray, np.ndarray]:
    """1 m along z."""
    return _lathe(np.array((_ROD, _ROD)), np.array((-0.5, 0.5)))


@lru_cache(maxsize=1)
def _ball() -> tuple[np.ndarray, np.ndarray]:
    angles = np.linspace(-np.pi / 2, np.pi / 2, 13)
    return _lathe(_BALL * np.cos(angles), _BALL * np.sin(angles))


@lru_cache(maxsize=1)
def _ring() -> tuple[np.ndarray, np.ndarray]:
    """Flat, in the plane of the ground."""
    vertices, faces = _lathe(np.array((_RING - 0.012, _RING)), np.zeros(2), 64)
    return vertices[:, [0, 2, 1]], faces


def _lathe(radii: np.ndarray, heights: np.ndarray, around: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """The surface of a profile [P] turned about z: vertices [P * around, 3], triangles seen from outside."""
    angles = np.linspace(0, 2 * np.pi, around, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles), np.zeros(around)], -1)
    vertices = radii[:, None, None] * circle + heights[:, None, None] * np.array((0, 0, 1))
    index = np.arange(len(radii) * around).reshape(len(radii), around)
    low, high = index[:-1], index[1:]
    corners = (low, np.roll(low, -1, 1), np.roll(high, -1, 1)), (low, np.roll(high, -1, 1), high)
    faces = np.concatenate([np.stack(three, -1).reshape(-1, 3) for three in corners])
    return vertices.reshape(-1, 3).astype(np.float32), faces
