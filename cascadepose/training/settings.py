"""The settings of a training run, the `train:` section of a configuration."""

from dataclasses import dataclass, field
from typing import Literal

from cascadepose.errors import InputError


@dataclass
class TrainConfig:
    """How to train."""

    output_dir: str = "runs/train"
    """Folder for weights, the state to resume from and logs."""
    epochs: int = 10
    """Passes over `epoch_length` items."""
    max_steps: int | None = None
    """Optimiser steps in place of epochs; the schedule is over them."""
    max_minutes: float | None = None
    """Stop after this time, with a state to resume from; the schedule is not shortened."""
    batch_size: int = 32
    """Items in a forward pass of one process."""
    accumulate: int = 1
    """Forward passes in an optimiser step."""
    lr: float = 1e-3
    """Peak learning rate, AdamW."""
    weight_decay: float = 0.05
    """AdamW's weight decay."""
    clip_grad_norm: float | None = 1.0
    """Largest gradient norm; null does not clip."""
    schedule: Literal["cosine", "constant", "exponential", "steps"] = "cosine"
    """Learning rate after the warm-up."""
    warmup_steps: int = 200
    """Steps of linear warm-up, at most half of all."""
    hold_steps: int = 0
    """Steps between the warm-up and the fall of the cosine in which the rate stays at its peak."""
    min_lr_ratio: float = 0.01
    """Where the cosine ends, relative to `lr`."""
    lr_decay: float = 0.99
    """Factor on the rate after each epoch of the exponential schedule, or at each milestone of the one in steps."""
    milestones: list[int] = field(default_factory=list)
    """Epochs after which the schedule in steps lowers the rate."""
    ema_decay: float | None = 0.999
    """Decay of the averaged weights that are validated and saved; null validates the trained ones."""
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"
    """Autocast of the forward pass."""
    channels_last: bool = False
    """Memory format of convolutions, faster on most devices with mixed precision."""
    device: Literal["auto", "cpu"] = "auto"
    """auto takes an accelerator where there is one."""
    seed: int = 0
    """Seed of everything random."""
    num_workers: int = 2
    """Data loading processes; 0 loads in the main one."""
    num_threads: int | None = None
    """Threads of torch on CPU; null leaves its default."""
    find_unused_parameters: bool = False
    """Several processes: let parameters go without a gradient in a step (slower)."""
    validate_every: int = 1
    """Epochs between validations; the last step is always validated."""
    keep_best: int = 3
    """How many of the best weights to keep."""
    early_stop_patience: int | None = None
    """Validations without a new best after which to stop; null never does."""
    checkpoint_every_steps: int | None = None
    """Steps between states to resume from."""
    checkpoint_every_minutes: float | None = 10.0
    """Minutes between states to resume from."""
    resume: bool | Literal["auto"] = "auto"
    """auto goes on where output_dir holds a state, true insists on one, false insists on none."""
    log_every: int = 20
    """Steps between log entries."""
    tensorboard: bool = True
    """Write TensorBoard logs where it is installed."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate", "validate_every", "keep_best", "log_every"):
            if getattr(self, name) < 1:
                raise InputError(f"train.{name} is {getattr(self, name)}: give at least 1")
