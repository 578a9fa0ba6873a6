"""Rotations as unit quaternions (w, x, y, z) and 3x3 matrices, each with its inverse.

Every function takes numpy arrays or torch tensors with any leading axes and answers in the same kind; torch paths are
differentiable.
"""

from __future__ import annotations

import numpy as np
import torch

Array = np.ndarray | torch.Tensor

_NEXT, _AFTER = [1, 2, 0], [2, 0, 1]


def backend(x: Array):
    """The module (numpy or torch) that `x` belongs to."""
    return torch if isinstance(x, torch.Tensor) else np


def cross(a: Array, b: Array) -> Array:
    """Cross product of vectors [..., 3]; for small numpy arrays several times as fast as np.cross."""
    if isinstance(a, torch.Tensor):
        return torch.linalg.cross(a, b)
    return a[..., _NEXT] * b[..., _AFTER] - a[..., _AFTER] * b[..., _NEXT]


def normalize(x: Array, eps: float = 1e-12) -> Array:
    """Scale the last axis to unit length; a zero vector stays zero."""
    lib = backend(x)
    length = lib.sqrt((x * x).sum(-1))[..., None]
    return x / lib.clip(length, eps, None)


def quaternion_inverse(q: Array) -> Array:
    """Conjugate of unit quaternions [..., 4]."""
    lib = backend(q)
    return lib.concatenate([q[..., :1], -q[..., 1:]], -1)


def quaternion_multiply(a: Array, b: Array) -> Array:
    """Hamilton product [..., 4]: rotating by `b`, then by `a`."""
    lib = backend(a)
    real = a[..., :1] * b[..., :1] - (a[..., 1:] * b[..., 1:]).sum(-1)[..., None]
    imaginary = a[..., :1] * b[..., 1:] + b[..., :1] * a[..., 1:] + cross(a[..., 1:], b[..., 1:])
    return lib.concatenate([real, imaginary], -1)


def rotate(q: Array, v: Array) -> Array:
    """Rotate vectors v [..., 3] by unit quaternions q [..., 4]; leading axes broadcast."""
    lib = backend(v)
    v = v + 0 * q[..., :1]
    axis = q[..., 1:] + lib.zeros_like(v)
    uv = cross(axis, v)
    return v + 2 * (q[..., :1] * uv + cross(axis, uv))


def quaternion_to_matrix(q: Array) -> Array:
    """Unit quaternions [..., 4] -> rotation matrices [..., 3, 3]."""
    lib = backend(q)
    w, x, y, z = (q[..., i] for i in range(4))
    rows = [
        lib.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], -1),
        lib.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], -1),
        lib.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1),
    ]
    return lib.stack(rows, -2)


def matrix_to_quaternion(m: Array) -> Array:
    """Rotation matrices [..., 3, 3] -> unit quaternions [..., 4] with w >= 0.

    The four candidates of Shepperd's method; the one with the largest pivot is taken, so no angle is special.
    """
    lib = backend(m)
    a, b, c = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    squares = lib.stack([1 + a + b + c, 1 + a - b - c, 1 - a + b - c, 1 - a - b + c], -1)
    d01, d02, d12 = m[..., 1, 0] - m[..., 0, 1], m[..., 0, 2] - m[..., 2, 0], m[..., 2, 1] - m[..., 1, 2]
    s01, s02, s12 = m[..., 1, 0] + m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0], m[..., 2, 1] + m[..., 1, 2]
    candidates = lib.stack(
        [
            lib.stack([squares[..., 0], d12, d02, d01], -1),
            lib.stack([d12, squares[..., 1], s01, s02], -1),
            lib.stack([d02, s01, squares[..., 2], s12], -1),
            lib.stack([d01, s02, s12, squares[..., 3]], -1),
        ],
        -2,
    )
    best = squares.argmax(-1)[..., None, None]
    if isinstance(m, torch.Tensor):
        q = torch.take_along_dim(candidates, best, -2)[..., 0, :]
    else:
        q = np.take_along_axis(candidates, best, -2)[..., 0, :]
    q = normalize(q)
    return lib.where(q[..., :1] < 0, -q, q)


def axis_angle_to_quaternion(axis: Array, angle: Array) -> Array:
    """Rotation by `angle` [...] radians about `axis` [..., 3] -> unit quaternions [..., 4]."""
    lib = backend(axis)
    half = (angle / 2)[..., None]
    axis = normalize(axis) + 0 * half
    return lib.concatenate([lib.cos(half), lib.sin(half) * axis], -1)


def quaternion_to_axis_angle(q: Array) -> tuple[Array, Array]:
    """Unit quaternions [..., 4] -> (axis [..., 3], angle [...] in 0..pi); the axis of no rotation is zero."""
    lib = backend(q)
    q = lib.where(q[..., :1] < 0, -q, q)
    sine = lib.sqrt((q[..., 1:] * q[..., 1:]).sum(-1))
    atan2 = torch.atan2 if lib is torch else np.arctan2
    return normalize(q[..., 1:]), 2 * atan2(sine, q[..., 0])


def look_at(eye: Array, target: Array, up: Array, roll: Array) -> Array:
    """Camera-to-world quaternions [..., 4] of cameras at `eye` [..., 3] that look at `target`.

    Camera axes are x right, y down, z forward; `up` is the world's up direction; positive `roll` [...] (radians) turns
    the camera clockwise about its viewing axis. `up` must not be parallel to the viewing direction.
    """
    lib = backend(eye)
    forward = normalize(target - eye)
    right = normalize(cross(forward, up + 0 * forward))
    down = cross(forward, right)
    upright = matrix_to_quaternion(lib.stack([right, down, forward], -1))
    z = lib.zeros_like(forward)
    z[..., 2] = 1
    return quaternion_multiply(upright, axis_angle_to_quaternion(z, roll))
