"""A walker whose standing feet do not move, and what a known camera sees of it."""

from dataclasses import replace

import numpy as np
import pytest

from cascadepose.data.cameras import VirtualCamera
from cascadepose.evaluation.space import film, side_camera
from cascadepose.types import Poses3D

THIGH, SHANK, SPEED, PERIOD, STANCE = 0.435, 0.44, 0.9, 1.1, 0.6


def make_walker(times: np.ndarray) -> np.ndarray:
    """World joints [T, 21, 3] m, y up, of a body that walks along x with planted feet: H36M17, then eyes and ears."""
    joints = np.zeros((len(times), 21, 3))
    pelvis = np.stack([SPEED * times, 0.88 + 0 * times, 0 * times], -1)
    places = {0: (0, 0, 0), 7: (0, 0.24, 0), 8: (0, 0.49, 0), 9: (0.11, 0.65, 0), 10: (0.02, 0.79, 0)}
    places |= {17: (0.09, 0.69, -0.03), 18: (0.09, 0.69, 0.03), 19: (0, 0.67, -0.07), 20: (0, 0.67, 0.07)}
    for joint, place in places.items():
        joints[:, joint] = pelvis + place
    for side, first, shoulder, offset in ((-1, 4, 11, 0.0), (1, 1, 14, 0.5)):  # the left is at -z
        hip, ankle = pelvis + np.array([0, 0, 0.12 * side]), _foot(times, offset)
        ankle[:, 2] = 0.12 * side
        joints[:, first], joints[:, first + 2] = hip, ankle
        joints[:, first + 1] = _knee(hip, ankle)
        swing = 0.4 * np.sin(2 * np.pi * (times / PERIOD + offset))
        arm = np.stack([np.sin(swing), -np.cos(swing), 0 * swing], -1)
        joints[:, shoulder] = pelvis + np.array([0, 0.49, 0.17 * side])
        joints[:, shoulder + 1] = joints[:, shoulder] + 0.285 * arm
        joints[:, shoulder + 2] = joints[:, shoulder + 1] + 0.25 * arm
    return joints.astype(np.float32)


def _foot(times: np.ndarray, offset: float) -> np.ndarray:
    step, phase = np.divmod(times / PERIOD + offset, 1)
    swing = np.clip((phase - STANCE) / (1 - STANCE), 0, 1)
    x = SPEED * PERIOD * (step + STANCE / 2 - offset + swing**2 * (3 - 2 * swing))
    return np.stack([x, 0.08 + 0.12 * np.sin(np.pi * swing), 0 * x], -1)


def _knee(hip: np.ndarray, ankle: np.ndarray) -> np.ndarray:
    way = ankle - hip
    length = np.linalg.norm(way, axis=-1, keepdims=True)
    x = (THIGH**2 - SHANK**2 + length**2) / (2 * length)
    side = np.array([1.0, 0, 0]) - way * way[:, :1] / length**2
    side /= np.linalg.norm(side, axis=-1, keepdims=True)
    return hip + x * way / length + np.sqrt(THIGH**2 - x**2) * side


@pytest.fixture(scope="session")
def view() -> VirtualCamera:
    """A camera 5.3 m from where the walks are, 1.7 m above the floor, that looks down a little."""
    return side_camera()


@pytest.fixture(scope="session")
def make_film(view):
    """make_film(frames=75, rate=25.0, noise=0.0): the truth [T, 17, 3] and a result whose track has true 3D joints."""

    def make(frames: int = 75, rate: float = 25.0, noise: float = 0.0):
        truth, result = film(make_walker(np.arange(frames) / rate), view, rate)
        track, rng = result.tracks[0], np.random.default_rng(0)
        keypoints = track.keypoints + noise * rng.standard_normal(track.keypoints.shape)
        joints = truth - truth[:, :1] + 0.002 * noise * rng.standard_normal(truth.shape) * (np.arange(17) > 0)[:, None]
        sigma = np.full_like(track.sigma, noise)
        track = replace(track, keypoints=keypoints, sigma=sigma, poses3d=Poses3D(joints))
        return truth, replace(result, tracks=(track,))

    return make
