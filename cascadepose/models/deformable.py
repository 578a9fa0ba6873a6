"""Deformable attention: each query looks at a few places around its reference (Deformable DETR, Zhu et al., ICLR 2021,
sections 4.1 and 4.2), in plain torch.

Parameter names are the official ones.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cascadepose.models.transformer import MultiHeadAttention


class DeformableAttention(nn.Module):
    """Multi-scale deformable attention: every head samples `num_points` places a level and weighs them."""

    def __init__(self, dim: int, num_heads: int = 8, num_levels: int = 1, num_points: int = 4):
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"{dim} channels cannot be split into {num_heads} heads")
        self.num_heads, self.num_levels, self.num_points = num_heads, num_levels, num_points
        self.sampling_offsets = nn.Linear(dim, num_heads * num_levels * num_points * 2)
        self.attention_weights = nn.Linear(dim, num_heads * num_levels * num_points)
        self.value_proj = nn.Linear(dim, dim)
        self.output_proj = nn.Linear(dim, dim)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Heads look in different directions, points at growing distances, all with equal weight (section 4.1)."""
        turn = torch.arange(self.num_heads) * (2 * math.pi / self.num_heads)
        direction = torch.stack([turn.cos(), turn.sin()], dim=-1)
        direction = direction / direction.abs().amax(-1, keepdim=True)
        distance = torch.arange(1, self.num_points + 1).float()
        start = (direction[:, None, None] * distance[:, None]).expand(-1, self.num_levels, -1, -1)
        nn.init.zeros_(self.sampling_offsets.weight)
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(start.flatten())
        nn.init.zeros_(self.attention_weights.weight)
        nn.init.zeros_(self.attention_weights.bias)
        for projection in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(projection.weight)
            nn.init.zeros_(projection.bias)

    def forward(
        self,
        query: Tensor,
        reference: Tensor,
        memory: Tensor,
        shapes: Sequence[tuple[int, int]],
        padding: Tensor | None = None,
    ) -> Tensor:
        """Attend from queries to the maps whose tokens follow one another in `memory`.

        query: [B, Q, C], positions already added. memory: [B, S, C], S the sum of h * w over `shapes`.
        reference: relative to the padded maps, a point [B, Q, L, 2] a level, whose offsets are in cells, or a box [B,
            Q, L, 4] as cxcywh, whose offsets are in halves of its size over the number of points.
        padding: [B, S] True where a token is padding; it is read as zero.

        Returns [B, Q, C].
        """
        value = self.value_proj(memory)
        if padding is not None:
            value = value.masked_fill(padding[..., None], 0.0)
        layout = (self.num_heads, self.num_levels, self.num_points)
        offsets = self.sampling_offsets(query).unflatten(-1, (*layout, 2))
        weights = self.attention_weights(query).unflatten(-1, (self.num_heads, -1)).softmax(-1)
        if reference.shape[-1] == 2:
            cells = query.new_tensor([(w, h) for h, w in shapes])
            offsets = offsets / cells[:, None]
        else:
            offsets = offsets * (reference[:, :, None, :, None, 2:] * (0.5 / self.num_points))
        places = reference[:, :, None, :, None, :2] + offsets
        return self.output_proj(sample(value, places, weights, shapes))


def sample(value: Tensor, places: Tensor, weights: Tensor, shapes: Sequence[tuple[int, int]]) -> Tensor:
    """Weighted bilinear samples of several maps; zero outside of them.

    value [B, S, C], places [B, Q, heads, L, P, 2] as x, y in 0..1 of each map, weights [B, Q, heads, L*P] -> [B, Q, C].
    """
    batch, queries, heads, _, points, _ = places.shape
    grids = places.permute(3, 0, 2, 1, 4, 5).flatten(1, 2) * 2 - 1  # [L, B*heads, Q, P, 2]
    levels = value.unflatten(-1, (heads, -1)).permute(0, 2, 3, 1).flatten(0, 1).split([h * w for h, w in shapes], -1)
    found = [
        F.grid_sample(level.unflatten(-1, shape), grid, align_corners=False)
        for level, shape, grid in zip(levels, shapes, grids, strict=True)
    ]
    weights = weights.transpose(1, 2).reshape(batch * heads, 1, queries, len(shapes) * points)
    mixed = (torch.cat(found, dim=-1) * weights).sum(-1)  # [B*heads, C/heads, Q]
    return mixed.unflatten(0, (batch, heads)).flatten(1, 2).transpose(1, 2)


class DeformableDecoderLayer(nn.Module):
    """Self-attention among queries, deformable attention to the memory, feed-forward; LayerNorm after each."""

    def __init__(
        self, dim: int, num_heads: int, dim_feedforward: int, dropout: float, num_levels: int = 1, num_points: int = 4
    ):
        super().__init__()
        self.self_attn = MultiHeadAttention(dim, num_heads, dropout)
        self.norm2 = nn.LayerNorm(dim)
        self.cross_attn = DeformableAttention(dim, num_heads, num_levels, num_points)
        self.norm1 = nn.LayerNorm(dim)
        self.linear1 = nn.Linear(dim, dim_feedforward)
        self.linear2 = nn.Linear(dim_feedforward, dim)
        self.norm3 = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        query_pos: Tensor,
        reference: Tensor,
        memory: Tensor,
        shapes: Sequence[tuple[int, int]],
        padding: Tensor | None = None,
    ) -> Tensor:
        """x and query_pos [B, Q, C]; the rest as in `DeformableAttention` -> [B, Q, C]."""
        placed = x + query_pos
        x = self.norm2(x + self.dropout(self.self_attn(placed, placed, x)))
        x = self.norm1(x + self.dropout(self.cross_attn(x + query_pos, reference, memory, shapes, padding)))
        return self.norm3(x + self.dropout(self.linear2(self.dropout(F.relu(self.linear1(x))))))
