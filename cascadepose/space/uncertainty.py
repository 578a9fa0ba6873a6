"""From 2D to 3D: how far off lifted joints are, by what the 2D stage says of its own errors.

An error of the 2D stage is an error across the line of sight of its size in pixels times depth over focal length, s. A
lifter passes a part of it on, turns some of it into depth, and adds errors of its own, so variances are
a^2 + (b s)^2 across and c^2 + (d s)^2 along the line of sight. The four numbers of a joint were fitted to the errors of
the packaged lifter on training motion with detector-like noise, such that 68 % of them are smaller; docs/space.md has
what they cover on other motion.
"""

from __future__ import annotations

import numpy as np

from cascadepose.skeletons import H36M17
from cascadepose.types import Camera, Track

GROWTH = 0.3  # m/s by which the pose of a person becomes less certain while nobody sees it
FLOOR = 0.5  # px, no 2D joint is surer than this

_TABLE = {  # a (m), b, c (m), d
    "pelvis": (0.0, 0.0, 0.0, 0.0),
    "hip": (0.009, 0.244, 0.015, 0.233),
    "knee": (0.023, 0.635, 0.060, 0.987),
    "ankle": (0.032, 0.692, 0.105, 1.016),
    "spine": (0.017, 0.239, 0.021, 0.511),
    "thorax": (0.018, 0.498, 0.032, 1.065),
    "nose": (0.024, 0.854, 0.048, 2.529),
    "head": (0.033, 1.026, 0.067, 2.849),
    "shoulder": (0.022, 0.552, 0.046, 1.190),
    "elbow": (0.024, 0.527, 0.061, 0.640),
    "wrist": (0.027, 0.544, 0.094, 0.640),
}
_ROWS = np.array([_TABLE[name.rpartition("_")[2]] for name in H36M17.names])
OWN = _ROWS[:, 0]  # m, across the line of sight, of H36M17 joints with perfect 2D


def joint_sigma(track: Track, depth: np.ndarray, camera: Camera) -> np.ndarray:
    """One standard deviation (m) along camera axes of root-relative H36M17 joints: [T, 17, 3].

    depth [T] metres to the person. Away from the image centre, lines of sight are taken to be along z. While nobody
    sees the person, the standard deviation grows with the time to the nearest frame in which somebody does.
    """
    pixels = np.maximum(track.sigma, FLOOR)
    pixels = track.skeleton.convert(pixels, to=H36M17)[0]  # of a mean: at most the mean of theirs
    across = pixels / camera.focal * depth[:, None, None]
    along = across.mean(-1, keepdims=True)
    variance = np.concatenate(
        [_ROWS[:, :1] ** 2 + (_ROWS[:, 1:2] * across) ** 2, _ROWS[:, 2:3] ** 2 + (_ROWS[:, 3:] * along) ** 2], -1
    )
    unseen = (GROWTH * seconds_unseen(track.timestamp, track.observed)) ** 2
    moving = np.arange(H36M17.num_joints)[:, None] > 0  # the pelvis is the origin
    return np.sqrt(variance + unseen[:, None, None] * moving).astype(np.float32)


def seconds_unseen(times: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Seconds [T] to the nearest observed frame; zero where none is."""
    if not observed.any():
        return np.zeros(len(times))
    seen = times[observed]
    right = np.searchsorted(seen, times)
    before, after = seen[np.maximum(right - 1, 0)], seen[np.minimum(right, len(seen) - 1)]
    return np.minimum(np.abs(times - before), np.abs(after - times))
