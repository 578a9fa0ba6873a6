"""What attention layers looked at, recorded beside the fast path.

`scaled_dot_product_attention` returns no weights, and asking for them would cost every inference. `record_attention`
catches its arguments while a block runs, and the weights are computed from them when they are asked for:

    with record_attention(model, "*.decoder.layers.*") as calls:
        model(batch)
    weights = calls["detector.transformer.decoder.layers.0.self_attn"][-1].weights()

Outside of the block, and for layers that are not chosen, nothing is different.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from cascadepose.models.attention import attention_weights, causal_mask
from cascadepose.models.deformable import DeformableAttention
from cascadepose.models.lifters.blocks import Attention
from cascadepose.models.transformer import MultiHeadAttention


@dataclass(frozen=True)
class Attended:
    """One call of full attention, as it was computed, less dropout.

    query [B, heads, Q, C], key and value [B, heads, S, C]; mask: broadcasts to [B, heads, Q, S], True where a query may
    look; None where it may look everywhere.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    mask: Tensor | None = None

    def weights(self, queries: list[int] | None = None) -> Tensor:
        """Attention weights [B, heads, Q, S], each row summing to one; only of some queries where they are named."""
        query, mask = self.query, self.mask
        if queries is not None:
            query = query[:, :, queries]
            mask = mask[:, :, queries] if mask is not None and mask.shape[2] > 1 else mask
        return attention_weights(query, self.key, mask)


@dataclass(frozen=True)
class Sampled:
    """One call of deformable attention.

    places: [B, Q, heads, levels, points, 2], x and y in 0..1 of the padded map; weights: [B, Q, heads, levels, points],
    summing to one over levels and points.
    """

    places: Tensor
    weights: Tensor


Calls = dict[str, list[Attended | Sampled]]


@contextmanager
def record_attention(model: nn.Module, *patterns: str) -> Iterator[Calls]:
    """Record what the attention layers whose names fit one of the patterns (shell style; default: all) look at.

    Gives a dictionary from layer names to their calls in order, which fills up while the block runs.

    Raises ValueError where a pattern fits no attention layer.
    """
    layers = {name: module for name, module in model.named_modules() if isinstance(module, _KINDS)}
    chosen = [name for name in layers if any(fnmatchcase(name, pattern) for pattern in patterns or ("*",))]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in layers):
            raise ValueError(f'no attention layer is named "{pattern}"; there are: {", ".join(layers) or "none"}')
    catcher, handles = _Catcher(), []
    try:
        for name in chosen:
            handles += catcher.watch(name, layers[name])
        with catcher:
            yield catcher.calls
    finally:
        for handle in handles:
            handle.remove()


_KINDS = (MultiHeadAttention, Attention, DeformableAttention)


class _Catcher(TorchFunctionMode):
    """Sees the arguments of attention and sampling while a watched layer runs."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Calls = {}
        self._layer: str | None = None
        self._grids: list[Tensor] = []
        self._weights: Tensor | None = None

    def watch(self, name: str, layer: nn.Module) -> list[RemovableHandle]:
        """Hooks that announce the layer's beginning and end."""
        handles = [layer.register_forward_pre_hook(partial(self._enter, name))]
        if isinstance(layer, DeformableAttention):
            handles.append(layer.attention_weights.register_forward_hook(partial(self._weigh, layer)))
        return [*handles, layer.register_forward_hook(self._leave, always_call=True)]

    def _enter(self, name: str, layer: nn.Module, inputs: tuple) -> None:
        self._layer, self._grids, self._weights = name, [], None

    def _weigh(self, layer: DeformableAttention, linear: nn.Module, inputs: tuple, output: Tensor) -> None:
        weights = output.detach().unflatten(-1, (layer.num_heads, -1)).softmax(-1)
        self._weights = weights.unflatten(-1, (layer.num_levels, layer.num_points))

    def _leave(self, layer: nn.Module, inputs: tuple, output: Tensor | None) -> None:
        if output is not None and isinstance(layer, DeformableAttention):  # None: the layer raised an error
            places = torch.stack([(grid + 1) / 2 for grid in self._grids], dim=-3)  # [B*heads, Q, L, P, 2]
            places = places.unflatten(0, (-1, layer.num_heads)).transpose(1, 2)
            self.calls.setdefault(self._layer, []).append(Sampled(places, self._weights))
        self._layer = None

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if self._layer is not None and func is F.scaled_dot_product_attention:
            self.calls.setdefault(self._layer, []).append(_attended(*args, **kwargs))
        elif self._layer is not None and func is F.grid_sample:
            self._grids.append(_grid(*args, **kwargs).detach())
        return func(*args, **kwargs)


def _attended(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **_,
) -> Attended:
    """The arguments of `scaled_dot_product_attention` that matter here."""
    if is_causal:
        attn_mask = causal_mask(query, key)[None, None]
    return Attended(query.detach(), key.detach(), value.detach(), attn_mask)


def _grid(value: Tensor, grid: Tensor, *_, **__) -> Tensor:
    """The grid among the arguments of `grid_sample`."""
    return grid
