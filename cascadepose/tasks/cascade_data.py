"""Data of the 3D phase: drawn clips at the lifter's rate, labelled pictures with a teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from cascadepose.data.clips import DrawnClips, background_paths
from cascadepose.data.coco import CocoSource
from cascadepose.data.motion import MotionDataset, load_motion
from cascadepose.data.posed_pictures import PosedPictures, Teacher
from cascadepose.errors import InputError
from cascadepose.models import KINDS as MODULES
from cascadepose.normalization import declared_input, lifter_input

if TYPE_CHECKING:
    from cascadepose.tasks.cascade import CascadeTaskConfig

FRAME_RATE = 25.0  # frames per second of clips for a lifter that states none
MIN_SIDE = 64  # pixels of a frame: the person in a smaller one could not be seen


def clips_of(config: CascadeTaskConfig, lifter: nn.Module, held_out: bool) -> DrawnClips:
    """Clips to train on, or those for validation. Raises InputError for files and sizes that cannot be used."""
    if config.side < MIN_SIDE:
        raise InputError(f"task.side is {config.side}: give at least {MIN_SIDE} pixels")
    motion = MotionDataset(
        load_motion(config.val_motion if held_out else config.train_motion),
        num_frames=config.num_frames,
        frame_rate=lifter.frame_rate or FRAME_RATE,
        source_rate=config.source_rate,
    )
    return DrawnClips(motion, background_paths(config.backgrounds, held_out), config.side)


def pictures_of(source: CocoSource | None, side: int, teacher: Teacher) -> PosedPictures | None:
    """Labelled people, where there are any."""
    return None if source is None else PosedPictures(source, side, teacher)


def load_lifter(name: str, num_frames: int) -> nn.Module:
    """A lifter for windows of so many frames, from COCO-17 to Human3.6M-17 in metres. Raises InputError otherwise."""
    from cascadepose.hub import load_model, weights_info

    if not MODULES[(kind := weights_info(name).kind)][0].startswith(".lifters."):
        raise InputError(f"{name}: holds a model of kind {kind!r}, but a lifter is needed here")
    lifter = load_model(name)
    given = (lifter.input_skeleton, lifter.skeleton, getattr(lifter, "unit", "metres"))
    if given != ("coco17", "h36m17", "metres"):
        raise InputError(
            f"{name}: turns {given[0]} into {given[1]} in {given[2]}; give one from coco17 to h36m17 in metres"
        )
    if lifter.frames_out != "all" and num_frames != lifter.num_frames:
        raise InputError(f"{name} takes windows of {lifter.num_frames} frames: set task.num_frames to that")
    if not 1 <= num_frames <= getattr(lifter, "maxlen", num_frames):
        raise InputError(f"{name} takes 1 to {lifter.maxlen} frames: set task.num_frames to one of them")
    return lifter


def teacher_of(lifter: nn.Module, num_frames: int, side: int) -> Teacher:
    """A lifter that looks at single pictures as if they stood still for so many frames."""

    @torch.no_grad()
    def teach(keypoints: np.ndarray, scores: np.ndarray) -> np.ndarray:
        points = torch.from_numpy(keypoints)[:, None].expand(-1, num_frames, -1, -1)
        weights = torch.from_numpy(scores)[:, None].expand(-1, num_frames, -1)
        x = lifter_input(points, weights, (side, side), **declared_input(lifter))
        joints = torch.cat([lifter(part) for part in x.split(64)])
        joints = joints[:, joints.shape[1] // 2]
        return (joints - joints[:, :1]).numpy()

    return teach
