"""PRTR's deformable keypoint transformer (Li et al., CVPR 2021; a variant published with the code): every joint query
looks at a few places on several feature levels (Deformable DETR, Zhu et al., ICLR 2021, section 4.1, without its box
refinement).

Parameter names are the official ones, but for the heads: the official code lists one shared head once a layer.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cascadepose.models.deformable import DeformableAttention, DeformableDecoderLayer
from cascadepose.models.position import PositionEmbeddingSine
from cascadepose.models.readout import read_assigned, spread_of
from cascadepose.models.transformer import MLP, inverse_sigmoid, tokens

GROUPS = 32  # of the group normalisation behind each level's projection


class DeformableKeypointTransformer(nn.Module):
    """Several maps of one crop in; each query answers with a joint class, a place in the crop and its spread.

    in_channels: of each map, finest first. num_levels: levels that attention looks at; those beyond the maps are made
        from the last by convolutions of stride 2.
    num_joints: K; class K, the last, is "no joint". Queries and joints meet as in Hungarian matching.
    encoder_points, decoder_points: places a head looks at on each level.
    spread: False leaves out the head for the spread, which official PRTR does not have; a constant is then returned.
    """

    matching = "hungarian"

    def __init__(
        self,
        in_channels: Sequence[int],
        num_joints: int = 17,
        d_model: int = 256,
        num_heads: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.0,
        num_queries: int = 100,
        num_levels: int = 4,
        encoder_points: int = 4,
        decoder_points: int = 4,
        spread: bool = True,
    ):
        super().__init__()
        if num_levels < len(in_channels):
            raise ValueError(f"{num_levels} levels cannot hold {len(in_channels)} feature maps")
        self.config = {key: value for key, value in locals().items() if key not in ("self", "__class__")}
        self.num_joints = num_joints
        layer = (d_model, num_heads, dim_feedforward, dropout, num_levels)
        self.input_proj = level_projections(in_channels, d_model, num_levels)
        self.position = PositionEmbeddingSine(d_model)
        self.transformer = DeformableTransformer(
            [DeformableEncoderLayer(*layer, encoder_points) for _ in range(num_encoder_layers)],
            [DeformableDecoderLayer(*layer, decoder_points) for _ in range(num_decoder_layers)],
            d_model,
            num_levels,
        )
        self.query_embed = nn.Embedding(num_queries, 2 * d_model)
        self.class_embed = nn.Linear(d_model, num_joints + 1)
        self.kpt_embed = MLP(d_model, d_model, 2, 3)
        self.sigma_embed = nn.Linear(d_model, 2) if spread else None
        nn.init.constant_(self.class_embed.bias, -math.log(99))
        nn.init.zeros_(self.kpt_embed.layers[-1].weight)
        nn.init.zeros_(self.kpt_embed.layers[-1].bias)
        if self.sigma_embed is not None:
            nn.init.constant_(self.sigma_embed.bias, -2.0)

    def forward(self, maps: Sequence[Tensor]) -> dict:
        """Crop features [N, C_l, h_l, w_l], one map a level -> the outputs of `KeypointTransformer`."""
        levels = self.project(maps)
        masks = [level.new_zeros(level.shape[0], *level.shape[2:], dtype=torch.bool) for level in levels]
        positions = [self.position(mask).to(level.dtype) for mask, level in zip(masks, levels, strict=True)]
        hs, reference = self.transformer(levels, positions, self.query_embed.weight)
        keypoints = (self.kpt_embed(hs) + inverse_sigmoid(reference)).sigmoid()
        found = zip(self.class_embed(hs), keypoints, spread_of(hs, self.sigma_embed), strict=True)
        layers = [{"pred_kpt_logits": a, "pred_keypoints": b, "pred_kpt_sigma": c} for a, b, c in found]
        return layers[-1] | {"aux_outputs": layers[:-1]}

    def project(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps [N, C_l, h_l, w_l] -> levels [N, C, h_l, w_l]; the first beyond the maps starts from the raw last."""
        levels = [projection(level) for projection, level in zip(self.input_proj, maps, strict=False)]
        below = maps[-1]
        for projection in self.input_proj[len(maps) :]:
            below = projection(below)
            levels.append(below)
        return levels

    def read_joints(self, out: dict) -> tuple[Tensor, Tensor, Tensor]:
        """Predictions -> keypoints [N, K, 2], scores [N, K], sigma [N, K, 2]; see `readout.assign_queries`."""
        return read_assigned(out)


class DeformableTransformer(nn.Module):
    """Encoder over the cells of all levels, decoder over joint queries, both with deformable attention."""

    def __init__(self, encoder_layers: list[nn.Module], decoder_layers: list[nn.Module], d_model: int, num_levels: int):
        super().__init__()
        self.encoder = nn.ModuleDict({"layers": nn.ModuleList(encoder_layers)})
        self.decoder = nn.ModuleDict({"layers": nn.ModuleList(decoder_layers)})
        self.level_embed = nn.Parameter(torch.empty(num_levels, d_model))
        self.reference_points = nn.Linear(d_model, 2)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        for module in self.modules():
            if isinstance(module, DeformableAttention):
                module.reset_parameters()
        nn.init.normal_(self.level_embed)
        nn.init.zeros_(self.reference_points.bias)

    def forward(
        self, levels: Sequence[Tensor], positions: Sequence[Tensor], query_embed: Tensor
    ) -> tuple[Tensor, Tensor]:
        """levels and positions [N, C, h_l, w_l], query_embed [Q, 2C] (position, then content).

        Returns hs [L, N, Q, C], without a norm behind the last layer, and the queries' reference points [N, Q, 2], x
        and y in 0..1 of the crop.
        """
        shapes = [tuple(level.shape[2:]) for level in levels]
        x = torch.cat([tokens(level) for level in levels], dim=1)
        pos = torch.cat([tokens(p) + e for p, e in zip(positions, self.level_embed, strict=True)], dim=1)
        centers = cell_centers(shapes, x)[None, :, None].expand(x.shape[0], -1, len(levels), -1)
        for layer in self.encoder["layers"]:
            x = layer(x, pos, centers, shapes)
        query_pos, content = query_embed.expand(x.shape[0], -1, -1).chunk(2, dim=-1)
        reference = self.reference_points(query_pos).sigmoid()
        looked_at = reference[:, :, None].expand(-1, -1, len(levels), -1)
        outputs = []
        for layer in self.decoder["layers"]:
            content = layer(content, query_pos, looked_at, x, shapes)
            outputs.append(content)
        return torch.stack(outputs), reference


class DeformableEncoderLayer(nn.Module):
    """Deformable self-attention and feed-forward, each followed by its LayerNorm."""

    def __init__(
        self, dim: int, num_heads: int, dim_feedforward: int, dropout: float, num_levels: int, num_points: int
    ):
        super().__init__()
        self.self_attn = DeformableAttention(dim, num_heads, num_levels, num_points)
        self.norm1 = nn.LayerNorm(dim)
        self.linear1 = nn.Linear(dim, dim_feedforward)
        self.linear2 = nn.Linear(dim_feedforward, dim)
        self.norm2 = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, pos: Tensor, reference: Tensor, shapes: Sequence[tuple[int, int]]) -> Tensor:
        """x and pos [N, S, C], reference [N, S, L, 2] -> [N, S, C]."""
        x = self.norm1(x + self.dropout(self.self_attn(x + pos, reference, x, shapes)))
        return self.norm2(x + self.dropout(self.linear2(self.dropout(F.relu(self.linear1(x))))))


def level_projections(in_channels: Sequence[int], d_model: int, num_levels: int) -> nn.ModuleList:
    """1x1 convolutions of the maps; beyond them 3x3 ones of stride 2; group normalisation behind each."""
    convolutions = [nn.Conv2d(channels, d_model, 1) for channels in in_channels]
    for extra in range(num_levels - len(in_channels)):
        convolutions.append(nn.Conv2d(d_model if extra else in_channels[-1], d_model, 3, stride=2, padding=1))
    for convolution in convolutions:
        nn.init.xavier_uniform_(convolution.weight)
        nn.init.zeros_(convolution.bias)
    return nn.ModuleList(nn.Sequential(convolution, nn.GroupNorm(GROUPS, d_model)) for convolution in convolutions)


def cell_centers(shapes: Sequence[tuple[int, int]], like: Tensor) -> Tensor:
    """(h, w) of each map -> x, y in 0..1 of every cell's centre, map after map, row after row: [sum of h * w, 2]."""
    found = []
    for height, width in shapes:
        y = (torch.arange(height, dtype=like.dtype, device=like.device) + 0.5) / height
        x = (torch.arange(width, dtype=like.dtype, device=like.device) + 0.5) / width
        found.append(torch.stack([x.repeat(height), y.repeat_interleave(width)], dim=-1))
    return torch.cat(found)
