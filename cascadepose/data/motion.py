"""Motion capture as training data for lifters: 3D sequences -> what the 2D stage would have reported, and the truth."""

from __future__ import annotations

import zlib
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from torch.utils.data import Dataset

from cascadepose.data.bodies import TO_COCO, adapt_body, mirror, random_head_turn, randomize_body
from cascadepose.data.cameras import VirtualCamera, random_camera
from cascadepose.data.evolution import crossover, mutate
from cascadepose.data.noise import detect
from cascadepose.data.windows import sample_clip, window_table
from cascadepose.errors import InputError
from cascadepose.normalization import lifter_input
from cascadepose.smoothing import fill_gaps

EVAL_SEED = 2026  # cameras and noise of un-augmented items depend on this and the item's index only
NOISES = ("clean", "detector", "mixed")


def load_motion(path: str | Path) -> dict[str, np.ndarray]:
    """Sequences [T, 17, 3] float32 (H36M17 order, metres, y up) by name from an npz with any key names.

    Raises InputError for an unreadable file, an empty one, or a sequence of another shape or with non-finite numbers.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            sequences = {name: np.asarray(archive[name], np.float32) for name in archive.files}
    except (OSError, ValueError, EOFError, AttributeError, TypeError, BadZipFile, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: cannot be read ({reason}); expected an npz of [T,17,3] arrays") from error
    if not sequences:
        raise InputError(f"{path}: holds no sequence; expected an npz of [T,17,3] arrays")
    for name, joints in sequences.items():
        if joints.ndim != 3 or joints.shape[1:] != (17, 3) or len(joints) == 0:
            raise InputError(f"{path}: sequence {name!r} has shape {joints.shape}; expected [T,17,3] with T >= 1")
        if not np.isfinite(joints).all():
            raise InputError(f"{path}: sequence {name!r} holds NaN or infinite joints; remove or repair it")
    return sequences


class MotionDataset(Dataset):
    """Windows of motion seen by virtual cameras.

    An item is a dict: `x` [T, 17, C] lifter input (made by `lifter_input`, exactly as at inference), `joints`
    [T, 17, 3] float32 root-relative camera-frame joints in metres. `dataset[(index, seed)]` draws body, speed, mirror
    image, camera and noise from (index, seed) alone; `dataset[index]` is the fixed evaluation item: the body as
    adapted, true speed, a camera and noise that depend on the index only.

    sequences    name -> [T, 17, 3] metres, y up (see load_motion)
    source_rate  Hz of the sequences;  frame_rate  Hz of the clips
    stride       frames of a clip between the starts of neighbouring windows (default: half a window)
    noise        "clean", "detector", or "mixed" (training: one item of six clean, the rest detector-like)
    normalization, in_channels, skeleton, style, context  what the lifter sees, see `lifter_input`
    evolution    share of the drawn clips with limbs of another clip, and of these with limbs of one more, and so on;
                 half as many clips have joints turned further (see data/evolution.py)

    Raises InputError for a noise that there is not, and an evolution that is no share.
    """

    def __init__(
        self,
        sequences: dict[str, np.ndarray],
        num_frames: int = 27,
        frame_rate: float = 25.0,
        source_rate: float = 60.0,
        stride: int | None = None,
        noise: str = "mixed",
        normalization: str = "crop_scale",
        in_channels: int = 3,
        skeleton: str = "h36m17",
        style: str = "midpoints",
        context: int = 0,
        evolution: float = 0.0,
    ):
        if noise not in NOISES:
            raise InputError(f"unknown noise {noise!r}; use one of: {', '.join(NOISES)}")
        if not 0 <= evolution < 1:
            raise InputError(f"evolution is {evolution}; it is a share of the clips: at least 0 and below 1")
        self.sequences = list(sequences.values())
        self.num_frames, self.noise, self.normalization = num_frames, noise, normalization
        self.seen = (normalization, in_channels, "coco17", skeleton, style, context)
        self.context, self.evolution = context, evolution
        self.frame_rate = frame_rate
        self.step = source_rate / frame_rate
        stride = max(num_frames // 2, 1) if stride is None else stride
        window = 1 + round((num_frames - 1) * self.step)
        self.table = window_table([len(s) for s in self.sequences], window, max(round(stride * self.step), 1))

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, item: int | tuple[int, int]) -> dict[str, np.ndarray]:
        if isinstance(item, tuple):
            index, seed = item
            rng = np.random.default_rng([seed, index])
            body = self.augmented_body(index, rng)
            camera = random_camera(body, rng, whole=rng.random() < 0.7)
            clean = self.noise == "clean" or (self.noise == "mixed" and rng.random() < 1 / 6)
        else:
            rng = np.random.default_rng([EVAL_SEED, item])
            body = adapt_body(self.clip(item))
            camera = random_camera(body, rng, whole=True)
            clean = self.noise == "clean"
        level = None if isinstance(item, tuple) else 1.0
        joints, keypoints, scores = observe(body, camera, None if clean else rng, level)
        if self.context:  # a lifter that looks back only is shown lost frames as they are held, not interpolated
            keypoints = fill_gaps(keypoints, scores.any(1), hold=True)
        if isinstance(item, tuple) and rng.random() < 0.08:
            joints, keypoints, scores = hold(rng, joints, keypoints, scores, first=self.context > 0)
        x = lifter_input(keypoints, scores, camera.image_size, *self.seen)
        return {"x": x.astype(np.float32), "joints": joints}

    def clip(self, index: int, jitter: float = 0.0, speed: float = 1.0) -> np.ndarray:
        """Motion capture joints [num_frames, 17, 3] of window `index`, moved by `jitter` source frames, at `speed`."""
        sequence, start = self.table[index]
        joints = self.sequences[sequence]
        reach = (self.num_frames - 1) * self.step * speed
        start = np.clip(start + jitter, 0, max(len(joints) - 1 - reach, 0))
        return sample_clip(joints, start, self.step * speed, self.num_frames)

    def augmented_body(self, index: int, rng: np.random.Generator) -> np.ndarray:
        """Extended world joints [num_frames, 21, 3] of a window with another start, speed, side, head and body, and now
        and then with other limbs.
        """
        joints = self._drawn(index, rng)
        while rng.random() < self.evolution:
            joints = crossover(joints, self._drawn(rng.integers(len(self)), rng), rng)
        if rng.random() < self.evolution / 2:
            joints = mutate(joints, rng, self.frame_rate)
        return randomize_body(adapt_body(joints, random_head_turn(self.num_frames, rng)), rng)

    def _drawn(self, index: int, rng: np.random.Generator) -> np.ndarray:
        """Joints [num_frames, 17, 3] of a window with another start, speed and side."""
        jitter = rng.uniform(-0.25, 0.25) * self.num_frames * self.step
        joints = self.clip(index, jitter, np.exp(rng.normal(0, 0.2)))
        return mirror(joints) if rng.random() < 0.5 else joints


def observe(
    body: np.ndarray, camera: VirtualCamera, rng: np.random.Generator | None, level: float | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Extended world joints [T, 21, 3] through a camera, with detector noise of a level where a generator is given.

    Returns root-relative camera-frame joints [T, 17, 3] in metres, COCO17 keypoints [T, 17, 2] px and scores [T, 17].
    """
    points, pixels = camera.see(body)
    joints = points[:, :17] - points[:, :1]
    keypoints = pixels[:, TO_COCO]
    if rng is None:
        return joints, keypoints, np.ones(keypoints.shape[:2], np.float32)
    return joints, *detect(keypoints, camera.image_size, rng, level)


def hold(rng: np.random.Generator, *arrays: np.ndarray, first: bool = False) -> list[np.ndarray]:
    """Shorten clips [T, ...] to 1..T frames and repeat the last one, as short videos and photographs are padded.

    first  repeat the first frame before the others instead, as a stream is padded that has only begun
    """
    count = len(arrays[0])
    length = 1 if rng.random() < 0.5 else rng.integers(1, count + 1)
    index = np.maximum(np.arange(count) - (count - length), 0) if first else np.minimum(np.arange(count), length - 1)
    return [array[index] for array in arrays]


def mean_pose(dataset: MotionDataset, limit: int = 4000) -> np.ndarray:
    """Mean root-relative camera-frame pose [17, 3] metres over the dataset's evaluation items: the trivial lifter."""
    index = np.linspace(0, len(dataset) - 1, min(limit, len(dataset))).astype(int)
    return np.mean([dataset[int(i)]["joints"].mean(0) for i in index], axis=0)
