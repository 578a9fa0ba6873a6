"""Short clips of drawn people over pictures: pixels with exact 2D and 3D truth, for training the whole cascade."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from cascadepose.boxes import xyxy_to_cxcywh
from cascadepose.data.bodies import TO_COCO, adapt_body
from cascadepose.data.cameras import random_camera
from cascadepose.data.figures import capsule_ends, draw_figure, random_look
from cascadepose.data.images import FolderSource, check_readable, read_image
from cascadepose.data.motion import EVAL_SEED, MotionDataset
from cascadepose.data.warp import crop_matrix, warp

HELD_OUT = 5  # every so manieth picture of a folder is kept for validation


def background_paths(folder: str | Path, held_out: bool) -> list[Path]:
    """Pictures of a folder to train on, or those kept for validation. Raises InputError for a folder without any."""
    check_readable(Path(folder))
    paths = FolderSource(folder).paths
    kept = [path for index, path in enumerate(paths) if (index % HELD_OUT == HELD_OUT - 1) == held_out]
    return kept or paths


class DrawnClips(Dataset):
    """Windows of motion, drawn: one person a clip, seen by a static camera before a still picture.

    An item: `frames` uint8 [T, 3, S, S]; `boxes` [T, 4] of the figure, cxcywh, and `keypoints` [T, 17, 2] (COCO17),
    relative to the frame; `visible` [T, 17] bool, within the frame; `joints` [T, 17, 3] root-relative camera-frame
    joints in metres. `dataset[(index, seed)]` draws body, motion, camera, looks and picture from (index, seed) alone;
    `dataset[index]` is the fixed evaluation item.

    motion: the windows; their length and rate are the clips'. backgrounds: files of pictures. side: S, pixels.
    """

    def __init__(self, motion: MotionDataset, backgrounds: list[Path], side: int):
        self.motion, self.backgrounds, self.side = motion, backgrounds, side

    def __len__(self) -> int:
        return len(self.motion)

    def __getitem__(self, item: int | tuple[int, int]) -> dict[str, np.ndarray]:
        index, seed = item if isinstance(item, tuple) else (item, None)
        rng = np.random.default_rng([EVAL_SEED if seed is None else seed, index])
        if seed is None:
            body = adapt_body(self.motion.clip(index))
        else:
            body = self.motion.augmented_body(index, rng)
        side = (self.side, self.side)
        camera = random_camera(body, rng, whole=seed is None or rng.random() < 0.8, sizes=[side])
        points, pixels = camera.see(body)
        ends, scale = capsule_ends(points)
        look, picture = random_look(rng), self._background(rng)
        focal, center = camera.intrinsics[0], camera.intrinsics[2:4]
        drawn, boxes = zip(*(draw_figure(picture, end, focal, center, scale, look) for end in ends), strict=True)
        frames = photograph(np.stack(drawn), rng)
        keypoints = (pixels[:, TO_COCO] / side).astype(np.float32)
        return {
            "frames": np.ascontiguousarray(frames.transpose(0, 3, 1, 2)),
            "boxes": xyxy_to_cxcywh(torch.from_numpy(np.stack(boxes) / np.float32(self.side))).numpy(),
            "keypoints": keypoints,
            "visible": ((keypoints > 0) & (keypoints < 1)).all(-1),
            "joints": points[:, :17] - points[:, :1],
        }

    def _background(self, rng: np.random.Generator) -> np.ndarray:
        """A square part of a picture, uint8 [S, S, 3]."""
        image = read_image(self.backgrounds[rng.integers(len(self.backgrounds))])
        size = np.array(image.shape[1::-1])
        part = size.min() * rng.uniform(0.6, 1.0)
        middle = part / 2 + rng.uniform(0, 1, 2) * (size - part)
        matrix = crop_matrix(middle, np.array([part, part]), (self.side, self.side), mirrored=bool(rng.random() < 0.5))
        return warp(image, matrix, (self.side, self.side))


def photograph(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What a cheap camera does to clean frames uint8 [T, H, W, 3]: one blur and exposure a clip, noise a frame."""
    import cv2

    sigma = rng.uniform(0.3, 1.1)
    gain, noise = rng.uniform(0.75, 1.2), rng.uniform(1, 7)
    soft = np.stack([cv2.GaussianBlur(frame, (0, 0), sigma) for frame in frames]).astype(np.float32)
    soft = soft * np.float32(gain) + rng.standard_normal(soft.shape, np.float32) * np.float32(noise)
    return soft.clip(0, 255).astype(np.uint8)
