"""Training a lifter on motion capture or Human3.6M: data, model, losses and validation for `train.fit`."""

from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from cascadepose.errors import InputError
from cascadepose.tasks.lifter_data import H36MSource, load_data
from cascadepose.tasks.lifter_model import start_model


@dataclass
class LifterTaskConfig:
    """What lifter to train on what."""

    kind: str = "dstformer"
    """Which lifter: dstformer, poseformer, poseformerv2, ... as `cascadepose.models.KINDS` lists them."""
    model: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of its class; window, normalisation and rate are those below."""
    h36m: H36MSource | None = None
    """Human3.6M to train and test on; null takes the motion capture below and makes its 2D input."""
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
    evolution: float = 0.0
    """Share of the motion capture's training clips that get limbs of another; half as many get joints turned."""
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
    """Packaged name or file of weights to start from; its kind, sizes, normalisation and rate count, not these.
    Of a DSTformer the windows can be lengthened, and `causal` in `model` can differ."""


class LifterTask:
    """The training loop's view of a lifter. Metrics in millimetres over the windows of the validation sets.

    Raises InputError for motion files that cannot be used, and for a model that is no lifter or does not fit.
    """

    name = "lifter"
    mode = "min"
    sample_weights = None

    def __init__(self, config: LifterTaskConfig):
        from cascadepose.data.motion import mean_pose
        from cascadepose.tasks.finetuning import checkpoint_gradients, freeze

        self.config = config
        self.epoch_length = config.epoch_length
        self.epoch = 0
        self.kind, self.model = start_model(config)
        freeze(self.model, config.lr_factors)
        if config.gradient_checkpointing:
            checkpoint_gradients(self.model)
        self.every_frame = self.model.frames_out == "all"
        self.both_ways = not self.every_frame and "both" in signature(self.model.forward).parameters
        if config.short_epochs and not self.every_frame:
            raise InputError(f"task.short_epochs: a {self.kind} has windows of one length only; set it to 0")
        data = load_data(config, self.model)
        self.train_set, self.val_sets, self.metric = data.train, data.val, data.metric
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
        pred, target = model(batch["x"][:, :frames]).float(), batch["joints"][:, :frames]
        if frames == config.num_frames:
            pred, target = self.counted(pred), self.answered(target)
        return lifting_losses(pred, target, scale_weight=config.scale_weight, velocity_weight=config.velocity_weight)

    def answered(self, joints: Tensor) -> Tensor:
        """The frames of a window's joints [B, T, J, 3] that the lifter answers for: all, one, or those after the
        context of a causal one, which a stream never asks of it.
        """
        from cascadepose.models.lifters.window import output_frame

        if self.every_frame:
            return self.counted(joints)
        frame = output_frame(self.model)
        return joints[:, frame : frame + 1]

    def counted(self, joints: Tensor) -> Tensor:
        """The frames of a window's answers [B, F, J, 3] that count: all, or those after the context of a causal one."""
        return joints[:, getattr(self.model, "context", 0) :]

    def parameter_groups(self, lr: float, weight_decay: float) -> list[dict]:
        """What is not frozen, at the rates of `lr_factors`; biases, norms and position tables do not decay."""
        from cascadepose.tasks.finetuning import parameter_groups

        return parameter_groups(self.model, lr, weight_decay, self.config.lr_factors)

    @torch.no_grad()
    def validate(self, model: nn.Module) -> dict[str, float]:
        """MPJPE, P-MPJPE and MPJVE in mm (a frame), window by window, no flip test, a validation set each.

        MPJVE needs neighbours: a lifter that answers for one frame of a window has none here.
        """
        from cascadepose.evaluation.lifting import mpjpe, mpjve, p_mpjpe

        metrics = {}
        for name, dataset in self.val_sets.items():
            pred, target = self._answers(model, dataset)
            metrics[f"mpjpe_{name}"] = float(mpjpe(pred, target).mean())
            metrics[f"p_mpjpe_{name}"] = float(p_mpjpe(pred, target).mean())
            if self.every_frame:
                metrics[f"mpjve_{name}"] = float(mpjve(pred, target).mean())
        return metrics

    def _answers(self, model: nn.Module, dataset: Dataset, batch_size: int = 64) -> tuple[np.ndarray, np.ndarray]:
        """Root-relative predictions and the truth of every item, [N, F, J, 3]."""
        device = next(model.parameters()).device
        pred, target = [], []
        for start in range(0, len(dataset), batch_size):
            batch = self.collate([dataset[i] for i in range(start, min(start + batch_size, len(dataset)))])
            pred.append(self.counted(model(batch["x"].to(device))).float().cpu())
            target.append(self.answered(batch["joints"]))
        pred = torch.cat(pred)
        return (pred - pred[..., :1, :]).numpy(), torch.cat(target).numpy()

    def new_epoch(self, epoch: int) -> None:
        """Remember which windows the epoch wants, short or full; augmentation follows the sampler's seeds."""
        self.epoch = epoch

    def save(self, model: nn.Module, path: Path, info: dict) -> None:
        """Write a weights file."""
        from cascadepose import hub

        hub.save_model(model, path, self.kind, info)


def build_task(config: LifterTaskConfig) -> LifterTask:
    """The task of a configuration; InputError for motion files that cannot be used."""
    return LifterTask(config)
