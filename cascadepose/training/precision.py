"""What is done otherwise in bfloat16 on a CPU, where PyTorch's own ways are slower than float32's.

Of a step of the packaged keypoint stage, the gradient of four strided depthwise convolutions took nearly half (ten
times as long as in float32), and attention takes nearly twice as long as products of matrices do. The gradient of the
kernel of a depthwise convolution of 5x5 takes four to five times as long as in float32.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from cascadepose.models.attention import attention_weights, causal_mask
from cascadepose.training.settings import TrainConfig

SHORT = 512  # keys; the weights of attention to more would take more memory than they save time


def faster_steps(config: TrainConfig, device: torch.device) -> AbstractContextManager:
    """In what the losses of a run are computed: `FasterBfloat16` for bfloat16 on a CPU, else nothing."""
    return FasterBfloat16() if config.mixed_precision == "bf16" and device.type == "cpu" else nullcontext()


class FasterBfloat16(TorchFunctionMode):
    """Under autocast on a CPU: depthwise convolutions that are strided or larger than 3x3 stay in float32, attention is
    products of matrices.
    """

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if not torch.is_autocast_enabled("cpu"):
            return func(*args, **kwargs)
        if func is F.conv2d and _is_slow_depthwise(*args, **kwargs):
            with torch.autocast("cpu", enabled=False):
                return func(args[0].float(), *args[1:], **kwargs)
        if func is F.scaled_dot_product_attention and args[1].shape[-2] <= SHORT:
            return attention(*args, **kwargs)
        return func(*args, **kwargs)


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
) -> Tensor:
    """What `scaled_dot_product_attention` answers, [..., Q, C]."""
    mask = causal_mask(query, key) if is_causal else attn_mask
    weights = attention_weights(query, key, mask)
    weights = F.dropout(weights, dropout_p) if dropout_p else weights
    return weights.to(value.dtype) @ value


def _is_slow_depthwise(
    _input: Tensor,
    weight: Tensor,
    _bias: Tensor | None = None,
    stride: int | tuple[int, ...] = 1,
    _padding: Any = 0,
    _dilation: Any = 1,
    groups: int = 1,
) -> bool:
    return groups > 1 and (stride not in (1, (1, 1)) or weight.shape[-1] > 3)
