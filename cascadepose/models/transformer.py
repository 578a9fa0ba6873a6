"""The DETR encoder-decoder (Carion et al., ECCV 2020, section 3.2): post-norm, positions added to queries and keys at
every layer.

Parameter names are DETR's, so that official tensors load without renaming.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn


class MultiHeadAttention(nn.Module):
    """Multi-head attention on `scaled_dot_product_attention`, with the parameter layout of `nn.MultiheadAttention`."""

    def __init__(self, dim: int, num_heads: int, dropout: float = 0.0):
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"{dim} channels cannot be split into {num_heads} heads")
        self.num_heads = num_heads
        self.dropout = dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = nn.Linear(dim, dim)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, padding: Tensor | None = None) -> Tensor:
        """query [B, Q, C], key and value [B, S, C], padding [B, S] True = ignore -> [B, Q, C]."""
        dim = self.out_proj.in_features
        weight, bias = self.in_proj_weight, self.in_proj_bias
        if query is key:
            q, k = F.linear(query, weight[: 2 * dim], bias[: 2 * dim]).chunk(2, dim=-1)
        else:
            q = F.linear(query, weight[:dim], bias[:dim])
            k = F.linear(key, weight[dim : 2 * dim], bias[dim : 2 * dim])
        v = F.linear(value, weight[2 * dim :], bias[2 * dim :])
        q, k, v = (rearrange(t, "b n (h c) -> b h n c", h=self.num_heads) for t in (q, k, v))
        attend = None if padding is None else ~padding[:, None, None, :]
        x = F.scaled_dot_product_attention(q, k, v, attend, self.dropout if self.training else 0.0)
        return self.out_proj(rearrange(x, "b h n c -> b n (h c)"))


class TransformerEncoderLayer(nn.Module):
    """Self-attention and feed-forward, each followed by its LayerNorm."""

    def __init__(self, dim: int, num_heads: int, dim_feedforward: int, dropout: float = 0.0):
        super().__init__()
        self.self_attn = MultiHeadAttention(dim, num_heads, dropout)
        self.linear1 = nn.Linear(dim, dim_feedforward)
        self.linear2 = nn.Linear(dim_feedforward, dim)
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, pos: Tensor, padding: Tensor | None = None) -> Tensor:
        """x [B, S, C], pos [B, S, C], padding [B, S] -> [B, S, C]."""
        placed = x + pos
        x = self.norm1(x + self.dropout(self.self_attn(placed, placed, x, padding)))
        return self.norm2(x + self.dropout(self.linear2(self.dropout(F.relu(self.linear1(x))))))


class TransformerDecoderLayer(nn.Module):
    """Self-attention among queries, cross-attention to the memory, feed-forward; LayerNorm after each."""

    def __init__(self, dim: int, num_heads: int, dim_feedforward: int, dropout: float = 0.0):
        super().__init__()
        self.self_attn = MultiHeadAttention(dim, num_heads, dropout)
        self.multihead_attn = MultiHeadAttention(dim, num_heads, dropout)
        self.linear1 = nn.Linear(dim, dim_feedforward)
        self.linear2 = nn.Linear(dim_feedforward, dim)
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.norm3 = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, query_pos: Tensor, placed_memory: Tensor, memory: Tensor, padding: Tensor | None = None
    ) -> Tensor:
        """x and query_pos [B, Q, C], memory with and without its position [B, S, C], padding [B, S] -> [B, Q, C]."""
        placed = x + query_pos
        x = self.norm1(x + self.dropout(self.self_attn(placed, placed, x)))
        x = self.norm2(x + self.dropout(self.multihead_attn(x + query_pos, placed_memory, memory, padding)))
        return self.norm3(x + self.dropout(self.linear2(self.dropout(F.relu(self.linear1(x))))))


class TransformerEncoder(nn.Module):
    """A stack of encoder layers; without a final norm, as in post-norm DETR."""

    def __init__(self, num_layers: int, *layer_args):
        super().__init__()
        self.layers = nn.ModuleList(TransformerEncoderLayer(*layer_args) for _ in range(num_layers))

    def forward(self, x: Tensor, pos: Tensor, padding: Tensor | None = None) -> Tensor:
        for layer in self.layers:
            x = layer(x, pos, padding)
        return x


class TransformerDecoder(nn.Module):
    """A stack of decoder layers whose every output passes the same final norm."""

    def __init__(self, num_layers: int, dim: int, *layer_args):
        super().__init__()
        self.layers = nn.ModuleList(TransformerDecoderLayer(dim, *layer_args) for _ in range(num_layers))
        self.norm = nn.LayerNorm(dim)

    def forward(
        self, x: Tensor, query_pos: Tensor, memory: Tensor, pos: Tensor, padding: Tensor | None = None
    ) -> Tensor:
        placed_memory = memory + pos
        outputs = []
        for layer in self.layers:
            x = layer(x, query_pos, placed_memory, memory, padding)
            outputs.append(self.norm(x))
        return torch.stack(outputs)


class Transformer(nn.Module):
    """DETR's encoder-decoder. `encode` and `decode` can be called one by one, `forward` is both.

    decoder: another one instead of DETR's; it is then called by its owner, not through `decode`.
    """

    def __init__(
        self,
        d_model: int = 256,
        num_heads: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.0,
        decoder: nn.Module | None = None,
    ):
        super().__init__()
        self.d_model = d_model
        self.encoder = TransformerEncoder(num_encoder_layers, d_model, num_heads, dim_feedforward, dropout)
        self.decoder = decoder or TransformerDecoder(num_decoder_layers, d_model, num_heads, dim_feedforward, dropout)
        for part in (self.encoder, None if decoder else self.decoder):
            for parameter in part.parameters() if part else ():
                if parameter.dim() > 1:
                    nn.init.xavier_uniform_(parameter)

    def encode(self, x: Tensor, pos: Tensor, padding: Tensor | None = None) -> Tensor:
        """Tokens x and pos [B, S, C], padding [B, S] True = ignore -> memory [B, S, C]."""
        return self.encoder(x, pos, padding)

    def decode(
        self,
        query_pos: Tensor,
        memory: Tensor,
        pos: Tensor,
        padding: Tensor | None = None,
        content: Tensor | None = None,
    ) -> Tensor:
        """query_pos [Q, C] or [B, Q, C], memory and pos [B, S, C] -> hs [L, B, Q, C], one slice a decoder layer.

        content: what the queries start from, [B, Q, C]; zeros in DETR.
        """
        if query_pos.dim() == 2:
            query_pos = query_pos.expand(memory.shape[0], -1, -1)
        if content is None:
            content = torch.zeros_like(query_pos)
        return self.decoder(content, query_pos, memory, pos, padding)

    def forward(
        self, x: Tensor, pos: Tensor, query_embed: Tensor, padding: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """-> (hs [L, B, Q, C], memory [B, S, C])."""
        memory = self.encode(x, pos, padding)
        return self.decode(query_embed, memory, pos, padding), memory


class MLP(nn.Module):
    """`num_layers` linear layers with ReLU between them; parameters under `layers.N` as in DETR's box head."""

    def __init__(self, in_dim: int, hidden_dim: int, out_dim: int, num_layers: int):
        super().__init__()
        sizes = [in_dim] + [hidden_dim] * (num_layers - 1) + [out_dim]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


def inverse_sigmoid(x: Tensor, eps: float = 1e-5) -> Tensor:
    """log(x / (1 - x)) with x kept `eps` away from 0 and 1."""
    x = x.clamp(eps, 1 - eps)
    return torch.log(x) - torch.log1p(-x)


def tokens(feature_map: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, H*W, C]."""
    return rearrange(feature_map, "b c h w -> b (h w) c")
