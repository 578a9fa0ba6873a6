"""Training a lifter on motion capture: data, model, losses and validation for `train.fit`."""

from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cascadepose.errors import InputError


@dataclass
class LifterTaskConfig:
    """What lifter to train on what."""

    kind: str = "dstformer"
    """Which lifter: dstformer, poseformer, poseformerv2, ... as `cascadepose.models.KINDS` lists them."""
    model: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of its class; window, normalisation and rate are those below."""
    train_motion: str = "data/cmu_h36m17_60fps_train.npz"
    """npz of [T,17,3] sequences in metres, y up, to train on."""
    val_motion: str = "data/cmu_h36m17_60fps_val.npz"
    """The same, for choosing the best weights."""
    source_rate: float = 60.0
    """Frames per second of both."""
    frame_rate: float = 25.0
    """Frames per second that the lifter sees; inference resamples to it."""
    num_frames: int = 27
    """Frames of a window."""
    normalization: str = "crop_scale"
    """How 2D joints are normalised: crop_scale, screen or center."""
    noise: str = "mixed"
    """2D input of training: clean, detector or mixed."""
    scale_weight: float = 0.5
    """Weight of N-MPJPE beside MPJPE."""
    velocity_weight: float = 2.0
    """Weight of the velocity loss; a lifter that answers for one frame has none."""
    short_frames: int = 9
    """Frames of a window in the first epochs: they cost less, and single poses are what is learned first."""
    short_epochs: int = 0
    """Number of these epochs; only for lifters that take windows of any length and answer for every frame."""
    epoch_length: int | None = None
    """Windows in an epoch; null is all of them once."""
    lr_factors: dict[str, float] = field(default_factory=dict)
    """Factors on the rate of parts: {"": 0.1, "head": 1}. "" is everything, 0 freezes, the longest name counts."""
    gradient_checkpointing: bool = False
    """Train with less memory and more time; only for dstformer."""
    weights: str | None = None
    """Packaged name or file of weights to start from; its kind, sizes, normalisation and rate count, not these."""


VALIDATION_STRIDE = 5  # frames between the windows of a lifter that answers for one frame of each


class LifterTask:
    """The training loop's view of a lifter. Metrics in millimetres over the windows of the validation motion.

    Raises InputError for motion files that cannot be used, and for a model that is no lifter or does not fit.
    """

    name = "lifter"
    metric = "mpjpe_detector"
    mode = "min"
    sample_weights = None

    def __init__(self, config: LifterTaskConfig):
        from cascadepose.data.motion import MotionDataset, load_motion, mean_pose
        from cascadepose.tasks.finetuning import checkpoint_gradients, freeze

        self.config = config
        self.epoch_length = config.epoch_length
        self.epoch = 0
        self.kind, self.model = _start_model(config)
        freeze(self.model, config.lr_factors)
        if config.gradient_checkpointing:
            checkpoint_gradients(self.model)
        self.every_frame = self.model.frames_out == "all"
        self.both_ways = not self.every_frame and "both" in signature(self.model.forward).parameters
        if config.short_epochs and not self.every_frame:
            raise InputError(f"task.short_epochs: a {self.kind} has windows of one length only; set it to 0")
        settings: dict[str, Any] = {
            "num_frames": config.num_frames,
            "frame_rate": self.model.frame_rate,
            "source_rate": config.source_rate,
            "normalization": self.model.normalization,
            "in_channels": self.model.in_channels,
        }
        self.train_set = MotionDataset(load_motion(config.train_motion), noise=config.noise, **settings)
        motion = load_motion(config.val_motion)
        stride = config.num_frames if self.every_frame else VALIDATION_STRIDE
        self.val_sets = {
            noise: MotionDataset(motion, noise=noise, stride=stride, **settings) for noise in ("clean", "detector")
        }
        pose = mean_pose(self.train_set, limit=1000).astype(np.float64).round(4).tolist()
        self.model.mean_pose = self.model.config["mean_pose"] = pose

    def collate(self, samples: list[dict[str, np.ndarray]]) -> dict[str, Tensor]:
        """x [B, T, J, C] and joints [B, T, J, 3]."""
        return {name: torch.from_numpy(np.stack([sample[name] for sample in samples])) for name in samples[0]}

    def losses(self, model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Total and parts, in metres; a lifter that can answer both ways is trained full-to-single."""
        from cascadepose.losses.lifting import full_to_single, lifting_losses

        config = self.config
        if self.both_ways:
            single, full = model(batch["x"], both=True)
            return full_to_single(single.float(), full.float(), batch["joints"])
        frames = config.short_frames if self.epoch < config.short_epochs else config.num_frames
        pred, target = model(batch["x"][:, :frames]).float(), self.answered(batch["joints"][:, :frames])
        return lifting_losses(pred, target, scale_weight=config.scale_weight, velocity_weight=config.velocity_weight)

    def answered(self, joints: Tensor) -> Tensor:
        """The frames of a window's joints [B, T, J, 3] that the lifter answers for: all of them or one."""
        from cascadepose.models.lifters.window import output_frame

        if self.every_frame:
            return joints
        frame = output_frame(self.model)
        return joints[:, frame : frame + 1]

    def parameter_groups(self, lr: float, weight_decay: float) -> list[dict]:
        """What is not frozen, at the rates of `lr_factors`; biases, norms and position tables do not decay."""
        from cascadepose.tasks.finetuning import parameter_groups

        return parameter_groups(self.model, lr, weight_decay, self.config.lr_factors)

    @torch.no_grad()
    def validate(self, model: nn.Module) -> dict[str, float]:
        """MPJPE, P-MPJPE and MPJVE in mm (a frame), window by window, no flip test, clean and detector-like 2D.

        MPJVE needs neighbours: a lifter that answers for one frame of a window has none here.
        """
        from cascadepose.evaluation.lifting import mpjpe, mpjve, p_mpjpe

        metrics = {}
        for noise, dataset in self.val_sets.items():
            batch = self.collate([dataset[i] for i in range(len(dataset))])
            device = next(model.parameters()).device
            pred = torch.cat([model(x.to(device)).float().cpu() for x in batch["x"].split(64)]).numpy()
            pred, target = pred - pred[..., :1, :], self.answered(batch["joints"]).numpy()
            metrics[f"mpjpe_{noise}"] = float(mpjpe(pred, target).mean())
            metrics[f"p_mpjpe_{noise}"] = float(p_mpjpe(pred, target).mean())
            if self.every_frame:
                metrics[f"mpjve_{noise}"] = float(mpjve(pred, target).mean())
        return metrics

    def new_epoch(self, epoch: int) -> None:
        """Remember which windows the epoch wants, short or full; augmentation follows the sampler's seeds."""
        self.epoch = epoch

    def save(self, model: nn.Module, path: Path, info: dict) -> None:
        """Write a weights file."""
        from cascadepose import hub

        hub.save_model(model, path, self.kind, info)


def _start_model(config: LifterTaskConfig) -> tuple[str, nn.Module]:
    """Kind and model: a fresh lifter, or the one of `config.weights`, which keeps what it was trained to see."""
    from cascadepose import hub

    if config.weights is None:
        kind, model, source = config.kind, _fresh_model(config), f"task.kind {config.kind!r} with this task.model"
    else:
        kind, source = hub.weights_info(config.weights).kind, config.weights
        _check_kind(kind, source)
        model = hub.load_model(config.weights).train()
    longest = getattr(model, "maxlen", None)
    if longest is None:
        if config.num_frames != model.num_frames:
            raise InputError(f"{source} takes windows of {model.num_frames} frames: set task.num_frames to that")
        return kind, model
    if config.num_frames > longest:
        raise InputError(f"{source} takes at most {longest} frames: set task.num_frames to that or less")
    model.num_frames = model.config["num_frames"] = config.num_frames
    return kind, model


def _fresh_model(config: LifterTaskConfig) -> nn.Module:
    from cascadepose import models
    from cascadepose.config import nearest

    _check_kind(config.kind, "task.kind")
    known = signature(models.model_class(config.kind)).parameters
    if unknown := [name for name in config.model if name not in known]:
        hint = nearest(f"task.model.{unknown[0]}", [f"task.model.{name}" for name in known])
        raise InputError(f"a {config.kind} has no task.model.{unknown[0]}{hint}")
    settings = {
        "num_frames": config.num_frames,
        "maxlen": config.num_frames,
        "normalization": config.normalization,
        "frame_rate": config.frame_rate,
    }
    try:
        return models.build(config.kind, **{k: v for k, v in settings.items() if k in known} | config.model)
    except (TypeError, ValueError) as error:
        raise InputError(f"task.model: a {config.kind} cannot be built from it: {error}") from None


def _check_kind(kind: str, source: str) -> None:
    from cascadepose import models

    lifters = [name for name, (module, _) in models.KINDS.items() if module.startswith(".lifters.")]
    if kind not in lifters:
        raise InputError(f"{source}: {kind!r} is no lifter; use one of: {', '.join(lifters)}")


def build_task(config: LifterTaskConfig) -> LifterTask:
    """The task of a configuration; InputError for motion files that cannot be used."""
    return LifterTask(config)
