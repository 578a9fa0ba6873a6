"""Synthetic people in 3D, and readers of the files that know nothing of the writers."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from cascadepose.skeletons import COCO17, H36M17
from cascadepose.types import Poses3D, Track, VideoResult


@pytest.fixture(scope="session")
def readers(module_at) -> ModuleType:
    """The module readers.py beside this file: read_bvh, read_trc, read_c3d, read_glb, read_csv."""
    return module_at(Path(__file__).with_name("readers.py"))


@pytest.fixture
def make_walkers():
    """make_walkers(people=1, frames=60, fps=25, noise=0.004, frame="camera", lifted=True): people who walk a circle,
    swing bent arms and look about; their joints jitter by `noise` metres, and frames 10 to 14 are unobserved.
    """

    def make(people=1, frames=60, fps=25.0, noise=0.004, frame="camera", lifted=True, times=None) -> VideoResult:
        rng, rate = np.random.default_rng(people), fps or 25.0
        times = np.arange(frames) / rate if times is None else np.asarray(times)
        tracks = []
        for person in range(1, people + 1):
            joints = np.stack([_walker(t + person) for t in times]) + rng.normal(0, noise, (frames, 17, 3))
            upright = frame == "world"
            pose = Poses3D(joints if upright else joints * (1, -1, -1), frame, np.arange(17) > 0) if lifted else None
            observed = ~np.isin(np.arange(frames), range(10, 15))
            arrays = {
                "boxes_xyxy": rng.uniform(0, 600, (frames, 4)),
                "box_scores": rng.random(frames),
                "keypoints": rng.uniform(0, 600, (frames, 17, 2)),
                "scores": rng.random((frames, 17)) * observed[:, None],
                "sigma": rng.uniform(1, 9, (frames, 17, 2)),
            }
            index = np.arange(frames) + 3
            tracks.append(Track(person, index, times, **arrays, observed=observed, poses3d=pose, skeleton=COCO17))
        return VideoResult(tracks, (640, 480), fps, np.concatenate([times[0] - np.arange(3, 0, -1) / rate, times]), "w")

    return make


def _walker(t: float) -> np.ndarray:
    """H36M17 joints [17, 3] m at time t, y up, facing z before the turn; the pelvis walks a circle."""
    swing, look = np.sin(5 * t), 0.5 * np.sin(2 * t)
    place = {"pelvis": (0, 0.9, 0), "spine": (0, 1.13, 0.02), "thorax": (0, 1.37, 0)}
    place["nose"] = (0.1 * np.sin(look), 1.5, 0.1 * np.cos(look))
    place["head"] = (0.0, 1.62, 0.04)
    for side, x, phase in (("left", 1, swing), ("right", -1, -swing)):
        hip = np.array((0.12 * x, 0.9, 0.02 * phase))
        knee = hip + 0.43 * np.array((0, -np.cos(0.5 * phase), np.sin(0.5 * phase)))
        bend = 0.5 * phase - 0.3 - 0.3 * np.cos(5 * t)  # from straight to 35 degrees
        place |= {f"{side}_hip": hip, f"{side}_knee": knee}
        place[f"{side}_ankle"] = knee + 0.43 * np.array((0, -np.cos(bend), np.sin(bend)))
        shoulder = np.array((0.18 * x, 1.38, 0))
        elbow = shoulder + 0.29 * np.array((0.2 * x, -np.cos(0.9 * phase), -np.sin(0.9 * phase)))
        lift = 0.9 + 0.8 * np.sin(3 * t)
        place |= {f"{side}_shoulder": shoulder, f"{side}_elbow": elbow}
        place[f"{side}_wrist"] = elbow + 0.25 * np.array((-0.3 * x, -np.cos(lift), np.sin(lift)))
    joints = np.array([place[name] for name in H36M17.names])
    c, s = np.cos(1.5 * t), np.sin(1.5 * t)
    turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    return joints @ turn.T + turn @ (1.0, 0, 0)
