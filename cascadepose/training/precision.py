"""What mixed precision leaves in float32 because there it is faster."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle


def spare_strided_depthwise(model: nn.Module) -> list[RemovableHandle]:
    """Keep the strided depthwise convolutions of a model out of autocast on a CPU, until the handles are removed.

    In bfloat16 the gradient of such a convolution takes about ten times as long there as in float32: of a MobileNet's
    step, which has four of them, nearly half.
    """
    chosen = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.groups > 1 and max(m.stride) > 1]
    before = [m.register_forward_pre_hook(_leave_autocast) for m in chosen]
    return before + [m.register_forward_hook(_back_to_autocast, always_call=True) for m in chosen]


def _leave_autocast(convolution: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    convolution.was_autocast = torch.is_autocast_enabled("cpu")
    torch.set_autocast_enabled("cpu", False)
    return (inputs[0].to(convolution.weight.dtype),)


def _back_to_autocast(convolution: nn.Module, _inputs: Any, _output: Any) -> None:
    torch.set_autocast_enabled("cpu", convolution.was_autocast)
