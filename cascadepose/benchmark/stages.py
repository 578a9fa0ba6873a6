"""What each stage reaches on this machine, with the packaged weights: milliseconds a frame.

with tempfile.TemporaryDirectory() as folder:
    for name in STAGES:
        print(name, rate(name, torch.device("cpu"), Path(folder)).milliseconds)
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

    from cascadepose.predictor import PosePredictor

    Work = tuple[Callable[[], object], int]  # what is timed, and how many frames it takes care of

FRAMES, SIZE = 16, (640, 480)  # of the clip that is timed
WINDOW = 81  # frames that are lifted
SECONDS = 1.0  # spent on each stage, at least one round


@dataclass(frozen=True)
class Rate:
    """Of one stage: milliseconds a frame, the median of several rounds."""

    name: str
    what: str
    milliseconds: float

    @property
    def per_second(self) -> float:
        """Frames a second."""
        return 1000 / self.milliseconds


def rate(name: str, place: torch.device, folder: Path, seconds: float | None = None) -> Rate:
    """Time one of `STAGES`; the first round, which also warms up, does not count.

    folder: for the clip, which the stage "write" makes and "decode" and "video" read. seconds: None takes `SECONDS`.
    Raises what the stage raises where an installation does not work.
    """
    make, what = STAGES[name]
    work, frames = make(place, folder / "clip.mp4")
    work()
    limit, spent = SECONDS if seconds is None else seconds, []
    while not spent or (sum(spent) < limit and len(spent) < 20):
        started = time.perf_counter()
        work()
        spent.append(time.perf_counter() - started)
    return Rate(name, what, 1000 * statistics.median(spent) / frames)


def photograph() -> np.ndarray:
    """The person on matplotlib's sample photograph, uint8 RGB [600, 512, 3]."""
    import matplotlib

    from cascadepose.data.images import read_image

    return read_image(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg")


def _frames() -> list[np.ndarray]:
    """The photograph on grey, drifting to the right."""
    import cv2

    person = cv2.resize(photograph(), (400, SIZE[1]), interpolation=cv2.INTER_AREA)
    picture = np.full((SIZE[1], SIZE[0], 3), 127, np.uint8)
    picture[:, 100:500] = person
    return [np.roll(picture, 4 * index, axis=1) for index in range(FRAMES)]


def _write(place: torch.device, clip: Path) -> Work:
    from cascadepose.data.video_writer import open_video_writer

    frames = _frames()

    def work() -> None:
        with open_video_writer(clip, 25.0) as video:
            for index, frame in enumerate(frames):
                video.write(frame, index / 25)

    return work, len(frames)


def _decode(place: torch.device, clip: Path) -> Work:
    from cascadepose.data.frames import open_source

    return lambda: sum(1 for _ in open_source(clip)), FRAMES


def _detect(place: torch.device, clip: Path) -> Work:
    predictor, frames = _predictor(place), _frames()[:8]
    return lambda: predictor.predict(frames), len(frames)


def _keypoints(place: torch.device, clip: Path) -> Work:
    predictor, frames = _predictor(place), _frames()[:8]
    person = [np.array([[220.0, 40.0, 420.0, 440.0]])] * len(frames)
    return lambda: predictor.predict(frames, person), len(frames)


def _lift(place: torch.device, clip: Path) -> Work:
    from cascadepose.hub import load_model
    from cascadepose.loading import LIFTER_WEIGHTS
    from cascadepose.models.lifters.window import Sequence2D, lift_sequences

    lifter = load_model(LIFTER_WEIGHTS, device=place)
    keypoints = np.random.default_rng(0).uniform(100, 400, (WINDOW, 17, 2)).astype(np.float32)
    person = Sequence2D(keypoints, np.ones((WINDOW, 17), np.float32), SIZE)
    return lambda: lift_sequences(lifter, [person]), WINDOW


def _video(place: torch.device, clip: Path) -> Work:
    from cascadepose.loading import load

    pose = load(device=str(place))
    return lambda: pose(clip, progress=False), FRAMES


def _predictor(place: torch.device) -> PosePredictor:
    """One that lets nobody pass the detector, so that its stages can be timed apart."""
    from cascadepose.hub import load_model
    from cascadepose.loading import PRESETS
    from cascadepose.predictor import PosePredictor

    prtr = load_model(PRESETS["accurate"].weights, device=place, kind="prtr")
    return PosePredictor(prtr, device=place, threshold=1.0)


STAGES = {
    "write": (_write, f"H.264 of {SIZE[0]}x{SIZE[1]}"),
    "decode": (_decode, f"H.264 of {SIZE[0]}x{SIZE[1]}"),
    "detect": (_detect, "person detector, 8 frames a batch"),
    "keypoints": (_keypoints, "one person a frame, 8 frames a batch"),
    "lift": (_lift, f"one person, {WINDOW} frames, flip test"),
    "video": (_video, f"file in, 3D joints out, {FRAMES} frames, one person"),
}
