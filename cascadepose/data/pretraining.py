"""Data of MotionBERT's pre-training (Zhu et al., ICCV 2023, section 3.3): clean 2D motion and what it comes from.

The corruption is not here: the task puts it on whole batches, see `data/corruption.py`.
"""

from __future__ import annotations

import numpy as np
from torch.utils.data import Dataset

from cascadepose.data.bodies import adapt_body
from cascadepose.data.cameras import random_camera
from cascadepose.data.motion import EVAL_SEED, MotionDataset
from cascadepose.data.windows import whole_clips
from cascadepose.geometry import flip_horizontal
from cascadepose.normalization import lifter_input
from cascadepose.skeletons import H36M17
from cascadepose.smoothing import resample


class PretrainingDataset(Dataset):
    """Clips of 3D motion, each with a clip of detected 2D motion where there is any.

    An item is a dict of float32 arrays: `joints` [T, 17, 3] root-relative in normalised image units (x, y of the clip
    span about -1..1, depth on the same scale); `x` [T, 17, 3] x, y of the same joints seen from the front without
    perspective, and confidence 1; `x_2d` [T, 17, 3] x, y and score of a detected clip, normalised likewise.
    `dataset[(index, seed)]` draws body, side, view and 2D clip; `dataset[index]` is always the same.

    motion  whose bodies, windows and rate count, nothing else of it
    tracks  arrays [T, 17, 3] at the rate of `motion`: COCO-17 keypoints in pixels and their scores
    """

    def __init__(self, motion: MotionDataset, tracks: list[np.ndarray] | None = None):
        self.motion, self.tracks = motion, tracks or []
        self.clips = whole_clips([len(t) for t in self.tracks], motion.num_frames, max(motion.num_frames // 3, 1))

    def __len__(self) -> int:
        return len(self.motion)

    def __getitem__(self, item: int | tuple[int, int]) -> dict[str, np.ndarray]:
        if isinstance(item, tuple):
            index, seed = item
            rng = np.random.default_rng([seed, index])
            body = self.motion.augmented_body(index, rng)
        else:
            rng = np.random.default_rng([EVAL_SEED, item])
            body = adapt_body(self.motion.clip(item))
        points, _ = random_camera(body, rng, whole=True).see(body)
        joints = crop_scale_3d(points[:, :17])
        x = np.concatenate([joints[..., :2], np.ones_like(joints[..., :1])], -1)
        sample = {"x": x, "joints": joints - joints[:, :1]}
        if self.clips:
            sample["x_2d"] = self.detected_clip(rng.integers(len(self.clips)), mirrored=rng.random() < 0.5)
        return {name: array.astype(np.float32) for name, array in sample.items()}

    def detected_clip(self, number: int, mirrored: bool) -> np.ndarray:
        """Clip `number` of the tracks as a lifter sees it: [T, 17, 3]."""
        track, frames = self.clips[number]
        clip = self.tracks[track][frames]
        x = lifter_input(clip[..., :2], clip[..., 2], (1, 1), "crop_scale", 3)
        return flip_horizontal(x, H36M17.flip_index) if mirrored else x


def crop_scale_3d(joints: np.ndarray) -> np.ndarray:
    """A clip [T, J, 3] scaled so that the longer side of its box in x, y spans -1..1; depth by the same scale.

    The root of the first frame lies at depth -1, for the published code moves all three axes alike; root-relative
    joints do not show it. A clip without extent becomes zero.
    """
    low, high = joints[..., :2].min((0, 1)), joints[..., :2].max((0, 1))
    scale = (high - low).max()
    if scale == 0:
        return np.zeros_like(joints)
    origin = np.array([*(low + high - scale) / 2, joints[0, 0, 2]], joints.dtype)
    return ((joints - origin) / scale - 0.5) * 2


def at_rate(track: np.ndarray, times: np.ndarray, rate: float) -> np.ndarray:
    """A track [T, ...] with times [T] in seconds at `rate` Hz, from its first frame to its last."""
    steps = int((times[-1] - times[0]) * rate)
    return resample(track, times, times[0] + np.arange(steps + 1) / rate)
