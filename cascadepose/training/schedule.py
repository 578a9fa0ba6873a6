"""The learning rate as a function of the step: nothing to save, and nothing to go out of step on resume."""

import math

import torch

from cascadepose.training.settings import TrainConfig


def lr_factor(step: int, total_steps: int, epoch_steps: int, config: TrainConfig) -> float:
    """Factor on every learning rate at `step` (0 for the first): warm-up, then as `config.schedule` says."""
    warmup_steps = min(config.warmup_steps, total_steps // 2)
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    if config.schedule == "constant":
        return 1.0
    if config.schedule == "exponential":
        return config.lr_decay ** (step // epoch_steps)
    if config.schedule == "steps":
        return config.lr_decay ** sum(step // epoch_steps >= milestone for milestone in config.milestones)
    fall = min(warmup_steps + config.hold_steps, total_steps)
    progress = min(max(step - fall, 0) / max(total_steps - fall, 1), 1.0)
    return config.min_lr_ratio + (1 - config.min_lr_ratio) * 0.5 * (1 + math.cos(math.pi * progress))


class Schedule:
    """Sets the learning rate of each parameter group from the one that the group was given."""

    def __init__(self, optimizer: torch.optim.Optimizer, total_steps: int, epoch_steps: int, config: TrainConfig):
        self.optimizer = optimizer
        self.peak_lrs = [group["lr"] for group in optimizer.param_groups]
        self.arguments = (total_steps, epoch_steps, config)

    def set(self, step: int) -> None:
        """Set the rates for `step`, before it is taken."""
        factor = lr_factor(step, *self.arguments)
        for group, peak in zip(self.optimizer.param_groups, self.peak_lrs, strict=True):
            group["lr"] = peak * factor
