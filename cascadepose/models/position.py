"""Positions of feature-map cells: fixed sine waves, learned tables, and the sum that end-to-end PRTR uses."""

import math

import torch
from torch import Tensor, nn


class PositionEmbeddingSine(nn.Module):
    """Two-dimensional sine position (DETR, section 3.2 and appendix A.4): half of the channels for y, half for x.

    Cells are counted over the valid part only and scaled to 2*pi there, so that padding does not change a position.
    """

    def __init__(self, channels: int, temperature: float = 10000.0):
        super().__init__()
        if channels % 4:
            raise ValueError(f"sine positions need a multiple of 4 channels, got {channels}")
        self.channels = channels
        self.temperature = temperature

    def forward(self, mask: Tensor) -> Tensor:
        """mask [B, H, W] True = padding -> [B, C, H, W]."""
        valid = (~mask).to(torch.float32)
        y, x = valid.cumsum(1), valid.cumsum(2)
        y = y / (y[:, -1:, :] + 1e-6)
        x = x / (x[:, :, -1:] + 1e-6)
        waves = torch.cat([sine_waves(v, self.channels // 2, self.temperature) for v in (y, x)], dim=-1)
        return waves.permute(0, 3, 1, 2)


def sine_waves(values: Tensor, channels: int, temperature: float = 10000.0) -> Tensor:
    """[...] in 0..1 (one turn) -> [..., channels] with sine and cosine interleaved."""
    index = torch.arange(channels, dtype=torch.float32, device=values.device)
    period = temperature ** (2 * torch.div(index, 2, rounding_mode="floor") / channels)
    phase = values[..., None] * 2 * math.pi / period
    return torch.stack([phase[..., 0::2].sin(), phase[..., 1::2].cos()], dim=-1).flatten(-2)


class PositionEmbeddingLearned(nn.Module):
    """Learned row and column tables, concatenated (x first unless `y_first`), for maps up to `size` cells a side."""

    def __init__(self, channels: int, size: tuple[int, int] = (50, 50), y_first: bool = False):
        super().__init__()
        self.y_first = y_first
        self.row_embed = nn.Embedding(size[0], channels // 2)
        self.col_embed = nn.Embedding(size[1], channels // 2)
        nn.init.uniform_(self.row_embed.weight)
        nn.init.uniform_(self.col_embed.weight)

    def forward(self, mask: Tensor) -> Tensor:
        """mask [B, H, W] (only its shape is used) -> [B, C, H, W].

        Raises ValueError where the map has more cells than the tables.
        """
        batch, height, width = mask.shape
        if height > self.row_embed.num_embeddings or width > self.col_embed.num_embeddings:
            limit = (self.row_embed.num_embeddings, self.col_embed.num_embeddings)
            raise ValueError(f"a {height}x{width} map does not fit learned positions of {limit}")
        y = self.row_embed.weight[:height, None].expand(-1, width, -1)
        x = self.col_embed.weight[None, :width].expand(height, -1, -1)
        table = torch.cat([y, x] if self.y_first else [x, y], dim=-1)
        return table.permute(2, 0, 1).expand(batch, -1, -1, -1)


class PositionEmbeddingSineLearned(nn.Module):
    """Sine and learned positions side by side, half of the channels each (PRTR, end-to-end form: 256 + 256)."""

    def __init__(self, channels: int, size: tuple[int, int]):
        super().__init__()
        self.sine = PositionEmbeddingSine(channels // 2)
        self.learned = PositionEmbeddingLearned(channels // 2, size, y_first=True)

    def forward(self, mask: Tensor) -> Tensor:
        """mask [B, H, W] True = padding -> [B, C, H, W]."""
        return torch.cat([self.sine(mask), self.learned(mask)], dim=1)


def build_position(kind: str, channels: int, size: tuple[int, int] = (50, 50)) -> nn.Module:
    """kind: "sine", "learned" or "sine+learned"; `size` bounds the learned tables."""
    if kind == "sine":
        return PositionEmbeddingSine(channels)
    if kind == "learned":
        return PositionEmbeddingLearned(channels, size)
    if kind == "sine+learned":
        return PositionEmbeddingSineLearned(channels, size)
    raise ValueError(f'unknown position "{kind}": use "sine", "learned" or "sine+learned"')
