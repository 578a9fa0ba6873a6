"""Where a person is: the way of the root in camera metres under which the 3D joints project onto the 2D keypoints.

Root-relative joints P_j seen at rays k_j (x/z and y/z) under a translation t leave the residuals
(P_j + t)_xy / (P_j + t)_z - k_j: three unknowns a frame, two equations a joint. All frames are solved for together by
Gauss-Newton steps with Huber weights, under a motion whose acceleration is white noise (Wiener-process acceleration, as
in Bar-Shalom, Li and Kirubarajan, Estimation with Applications to Tracking and Navigation, 2001, ch. 6.2). The normal
equations are banded, so time and memory grow with the frames only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve_banded, cholesky_banded

from cascadepose.errors import InputError

ACCELERATION = 0.3  # m^2/s^3, spectral density of the acceleration of a pelvis
CORRELATION = 0.3  # s for which errors of 2D and of lifted poses last: so far apart, frames say something new
_HUBER = 1.5  # standard deviations beyond which a joint counts less
_STEPS, _PATIENCE, _ENOUGH = 12, 3, 1e-4  # m, largest change of the last step that is small enough
_NEAR = 0.3  # m, joints are not taken to be nearer to the camera than this
_START = 4.0  # m, depth at which the search begins
_RIDGE = 1e-6  # 1/m^2, holds what nothing else does


@dataclass(frozen=True)
class Sight:
    """What one person's frames say about the translation.

    joints  [T, N, 3] metres, root-relative, camera axes
    rays    [T, N, 2] x/z and y/z of where these joints are seen, undistorted
    sigma   [T, N, 2] one standard deviation of the rays; a joint's own error in metres comes on top
    own     [T, N] or [N] metres, one standard deviation across the line of sight of the joints themselves
    weights [T, N] 0..1, 0 for what is not seen
    times   [T] ascending seconds
    """

    joints: np.ndarray
    rays: np.ndarray
    sigma: np.ndarray
    own: np.ndarray
    weights: np.ndarray
    times: np.ndarray

    def __post_init__(self) -> None:
        if self.rays.shape != (*self.joints.shape[:2], 2) or self.weights.shape != self.joints.shape[:2]:
            raise InputError(
                f"3D joints {self.joints.shape}, rays {self.rays.shape} and weights {self.weights.shape} do not fit"
            )
        if not (self.weights > 0).any():
            raise InputError("no joint is seen in any frame; nothing tells where the person is")


def find_root(sight: Sight) -> tuple[np.ndarray, np.ndarray]:
    """The root in camera metres [T, 3] float64 and its covariance [T, 3, 3] m^2.

    Frames in which nothing is seen follow from the motion around them, with the variance that this leaves. Raises
    InputError where nothing is seen in any frame, or shapes do not fit.
    """
    count, spacing = len(sight.times), np.diff(sight.times)
    fading = 1 / max(1.0, CORRELATION / np.median(spacing)) if count > 1 else 1.0
    motion = _motion_bands(sight.times)
    root = np.tile([0.0, 0.0, _START], (count, 1))
    for step in range(_STEPS):
        information, target = _linearize(sight, root, linear=step < _PATIENCE)
        factor = cholesky_banded(_normal_bands(motion, information * fading), lower=True)
        last, root = root, cho_solve_banded((factor, True), (target * fading).reshape(-1)).reshape(-1, 3)
        if step > _PATIENCE and np.abs(root - last).max() < _ENOUGH:
            break
    return root, _covariance(factor, len(root))


def _linearize(sight: Sight, root: np.ndarray, linear: bool) -> tuple[np.ndarray, np.ndarray]:
    """Normal equations of each frame about `root`: information [T, 3, 3] and right-hand side [T, 3].

    linear  the equations multiplied by depth, with the rays that were seen: linear in the root, so good from anywhere,
            if a little biased by their noise
    """
    place = sight.joints + root[:, None]
    depth = np.maximum(place[..., 2], _NEAR)[..., None]
    across = sight.rays if linear else place[..., :2] / depth
    miss = (place[..., :2] - sight.rays * place[..., 2:]) / depth if linear else across - sight.rays
    variance = sight.sigma**2 + (sight.own[..., None] / depth) ** 2
    distance = np.sqrt((miss**2 / variance).sum(-1))
    weight = sight.weights * np.minimum(1.0, _HUBER / np.maximum(distance, 1e-9))
    weight = weight[..., None] / variance
    slope = np.concatenate([np.broadcast_to(np.eye(2), (*across.shape, 2)), -across[..., None]], -1) / depth[..., None]
    slope = slope.reshape(len(root), -1, 3)
    miss = (slope @ root[:, :, None])[..., 0] - miss.reshape(len(root), -1)
    pressed = slope * weight.reshape(len(root), -1, 1)
    information = pressed.swapaxes(1, 2) @ slope
    target = (pressed.swapaxes(1, 2) @ miss[..., None])[..., 0]
    return information, target


def _motion_bands(times: np.ndarray) -> np.ndarray:
    """The penalty on acceleration as bands [3, T] (entries t to t + k in row k), the same for x, y and z."""
    bands = np.zeros((3, len(times)))
    if len(times) < 3:
        return bands
    before, after = np.diff(times)[:-1], np.diff(times)[1:]
    middle = (before + after) / 2
    stencil = np.stack([1 / before, -1 / before - 1 / after, 1 / after]) / middle
    weight = middle / ACCELERATION
    count = len(middle)
    for a in range(3):
        for b in range(a, 3):
            bands[b - a, a : a + count] += weight * stencil[a] * stencil[b]
    return bands


def _normal_bands(motion: np.ndarray, information: np.ndarray) -> np.ndarray:
    """motion + information for all coordinates of all frames, as lower bands [7, 3 T]."""
    lower = np.zeros((7, 3 * len(information)))
    for k in range(3):  # of motion, which binds a coordinate to itself in the next frames
        lower[3 * k] = np.repeat(motion[k], 3)
    for k in range(3):  # of a frame, which binds its coordinates to each other
        for i in range(3 - k):
            lower[k, i::3] += information[:, i + k, i]
    lower[0] += _RIDGE
    return lower


def _covariance(factor: np.ndarray, count: int) -> np.ndarray:
    """Blocks [T, 3, 3] on the diagonal of the inverse of what was factored.

    Backwards through the bands: an entry of the inverse follows from those right of and below it within the bandwidth
    (Takahashi, Fagan and Chen, Formation of a sparse bus impedance matrix, 1973), so it is exact whatever was seen.
    """
    out = np.empty((count, 3, 3))
    below = factor[1:] / factor[0]
    window = np.zeros((len(below), len(below)))  # of the inverse, from the entry before on
    for column in reversed(range(3 * count)):
        across = -window @ below[:, column]
        window[1:, 1:] = window[:-1, :-1].copy()
        window[0, 0] = 1 / factor[0, column] ** 2 - below[:, column] @ across
        window[0, 1:] = window[1:, 0] = across[:-1]
        if column % 3 == 0:
            out[column // 3] = window[:3, :3]
    return out
