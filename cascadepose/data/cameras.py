"""Virtual cameras around a motion, and what they see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cascadepose.geometry import pinhole, project, world_to_camera
from cascadepose.rotations import look_at

ASPECTS = ((1280, 720), (1280, 720), (720, 1280), (1000, 1000), (960, 720), (720, 960))
NEAR = 0.3  # metres; what comes closer to the camera plane is projected as if it were this far


@dataclass(frozen=True)
class VirtualCamera:
    """A static camera: world poses in, pixels out.

    orientation  [4] camera-to-world quaternion
    translation  [3] camera centre, metres
    intrinsics   [9] in pixels (see geometry.project)
    image_size   (width, height) pixels
    """

    orientation: np.ndarray
    translation: np.ndarray
    intrinsics: np.ndarray
    image_size: tuple[int, int]

    def see(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World points [..., 3] -> camera-frame points [..., 3] and pixels [..., 2]."""
        camera = world_to_camera(points, self.orientation, self.translation)
        before = camera.copy()
        before[..., 2] = np.maximum(before[..., 2], NEAR)
        return camera, project(before, self.intrinsics)


def random_camera(
    joints: np.ndarray, rng: np.random.Generator, whole: bool, sizes: Sequence[tuple[int, int]] = ASPECTS
) -> VirtualCamera:
    """A camera that looks at the motion `joints` [T, J, 3] (world, metres, y up).

    Any side, elevation about 7 +- 13 degrees, roll 3 degrees, field of view 30 to 80 degrees over the longer side, the
    standing person 30 to 95 % of the image height. `whole`: far enough back to keep the entire motion in view;
    otherwise the person may leave the image, which is how truncated people come about. sizes: (width, height) of the
    image, to draw from.
    """
    width, height = sizes[rng.integers(len(sizes))]
    focal = max(width, height) / (2 * np.tan(np.radians(rng.uniform(30, 80)) / 2))
    low, high = joints.min((0, 1)), joints.max((0, 1))
    person = (joints[..., 1].max(-1) - joints[..., 1].min(-1)).mean()
    distance = max(person, 1.2) * focal / (height * rng.uniform(0.3, 0.95))
    target = (low + high) / 2
    if whole:
        reach = np.linalg.norm((high - low)[[0, 2]]) / 2
        distance = max(distance, reach * (1 + 2 * focal / width), 1.5)
    else:
        target = target + rng.normal(0, [0.2, 0.15, 0.2])
    distance = max(distance, 1.2)
    yaw = rng.uniform(0, 2 * np.pi)
    elevation = np.clip(np.radians(rng.normal(7, 13)), -0.35, 0.9)
    offset = np.array([np.cos(elevation) * np.sin(yaw), np.sin(elevation), np.cos(elevation) * np.cos(yaw)])
    eye = target + distance * offset
    orientation = look_at(eye, target, np.array([0.0, 1.0, 0.0]), np.asarray(np.radians(rng.normal(0, 3))))
    return VirtualCamera(
        orientation.astype(np.float32), eye.astype(np.float32), pinhole(focal, (width, height)), (width, height)
    )
