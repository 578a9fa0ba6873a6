"""Screen normalisation and pinhole cameras with distortion, each step with its inverse.

Every function takes numpy arrays or torch tensors with any leading axes and answers in the same kind. Camera axes:
x right, y down, z away from the camera (OpenCV, and Human3.6M's camera space). Image sizes are (width, height).
"""

from __future__ import annotations

import numpy as np
import torch

from cascadepose.rotations import Array, backend, quaternion_inverse, rotate


def normalize_screen(keypoints: Array, image_size: tuple[float, float]) -> Array:
    """Pixels [..., 2] -> x in -1..1 over the image width, y by the same scale (VideoPose3D's convention)."""
    width, height = image_size
    return keypoints * (2 / width) - _like(keypoints, [1.0, height / width])


def denormalize_screen(keypoints: Array, image_size: tuple[float, float]) -> Array:
    """Inverse of `normalize_screen`."""
    width, height = image_size
    return (keypoints + _like(keypoints, [1.0, height / width])) * (width / 2)


def normalize_center(keypoints: Array, image_size: tuple[float, float]) -> Array:
    """Pixels [..., 2] -> offset from the image centre, the shorter side spanning -1..1 (MotionBERT's pixel mode)."""
    half = min(image_size) / 2
    return (keypoints - _like(keypoints, [image_size[0] / 2, image_size[1] / 2])) / half


def denormalize_center(keypoints: Array, image_size: tuple[float, float]) -> Array:
    """Inverse of `normalize_center`."""
    half = min(image_size) / 2
    return keypoints * half + _like(keypoints, [image_size[0] / 2, image_size[1] / 2])


def normalize_longer(keypoints: Array, image_size: tuple[float, float]) -> Array:
    """Pixels [..., 2] -> both axes over the longer side, -1 at the top left corner (MotionBERT's action data)."""
    return keypoints * (2 / max(image_size)) - 1


def denormalize_longer(keypoints: Array, image_size: tuple[float, float]) -> Array:
    """Inverse of `normalize_longer`."""
    return (keypoints + 1) * (max(image_size) / 2)


def world_to_camera(points: Array, orientation: Array, translation: Array) -> Array:
    """World points [..., 3] -> camera frame.

    orientation  [..., 4] camera-to-world unit quaternion (w, x, y, z)
    translation  [..., 3] camera centre in world units
    """
    return rotate(quaternion_inverse(orientation), points - translation)


def camera_to_world(points: Array, orientation: Array, translation: Array) -> Array:
    """Inverse of `world_to_camera`."""
    return rotate(orientation, points) + translation


def project(points: Array, intrinsics: Array, clamp: float | None = None) -> Array:
    """Project camera-frame points [..., 3] to the image [..., 2].

    intrinsics  [..., 9]: fx, fy, cx, cy, k1, k2, k3 (radial), p1, p2 (tangential), in the units of the answer;
                its leading axes broadcast against those of `points`
    clamp       bound on |x/z| and |y/z| before distortion, where the polynomial is still monotonic (VideoPose3D: 1)
    Points must lie before the camera (z > 0).
    """
    lib = backend(points)
    ray = points[..., :2] / points[..., 2:]
    if clamp is not None:
        ray = lib.clip(ray, -clamp, clamp)
    return _distort(ray, intrinsics) * intrinsics[..., 0:2] + intrinsics[..., 2:4]


def back_project(keypoints: Array, depth: Array, intrinsics: Array, iterations: int = 20) -> Array:
    """Inverse of `project` (without clamp): image points [..., 2] and depths z [...] -> camera-frame points [..., 3].

    Distortion is undone by fixed-point iteration; it converges where the distortion is mild (|x/z| below about 1).
    """
    lib = backend(keypoints)
    distorted = (keypoints - intrinsics[..., 2:4]) / intrinsics[..., 0:2]
    ray = distorted
    for _ in range(iterations):
        ray = ray + distorted - _distort(ray, intrinsics)
    return lib.concatenate([ray, lib.ones_like(ray[..., :1])], -1) * depth[..., None]


def pinhole(focal: float, image_size: tuple[float, float]) -> np.ndarray:
    """Intrinsics [9] float32 of a camera without distortion, centred in the image; focal length in pixels."""
    width, height = image_size
    return np.array([focal, focal, width / 2, height / 2, 0, 0, 0, 0, 0], np.float32)


def flip_horizontal(points: Array, flip_index: tuple[int, ...]) -> Array:
    """Mirror centred joints [..., J, D]: negate x and exchange left with right. Its own inverse."""
    sign = _like(points, [-1.0] + [1.0] * (points.shape[-1] - 1))
    return points[..., list(flip_index), :] * sign


def _distort(ray: Array, intrinsics: Array) -> Array:
    """Brown-Conrady distortion of x/z, y/z [..., 2], radial and tangential."""
    k, p = intrinsics[..., 4:7], intrinsics[..., 7:9]
    r2 = (ray * ray).sum(-1)[..., None]
    radial = 1 + r2 * (k[..., 0:1] + r2 * (k[..., 1:2] + r2 * k[..., 2:3]))
    tangential = (p * ray).sum(-1)[..., None]
    return ray * (radial + tangential) + p * r2


def _like(x: Array, values: list[float]) -> Array:
    if isinstance(x, torch.Tensor):
        return torch.tensor(values, dtype=x.dtype, device=x.device)
    return np.asarray(values, np.result_type(x, np.float32))
