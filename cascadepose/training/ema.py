"""Exponential moving average of a model's weights."""

import copy

import torch
from torch import Tensor, nn


class EMA:
    """`module` is a copy of the model whose floating-point weights and buffers trail behind the trained ones.

    The decay warms up as (1 + step) / (10 + step), so that the average does not remember the initial weights for long.
    """

    def __init__(self, model: nn.Module, decay: float):
        self.module = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move towards `model` after optimiser step `step` (1 for the first)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        averaged, current = _tensors(self.module), _tensors(model)
        floating = [i for i, tensor in enumerate(averaged) if tensor.is_floating_point()]
        torch._foreach_lerp_([averaged[i] for i in floating], [current[i] for i in floating], 1 - decay)
        for i in set(range(len(averaged))) - set(floating):  # counters, such as BatchNorm's
            averaged[i].copy_(current[i])


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]
