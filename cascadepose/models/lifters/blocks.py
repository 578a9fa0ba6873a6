"""Transformer blocks of lifters. Attribute names follow the official ones, so that published checkpoints load."""

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


@dataclass
class Past:
    """What an attention saw of tokens that are not given to it again: keys and values [N, heads, S, C / heads].

    Afterwards `new` holds those of the tokens that it was given.
    """

    keys: Tensor
    values: Tensor
    new: tuple[Tensor, Tensor] | None = None

    def before(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """The past ones, then these."""
        self.new = keys, values
        return torch.cat([self.keys, keys], 2), torch.cat([self.values, values], 2)


class Attention(nn.Module):
    """Multi-head self-attention over the second to last axis: [N, L, C] -> [N, L, C].

    dropout  share of the attention weights that training drops
    causal   a token sees itself and those before it only
    """

    def __init__(self, dim: int, num_heads: int, dropout: float = 0.0, causal: bool = False):
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"dim {dim} is not a multiple of num_heads {num_heads}")
        self.num_heads, self.dropout, self.causal = num_heads, dropout, causal
        self.proj = nn.Linear(dim, dim)
        self.qkv = nn.Linear(dim, dim * 3)

    def forward(self, x: Tensor, mask: Tensor | None = None, past: Past | None = None) -> Tensor:
        """mask, broadcast to [N, heads, L, L]: True where a token may look, instead of `causal`.

        past  S tokens that stand before these; the mask is then [N, heads, L, S + L]
        """
        q, k, v = rearrange(self.qkv(x), "n l (three h d) -> three n h l d", three=3, h=self.num_heads).unbind(0)
        if past is not None:
            k, v = past.before(k, v)
        dropout = self.dropout if self.training else 0.0
        causal = self.causal and mask is None
        mixed = scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout, is_causal=causal)
        return self.proj(rearrange(mixed, "n h l d -> n l (h d)"))


class MLP(nn.Module):
    """Linear, exact GELU, Linear."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


class DropPath(nn.Module):
    """Stochastic depth (Huang et al., ECCV 2016): in training, leaves out the branch of each sample with `rate`."""

    def __init__(self, rate: float):
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"drop_path {rate} is not within 0..1")
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        kept = torch.rand(len(x), *[1] * (x.ndim - 1), device=x.device) >= self.rate
        return x * kept / (1 - self.rate)


class Block(nn.Module):
    """Attention and MLP over the second to last axis, pre-norm and residual: [N, L, C] -> [N, L, C]."""

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float, drop_path: float = 0.0, eps: float = 1e-6):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=eps)
        self.attn = Attention(dim, num_heads)
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(dim, eps=eps)
        self.mlp = MLP(dim, int(dim * mlp_ratio))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))


def drop_rates(depth: int, last: float) -> list[float]:
    """Rates of `DropPath` that rise evenly from zero in the first of `depth` blocks to `last` in the last."""
    return [last * i / max(depth - 1, 1) for i in range(depth)]


class DualStreamBlock(nn.Module):
    """Spatial and temporal attention, each with its own MLP, pre-norm and residual: [B, T, J, C] -> [B, T, J, C].

    `spatial_first` chooses the order: the two streams of DSTformer (MotionBERT, section 3.2) differ in nothing else.
    `causal`: temporal attention looks back only.
    """

    def __init__(
        self, dim: int, num_heads: int, mlp_ratio: float, spatial_first: bool, eps: float = 1e-6, causal: bool = False
    ):
        super().__init__()
        self.spatial_first = spatial_first
        hidden = int(dim * mlp_ratio)
        self.norm1_s = nn.LayerNorm(dim, eps=eps)
        self.norm1_t = nn.LayerNorm(dim, eps=eps)
        self.attn_s = Attention(dim, num_heads)
        self.attn_t = Attention(dim, num_heads, causal=causal)
        self.norm2_s = nn.LayerNorm(dim, eps=eps)
        self.norm2_t = nn.LayerNorm(dim, eps=eps)
        self.mlp_s = MLP(dim, hidden)
        self.mlp_t = MLP(dim, hidden)

    def forward(self, x: Tensor, mask: Tensor | None = None, past: Past | None = None) -> Tensor:
        """mask [B, T, T]: True where a frame may look, instead of `causal`; past: of the temporal attention."""
        if self.spatial_first:
            return self.temporal(self.spatial(x), mask, past)
        return self.spatial(self.temporal(x, mask, past))

    def spatial(self, x: Tensor) -> Tensor:
        """Attend over the joints of each frame."""
        frames = rearrange(x, "b t j c -> (b t) j c")
        frames = frames + self.attn_s(self.norm1_s(frames))
        frames = frames + self.mlp_s(self.norm2_s(frames))
        return rearrange(frames, "(b t) j c -> b t j c", b=x.shape[0])

    def temporal(self, x: Tensor, mask: Tensor | None = None, past: Past | None = None) -> Tensor:
        """Attend over the frames of each joint."""
        joints = rearrange(x, "b t j c -> (b j) t c")
        mask = None if mask is None else mask.repeat_interleave(x.shape[2], 0)[:, None]
        joints = joints + self.attn_t(self.norm1_t(joints), mask, past)
        joints = joints + self.mlp_t(self.norm2_t(joints))
        return rearrange(joints, "(b j) t c -> b t j c", b=x.shape[0])


def init_transformer(module: nn.Module, std: float = 0.02) -> None:
    """Truncated normal weights, zero biases, unit norms; for `module.apply`."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=std)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.LayerNorm):
        nn.init.ones_(module.weight)
        nn.init.zeros_(module.bias)


def fuse(weights: nn.Linear, first: Tensor, second: Tensor) -> Tensor:
    """Blend two streams by a softmax gate per token; `weights` maps their concatenation to two logits."""
    gate = weights(torch.cat([first, second], dim=-1)).softmax(dim=-1)
    return first * gate[..., :1] + second * gate[..., 1:]
