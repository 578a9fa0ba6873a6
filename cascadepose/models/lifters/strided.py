"""Strided Transformer (Li et al., IEEE Transactions on Multimedia 2022): many 2D poses -> the centre one in 3D.

A vanilla transformer encoder (VTE, section III-B) keeps every frame, a strided one (STE, section III-C) shortens the
sequence to one token. Training supervises both ("full-to-single", section III-D): `losses.lifting.full_to_single`.
"""

import math
from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor, nn

from cascadepose.models.lifters.blocks import Attention
from cascadepose.models.pretrained import Pretrained

EPS = 1e-6


class StridedTransformer(Pretrained, nn.Module):
    """Lifts the centre frame of a window of 2D joints, or all its frames, to 3D.

    forward: x [B, T, J, in_channels] (x, y normalised as `normalization` says), T = num_frames
             -> [B, 1, out_joints, 3] root-relative joints of frame T // 2 in metres, camera axes;
                with frames_out="all" the VTE's answer [B, T, out_joints, 3], for which T may be shorter;
                with both=True the pair of them, as training needs it.
    The root joint is trained towards zero, not fixed there: subtract it.

    strides      factor by which each STE layer shortens the sequence: 27 frames (3, 3, 3), 351 frames (3, 9, 13); their
                 product must reach num_frames
    depth        layers of the VTE
    positions    STE layers, from the first, that have a position embedding of their own (default: all; 3 as published)
    dropout      in attention and after every sub-layer;  embed_dropout  on the embedded poses
    seen_skeleton, style  the joints it sees and how they are made of COCO-17's, see `Skeleton.convert`

    Raises ValueError for strides that leave more than one token and for windows of another length.
    """

    causal = False
    input_skeleton = "coco17"
    skeleton = "h36m17"

    def __init__(
        self,
        num_frames: int = 27,
        strides: Sequence[int] = (3, 3, 3),
        dim: int = 256,
        hidden: int = 512,
        depth: int = 3,
        num_heads: int = 8,
        positions: int | None = None,
        dropout: float = 0.1,
        embed_dropout: float = 0.25,
        num_joints: int = 17,
        out_joints: int = 17,
        in_channels: int = 2,
        frames_out: str = "center",
        normalization: str = "screen",
        seen_skeleton: str = "h36m17",
        style: str = "midpoints",
        frame_rate: float | None = None,
        mean_pose: list[list[float]] | None = None,
    ):
        super().__init__()
        strides = [int(stride) for stride in strides]
        positions = len(strides) if positions is None else positions
        _check(num_frames, strides, positions, frames_out)
        self.config = {
            "num_frames": num_frames,
            "strides": strides,
            "dim": dim,
            "hidden": hidden,
            "depth": depth,
            "num_heads": num_heads,
            "positions": positions,
            "dropout": dropout,
            "embed_dropout": embed_dropout,
            "num_joints": num_joints,
            "out_joints": out_joints,
            "in_channels": in_channels,
            "frames_out": frames_out,
            "normalization": normalization,
            "seen_skeleton": seen_skeleton,
            "style": style,
            "frame_rate": frame_rate,
            "mean_pose": mean_pose,
        }
        self.num_frames, self.in_channels, self.frames_out = num_frames, in_channels, frames_out
        self.seen_skeleton, self.style, self.normalization = seen_skeleton, style, normalization
        self.frame_rate, self.mean_pose = frame_rate, mean_pose
        self.embed = nn.Sequential(
            nn.Conv1d(num_joints * in_channels, dim, 1), nn.BatchNorm1d(dim), nn.ReLU(), nn.Dropout(embed_dropout)
        )
        self.vte = VanillaEncoder(num_frames, dim, hidden, depth, num_heads, dropout)
        self.ste = StridedEncoder(num_frames, dim, hidden, strides, num_heads, positions, dropout)
        self.full_head = nn.Sequential(nn.BatchNorm1d(dim), nn.Conv1d(dim, out_joints * 3, 1))
        self.head = nn.Sequential(nn.BatchNorm1d(dim), nn.Conv1d(dim, out_joints * 3, 1))

    def forward(self, x: Tensor, both: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """Centre frame [B, 1, J, 3], all frames [B, T, J, 3], or the pair (centre, all); see the class."""
        if x.shape[1] > self.num_frames or (x.shape[1] < self.num_frames and (both or self.frames_out == "center")):
            raise ValueError(f"a window of {x.shape[1]} frames does not fit num_frames={self.num_frames}")
        tokens = self.embed(rearrange(x, "b t j c -> b (j c) t"))
        tokens = self.vte(rearrange(tokens, "b c t -> b t c"))
        if self.frames_out == "all" and not both:
            return _joints(self.full_head, tokens)
        center = _joints(self.head, self.ste(tokens))
        return (center, _joints(self.full_head, tokens)) if both else center


class VanillaEncoder(nn.Module):
    """Pre-norm transformer over the frames: [B, T, C] -> [B, T, C], T <= num_frames."""

    def __init__(self, num_frames: int, dim: int, hidden: int, depth: int, num_heads: int, dropout: float):
        super().__init__()
        self.pos_embed = nn.Parameter(torch.randn(1, num_frames, dim))
        self.blocks = nn.ModuleList(Block(dim, hidden, num_heads, dropout) for _ in range(depth))
        self.norm = _unused_norm(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.pos_embed[:, : x.shape[1]]
        for block in self.blocks:
            x = block(x)
        return x


class StridedEncoder(nn.Module):
    """Transformer whose feed-forward layers shorten the sequence: [B, num_frames, C] -> [B, 1, C]."""

    def __init__(
        self, num_frames: int, dim: int, hidden: int, strides: list[int], num_heads: int, positions: int, dropout: float
    ):
        super().__init__()
        # as published, every position table is of the full length, though a layer reads its first rows only, and there
        # may be tables without a layer
        tables = (nn.Parameter(torch.randn(1, num_frames, dim), i < len(strides)) for i in range(positions))
        self.pos_embeds = nn.ParameterList(tables)
        self.blocks = nn.ModuleList(Block(dim, hidden, num_heads, dropout, stride) for stride in strides)
        self.norm = _unused_norm(dim)

    def forward(self, x: Tensor) -> Tensor:
        for i, block in enumerate(self.blocks):
            if i < len(self.pos_embeds):
                x = x + self.pos_embeds[i][:, : x.shape[1]]
            x = block(x)
        return x


class Block(nn.Module):
    """Attention and feed-forward layer, pre-norm with dropout and residual: [B, T, C] -> [B, ceil(T / stride), C]."""

    def __init__(self, dim: int, hidden: int, num_heads: int, dropout: float, stride: int | None = None):
        super().__init__()
        self.stride = stride or 1
        self.norm1 = StdNorm(dim)
        self.attn = Attention(dim, num_heads, dropout)
        self.norm2 = StdNorm(dim)
        self.mlp = FeedForward(dim, hidden, dropout) if stride is None else StridedMLP(dim, hidden, dropout, stride)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop(self.attn(self.norm1(x)))
        # the residual takes the first frame of each stride, not the middle one (published as a pooling of width 1)
        return x[:, :: self.stride] + self.drop(self.mlp(self.norm2(x)))


class FeedForward(nn.Module):
    """Linear, ReLU, Linear (the published code names its ReLU "gelu"): [B, T, C] -> [B, T, C]."""

    def __init__(self, dim: int, hidden: int, dropout: float):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.drop(self.fc1(x).relu()))


class StridedMLP(nn.Module):
    """A feed-forward layer that ends in a strided convolution of width 3: [B, T, C] -> [B, ceil(T/stride), C]."""

    def __init__(self, dim: int, hidden: int, dropout: float, stride: int):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.conv = nn.Conv1d(hidden, dim, 3, stride=stride, padding=1)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.drop(self.fc1(x).relu())
        return rearrange(self.conv(rearrange(x, "b t c -> b c t")), "b c t -> b t c")


class StdNorm(nn.Module):
    """Normalises by the unbiased standard deviation plus epsilon, unlike `nn.LayerNorm`: published weights need it."""

    def __init__(self, dim: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        std, mean = torch.std_mean(x, dim=-1, keepdim=True)
        return self.weight * (x - mean) / (std + EPS) + self.bias


def _unused_norm(dim: int) -> StdNorm:
    """The published encoders own a last norm that they never apply; it stays so that sizes and files agree."""
    return StdNorm(dim).requires_grad_(False)


def _joints(head: nn.Module, tokens: Tensor) -> Tensor:
    return rearrange(head(rearrange(tokens, "b t c -> b c t")), "b (j d) t -> b t j d", d=3)


def _check(num_frames: int, strides: list[int], positions: int, frames_out: str) -> None:
    length = num_frames
    for stride in strides:
        length = math.ceil(length / stride)
    if length != 1 or min(strides, default=0) < 1 or num_frames < 1:
        raise ValueError(f"strides {strides} leave {length} tokens of num_frames {num_frames}; they must leave one")
    if positions < 0:
        raise ValueError(f"positions {positions} is negative; give the number of layers with a position embedding")
    if frames_out not in ("center", "all"):
        raise ValueError(f'frames_out {frames_out!r}: use "center" or "all"')
