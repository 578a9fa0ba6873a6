"""Training a lifter on motion capture: data, model, losses and validation for `train.fit`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cascadepose.errors import InputError


@dataclass
class LifterTaskConfig:
    """What lifter to train on what."""

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
    dim: int = 96
    """Channels of a token."""
    depth: int = 3
    """Dual-stream blocks."""
    num_heads: int = 4
    """Attention heads."""
    mlp_ratio: float = 2.0
    """Hidden channels of an MLP relative to dim."""
    dim_rep: int = 96
    """Channels of the motion representation."""
    normalization: str = "crop_scale"
    """How 2D joints are normalised: crop_scale, screen or center."""
    noise: str = "mixed"
    """2D input of training: clean, detector or mixed."""
    scale_weight: float = 0.5
    """Weight of N-MPJPE beside MPJPE."""
    velocity_weight: float = 2.0
    """Weight of the velocity loss."""
    short_frames: int = 9
    """Frames of a window in the first epochs: they cost less, and single poses are what is learned first."""
    short_epochs: int = 0
    """Number of these epochs."""
    epoch_length: int | None = None
    """Windows in an epoch; null is all of them once."""
    weights: str | None = None
    """Packaged name or file of weights to start from; its architecture, normalisation and rate count, not these."""


class LifterTask:
    """The training loop's view of a lifter. Metrics in millimetres over the windows of the validation motion."""

    name = "lifter"
    metric = "mpjpe_detector"
    mode = "min"
    sample_weights = None

    def __init__(self, config: LifterTaskConfig):
        from cascadepose.data.motion import MotionDataset, load_motion, mean_pose

        self.config = config
        self.epoch_length = config.epoch_length
        self.epoch = 0
        self.model = _start_model(config)
        settings: dict[str, Any] = {
            "num_frames": config.num_frames,
            "frame_rate": self.model.frame_rate,
            "source_rate": config.source_rate,
            "normalization": self.model.normalization,
            "in_channels": self.model.in_channels,
        }
        self.train_set = MotionDataset(load_motion(config.train_motion), noise=config.noise, **settings)
        motion = load_motion(config.val_motion)
        self.val_sets = {
            noise: MotionDataset(motion, noise=noise, stride=config.num_frames, **settings)
            for noise in ("clean", "detector")
        }
        pose = mean_pose(self.train_set, limit=1000).astype(np.float64).round(4).tolist()
        self.model.mean_pose = self.model.config["mean_pose"] = pose

    def collate(self, samples: list[dict[str, np.ndarray]]) -> dict[str, Tensor]:
        """x [B, T, J, C] and joints [B, T, J, 3]."""
        return {name: torch.from_numpy(np.stack([sample[name] for sample in samples])) for name in samples[0]}

    def losses(self, model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Total and parts, in metres."""
        from cascadepose.losses.lifting import lifting_losses

        config = self.config
        frames = config.short_frames if self.epoch < config.short_epochs else config.num_frames
        pred, target = model(batch["x"][:, :frames]).float(), batch["joints"][:, :frames]
        return lifting_losses(pred, target, scale_weight=config.scale_weight, velocity_weight=config.velocity_weight)

    def parameter_groups(self, lr: float, weight_decay: float) -> list[dict]:
        """Matrices decay; biases, norms and position embeddings do not."""
        decay, rest = [], []
        for name, parameter in self.model.named_parameters():
            (rest if parameter.ndim < 2 or name.endswith("_embed") else decay).append(parameter)
        return [
            {"params": decay, "lr": lr, "weight_decay": weight_decay},
            {"params": rest, "lr": lr, "weight_decay": 0.0},
        ]

    @torch.no_grad()
    def validate(self, model: nn.Module) -> dict[str, float]:
        """MPJPE, P-MPJPE and MPJVE in mm (a frame), one window each, no flip test, clean and detector-like 2D."""
        from cascadepose.evaluation.lifting import mpjpe, mpjve, p_mpjpe

        metrics = {}
        for noise, dataset in self.val_sets.items():
            batch = self.collate([dataset[i] for i in range(len(dataset))])
            device = next(model.parameters()).device
            pred = torch.cat([model(x.to(device)).float().cpu() for x in batch["x"].split(64)]).numpy()
            pred, target = pred - pred[..., :1, :], batch["joints"].numpy()
            metrics[f"mpjpe_{noise}"] = float(mpjpe(pred, target).mean())
            metrics[f"p_mpjpe_{noise}"] = float(p_mpjpe(pred, target).mean())
            metrics[f"mpjve_{noise}"] = float(mpjve(pred, target).mean())
        return metrics

    def new_epoch(self, epoch: int) -> None:
        """Remember which windows the epoch wants, short or full; augmentation follows the sampler's seeds."""
        self.epoch = epoch

    def save(self, model: nn.Module, path: Path, info: dict) -> None:
        """Write a weights file."""
        from cascadepose import hub

        hub.save_model(model, path, "dstformer", info)


def _start_model(config: LifterTaskConfig) -> nn.Module:
    """A fresh lifter, or the one of `config.weights`, which keeps what it was trained to see."""
    from cascadepose import hub, models

    if config.weights is None:
        return models.build(
            "dstformer",
            dim=config.dim,
            depth=config.depth,
            num_heads=config.num_heads,
            mlp_ratio=config.mlp_ratio,
            dim_rep=config.dim_rep,
            maxlen=config.num_frames,
            normalization=config.normalization,
            frame_rate=config.frame_rate,
        )
    model = hub.load_model(config.weights, kind="dstformer").train()
    if config.num_frames > model.maxlen:
        raise InputError(f"{config.weights} takes at most {model.maxlen} frames: set task.num_frames to that or less")
    model.num_frames = model.config["num_frames"] = config.num_frames
    return model


def build_task(config: LifterTaskConfig) -> LifterTask:
    """The task of a configuration; InputError for motion files that cannot be used."""
    return LifterTask(config)
