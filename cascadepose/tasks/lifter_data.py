"""What a lifter is trained and validated on: motion capture seen by virtual cameras, or Human3.6M as it was filmed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.utils.data import Dataset

from cascadepose.errors import InputError
from cascadepose.models.lifters.window import output_frame
from cascadepose.normalization import declared_input

if TYPE_CHECKING:
    from cascadepose.tasks.lifter import LifterTaskConfig

# Frames between the validation windows of a lifter that answers for one frame of each.
MOTION_STRIDE, H36M_STRIDE = 5, 25


@dataclass
class H36MSource:
    """Human3.6M in VideoPose3D's files, at 50 Hz."""

    positions_3d: str = "data/data_3d_h36m.npz"
    """World joints."""
    positions_2d: str | None = None
    """2D joints, such as data_2d_h36m_cpn_ft_h36m_dbb.npz; null projects the true ones."""
    train_subjects: list[str] = field(default_factory=lambda: ["S1", "S5", "S6", "S7", "S8"])
    """Whom to learn from."""
    test_subjects: list[str] = field(default_factory=lambda: ["S9", "S11"])
    """Whose error chooses the best weights, as published."""
    stride: int = 1
    """Frames between training windows."""


@dataclass(frozen=True)
class LifterData:
    """Sets of items `x` [T, J, C] and `joints` [T, J, 3]; the name of the metric that chooses the best weights."""

    train: Dataset
    val: dict[str, Dataset]
    metric: str


def load_data(config: LifterTaskConfig, model: nn.Module) -> LifterData:
    """The sets of a configuration, as the model wants to see them. Raises InputError for files that cannot be used."""
    settings = {"num_frames": config.num_frames, **declared_input(model)}
    del settings["input_skeleton"]  # the data's matter
    if config.h36m is None:
        return _motion(config, model, settings)
    if config.evolution:
        raise InputError("task.evolution is for motion capture: what a camera filmed has no other limbs; set it to 0")
    return _h36m(config.h36m, model, settings)


def _motion(config: LifterTaskConfig, model: nn.Module, settings: dict[str, Any]) -> LifterData:
    from cascadepose.data.motion import MotionDataset, load_motion

    settings = settings | {"frame_rate": model.frame_rate, "source_rate": config.source_rate}
    stride = config.num_frames if model.frames_out == "all" else MOTION_STRIDE
    train = MotionDataset(load_motion(config.train_motion), noise=config.noise, evolution=config.evolution, **settings)
    motion = load_motion(config.val_motion)
    val = {noise: MotionDataset(motion, noise=noise, stride=stride, **settings) for noise in ("clean", "detector")}
    return LifterData(train, val, "mpjpe_detector")


def _h36m(source: H36MSource, model: nn.Module, settings: dict[str, Any]) -> LifterData:
    from cascadepose.data.h36m import FRAME_RATE, read_h36m
    from cascadepose.data.recording_windows import RecordingDataset

    if model.frame_rate != FRAME_RATE:
        raise InputError(
            f"Human3.6M was filmed at {FRAME_RATE:.0f} Hz, the lifter sees {model.frame_rate}: they differ"
        )
    train, test = (
        read_h36m(source.positions_3d, source.positions_2d, subjects)
        for subjects in (source.train_subjects, source.test_subjects)
    )
    every_frame = model.frames_out == "all"
    settings = settings | {"center": None if every_frame else output_frame(model)}
    stride = settings["num_frames"] if every_frame else H36M_STRIDE
    return LifterData(
        RecordingDataset(train, stride=source.stride, mirrored=True, **settings),
        {"test": RecordingDataset(test, stride=stride, **settings)},
        "mpjpe_test",
    )
