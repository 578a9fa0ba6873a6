"""The floor: the plane on which feet stand, and with it a world with y up.

Somebody who walks in a line says nothing of how the floor tilts to the sides of it, so the plane is held by two weaker
facts, too: on average people are upright, and cameras are held about level. All three enter as normal distributions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cascadepose.rotations import cross, normalize
from cascadepose.types import Camera

ANKLE = 0.08  # m from the floor up to an ankle that stands
LEVEL = np.array([0.0, -1.0, 0.0])  # up, as a level camera sees it
_LEVEL_SPREAD = np.radians(15.0)  # of cameras
_UPRIGHT_SPREAD = np.radians(8.0)  # of the mean posture of one person
_FAR = np.radians(40.0)  # from a level camera's up: nobody stands like this
_HEIGHT_SPREAD = 0.03  # m, of ankles that stand about their plane
_TURNS = 10
_FEWEST = 3  # contacts of feet, without which nothing is fitted


@dataclass(frozen=True)
class Floor:
    """A plane in the camera frame: up [3] is its unit normal, height (m) that of the camera above it; `fitted` is False
    where too few feet stood, and the floor is assumed under the lowest feet.
    """

    up: np.ndarray
    height: float
    fitted: bool

    def above(self, points: np.ndarray) -> np.ndarray:
        """Metres [...] from the floor up to camera-frame points [..., 3]."""
        return points @ self.up + self.height


def lean(joints: np.ndarray) -> np.ndarray:
    """Unit vectors [T, 3] from the feet to the shoulders of H36M17 joints [T, 17, 3]."""
    return normalize(joints[:, [11, 14]].mean(1) - joints[:, [3, 6]].mean(1))


def rough_up(postures: list[np.ndarray]) -> np.ndarray:
    """Up [3] by the postures [T, 3] (see `lean`) of everybody and by the camera's being about level.

    Postures that lean far from a level camera's up, such as those of people who lie, say nothing.
    """
    upright = [posture[posture @ LEVEL > np.cos(_FAR)] for posture in postures]
    total = LEVEL / _LEVEL_SPREAD**2
    for posture in upright:
        if len(posture):
            total = total + posture.mean(0) / _UPRIGHT_SPREAD**2
    return normalize(total)


def fit_floor(stands: list[np.ndarray], depth_sigma: list[np.ndarray], postures: list[np.ndarray]) -> Floor | None:
    """The floor under ankles that stand; None where there are fewer than three.

    stands       of each person: [N, 3] metres, where a foot stood, in the camera frame, one a contact
    depth_sigma  [N] metres, one standard deviation of their distance
    postures     see `rough_up`
    """
    points, spread = np.concatenate(stands), np.concatenate(depth_sigma)
    if len(points) < _FEWEST:
        return None
    prior = rough_up(postures)
    precision = len(postures) / _UPRIGHT_SPREAD**2 + 1 / _LEVEL_SPREAD**2
    up, height = prior, 0.0
    rays = normalize(points)
    for _ in range(_TURNS):
        variance = _HEIGHT_SPREAD**2 + (spread * (rays @ up)) ** 2
        distance = np.abs(points @ up + height - ANKLE) if height else np.zeros(len(points))
        weight = np.minimum(1, 2 / np.maximum(distance / np.sqrt(variance), 1e-9)) / variance
        middle = weight @ points / weight.sum()
        offset = points - middle
        # Least squares over small turns of `up`: the scatter pulls it off the plane, the prior towards itself.
        scatter = (offset * weight[:, None]).T @ offset
        side = normalize(cross(up, np.eye(3)[np.abs(up).argmin()]))
        basis = np.stack([side, cross(up, side)])
        turn = np.linalg.solve(
            basis @ scatter @ basis.T + precision * np.eye(2),
            basis @ (precision * (prior - up) - scatter @ up),
        )
        up = normalize(up + turn @ basis)
        height = float(ANKLE - middle @ up)
    return Floor(up, height, fitted=True)


def level_floor(ankles: np.ndarray, up: np.ndarray) -> Floor:
    """The floor at right angles to `up` [3] under the lowest of ankles [N, 3] in the camera frame."""
    return Floor(up, float(ANKLE - np.quantile(ankles @ up, 0.05)), fitted=False)


def on_floor(camera: Camera, floor: Floor, origin: np.ndarray) -> Camera:
    """The camera with a world that has y up, z towards the camera, and its origin on the floor below (or above) the
    camera-frame point `origin` [3].
    """
    back = np.array([0.0, 0.0, -1.0]) + floor.up * floor.up[2]
    if np.linalg.norm(back) < 1e-3:  # a camera that looks straight down or up
        back = np.array([0.0, 1.0, 0.0]) * np.sign(floor.up[2])
    back = normalize(back)
    rotation = np.stack([cross(floor.up, back), floor.up, back], -1)
    place = origin - floor.above(origin) * floor.up
    return replace(camera, rotation=rotation, translation=place, world="fitted" if floor.fitted else "assumed")
