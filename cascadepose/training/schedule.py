"""The learning rate as a function of the step: nothing to save, and nothing to go out of step on resume."""

import math

import torch


def lr_factor(step: int, total_steps: int, warmup_steps: int, min_ratio: float, shape: str) -> float:
    """Factor on every learning rate at `step` (0 for the first): warm-up, then cosine to `min_ratio` or constant."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    if shape == "constant":
        return 1.0
    progress = min((step - warmup_steps) / max(total_steps - warmup_steps, 1), 1.0)
    return min_ratio + (1 - min_ratio) * 0.5 * (1 + math.cos(math.pi * progress))


class Schedule:
    """Sets the learning rate of each parameter group from the one that the group was given."""

    def __init__(
        self, optimizer: torch.optim.Optimizer, total_steps: int, warmup_steps: int, min_ratio: float, shape: str
    ):
        self.optimizer = optimizer
        self.peak_lrs = [group["lr"] for group in optimizer.param_groups]
        self.arguments = (total_steps, min(warmup_steps, total_steps // 2), min_ratio, shape)

    def set(self, step: int) -> None:
        """Set the rates for `step`, before it is taken."""
        factor = lr_factor(step, *self.arguments)
        for group, peak in zip(self.optimizer.param_groups, self.peak_lrs, strict=True):
            group["lr"] = peak * factor
