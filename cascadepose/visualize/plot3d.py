"""A small picture of a 3D skeleton standing on a floor, drawn fast enough for every frame of a video."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from cascadepose.skeletons import H36M17, Skeleton
from cascadepose.visualize.style import MIDDLE, Color, draw_dot, draw_line, edge_colors

_TOP, _BOTTOM = (38, 42, 50), (24, 26, 32)  # background, from top to bottom
_GRID, _SHADOW = (64, 70, 82), (13, 14, 18)
_UNSEEN = (96, 102, 112)
_DISTANCE = 5.0  # m from the eye to the middle of the body
_BODY = 1.7  # m, the height that fills most of the picture


def floor_height(joints: np.ndarray, smooth: int = 7) -> np.ndarray:
    """How far below the pelvis the floor lies in each frame [T] (m): the lowest joint, smoothed over `smooth` frames.

    joints [T,J,3] root-relative metres, y down. With the floor under the feet a squat is seen as one.
    """
    lowest = joints[..., 1].max(1)
    half = min(smooth, 2 * len(lowest) - 1) // 2
    padded = np.pad(lowest, half, mode="reflect") if half else lowest
    return np.convolve(padded, np.full(2 * half + 1, 1 / (2 * half + 1)), mode="valid")


class Panel:
    """A view of one person at a time, from slightly above and `yaw` degrees to the side of the camera."""

    def __init__(self, width: int, height: int, yaw: float = 28.0, pitch: float = 12.0) -> None:
        self.width, self.height = width, height
        self._rotation = _look(yaw, pitch)
        self._focal = 0.82 * min(height, width * 1.25) * _DISTANCE / _BODY
        self._empty = self._background()

    def empty(self) -> np.ndarray:
        """The floor with nobody on it: uint8 [height,width,3] RGB."""
        return self._empty.copy()

    def draw(
        self, joints: np.ndarray, floor: float, scale: float = 1.0, seen: bool = True, skeleton: Skeleton = H36M17
    ) -> np.ndarray:
        """One skeleton: uint8 [height,width,3] RGB.

        joints [J,3] metres root-relative (x right, y down, z away); floor: metres from the pelvis down to the floor;
        scale: makes bodies fit that are larger than usual; seen: False draws it in grey.
        """
        image = self.empty()
        body = (joints - (0, floor, 0)) * scale  # feet at the floor
        points, depth = self._project(body)
        shadow, _ = self._project(body * (1, 0, 1))
        unit = min(self.height, self.width * 1.25) / 300
        for a, b in skeleton.edges:
            draw_line(image, shadow[a], shadow[b], _SHADOW, 4.5 * unit)
        colors = edge_colors(skeleton)
        order = np.argsort([-depth[list(edge)].mean() for edge in skeleton.edges], kind="stable")
        for edge in order:
            a, b = skeleton.edges[edge]
            near = _DISTANCE / depth[[a, b]].mean()
            color = _shade(colors[edge] if seen else _UNSEEN, near)
            draw_line(image, points[a], points[b], color, 4.2 * unit * near)
            for joint in (a, b):
                draw_dot(image, points[joint], _shade(MIDDLE if seen else _UNSEEN, near), 2.6 * unit * near)
        return image

    def _project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points [N,3] m with the floor at y = 0 -> pixels [N,2] and distance from the eye [N]."""
        seen = (points + np.array((0, 0.46 * _BODY, 0))) @ self._rotation.T
        depth = np.maximum(seen[:, 2] + _DISTANCE, 0.5)
        return seen[:, :2] / depth[:, None] * self._focal + (self.width / 2, self.height * 0.5), depth

    def _background(self) -> np.ndarray:
        blend = np.linspace(0, 1, self.height)[:, None, None]
        image = np.array(_TOP) * (1 - blend) + np.array(_BOTTOM) * blend
        image = np.ascontiguousarray(np.broadcast_to(image, (self.height, self.width, 3)).astype(np.uint8))
        lines = image.copy()
        for offset in np.linspace(-1, 1, 9):
            for ends in (((-1, 0, offset), (1, 0, offset)), ((offset, 0, -1), (offset, 0, 1))):
                (a, b), _ = self._project(np.array(ends, float))
                draw_line(lines, a, b, _GRID, min(self.height, self.width * 1.25) / 400)
        return cv2.addWeighted(lines, 0.8, image, 0.2, 0)


def fitting_scale(joints: np.ndarray) -> float:
    """The factor under which the largest extent over a whole track [T,J,3] fits the picture; 1 for usual bodies."""
    tall = np.ptp(joints[..., 1], axis=1).max()
    wide = 2 * np.abs(joints[..., [0, 2]]).max()
    return float(min(1.0, 1.1 * _BODY / max(tall, wide, 1e-3)))


@lru_cache(maxsize=8)
def _look(yaw: float, pitch: float) -> np.ndarray:
    """Rotation [3,3] of a camera-frame point into the view."""
    a, b = np.deg2rad([yaw, pitch])
    turn = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    tilt = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return tilt @ turn


def _shade(color: Color, near: float) -> Color:
    """Darker when further away than the middle of the body."""
    light = float(np.clip(1 + 2.2 * (near - 1), 0.55, 1.0))
    return tuple(int(channel * light) for channel in color)
