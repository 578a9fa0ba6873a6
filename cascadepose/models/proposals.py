"""Queries that start from the image instead of from a learned table: a remedy for DETR's slow matching on small data.

Every encoder token judges whether a person stands there and proposes a box around itself; the best tokens become the
decoder's queries (the two-stage form of Deformable DETR, Zhu et al., ICLR 2021, section 4.2), and every decoder layer
looks around its query's box with deformable attention and refines it (same section, iterative refinement). Trained with
one-to-many matching (`losses.matching`). A detector built with `queries="learned"` has none of this.
"""

import torch
from torch import Tensor, nn

from cascadepose.boxes import shift_boxes
from cascadepose.models.deformable import DeformableDecoderLayer
from cascadepose.models.position import sine_waves
from cascadepose.models.transformer import MLP


class Proposals(nn.Module):
    """Token-wise person logits and boxes, and the choice of queries among them.

    anchor_size: (width, height) in cells of the box that each token starts from.
    """

    def __init__(self, dim: int, num_logits: int, anchor_size: tuple[float, float] = (3.0, 6.0)):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.class_embed = nn.Linear(dim, num_logits)
        self.bbox_embed = MLP(dim, dim, 4, 3)
        self.content = nn.Linear(dim, dim)
        self.anchor_size = anchor_size
        start_unsure(self.class_embed)
        start_at_reference(self.bbox_embed)

    def forward(self, memory: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """memory [B, S, C], mask [B, H, W] True = padding, S = H*W -> logits [B, S, N], boxes [B, S, 4] as cxcywh."""
        x = self.norm(memory)
        return self.class_embed(x), shift_boxes(self.anchors(mask), self.bbox_embed(x))

    def anchors(self, mask: Tensor) -> Tensor:
        """mask [B, H, W] -> [B, H*W, 4]: one box of the usual size on every cell centre, relative to the valid part."""
        valid = (~mask).to(torch.float32)
        rows, columns = valid.sum(1, keepdim=True).clamp(min=1), valid.sum(2, keepdim=True).clamp(min=1)
        y, x = (valid.cumsum(1) - 0.5) / rows, (valid.cumsum(2) - 0.5) / columns
        width, height = (self.anchor_size[0] / columns).expand_as(x), (self.anchor_size[1] / rows).expand_as(x)
        return torch.stack([x, y, width, height], dim=-1).flatten(1, 2)

    def select(self, memory: Tensor, logits: Tensor, boxes: Tensor, mask: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """The `count` best tokens -> content [B, Q, C], reference boxes [B, Q, 4] (constants)."""
        margin = logits[..., :-1].amax(-1) - logits[..., -1]
        margin = margin.masked_fill(mask.flatten(1), torch.finfo(margin.dtype).min)
        best = margin.topk(min(count, margin.shape[1]), dim=1).indices[..., None]
        reference = boxes.gather(1, best.expand(-1, -1, 4)).detach()
        return self.content(self.norm(memory.gather(1, best.expand(-1, -1, memory.shape[-1])))), reference


class RefiningDecoder(nn.Module):
    """Decoder layers that look around their query's box and pass a better box on."""

    def __init__(self, num_layers: int, dim: int, num_heads: int, dim_feedforward: int, dropout: float = 0.0):
        super().__init__()
        self.layers = nn.ModuleList(
            DeformableDecoderLayer(dim, num_heads, dim_feedforward, dropout) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(dim)
        self.query_pos = MLP(2 * dim, dim, dim, 2)
        self.bbox_embed = nn.ModuleList(MLP(dim, dim, 4, 3) for _ in range(num_layers))
        for head in self.bbox_embed:
            start_at_reference(head)

    def forward(self, content: Tensor, reference: Tensor, memory: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """content [B, Q, C], reference [B, Q, 4] cxcywh, memory [B, S, C], mask [B, H, W] True = padding.

        Returns hs [L, B, Q, C] and boxes [L, B, Q, 4]; each layer's box is a constant to the next.
        """
        valid = (~mask).to(reference.dtype)
        ratio = torch.stack([valid.amax(1).mean(-1), valid.amax(2).mean(-1)], dim=-1)[:, None].repeat(1, 1, 2)
        shape, padding = tuple(mask.shape[-2:]), mask.flatten(1)
        outputs, boxes, x = [], [], content
        for layer, head in zip(self.layers, self.bbox_embed, strict=True):
            query_pos = self.query_pos(sine_waves(reference, content.shape[-1] // 2).flatten(-2))
            x = layer(x, query_pos, (reference * ratio)[:, :, None], memory, [shape], padding)
            outputs.append(self.norm(x))
            boxes.append(shift_boxes(reference, head(outputs[-1])))
            reference = boxes[-1].detach()
        return torch.stack(outputs), torch.stack(boxes)


def start_unsure(class_embed: nn.Linear, probability: float = 0.01) -> None:
    """Let every query begin with a small probability of a person (RetinaNet, Lin et al., ICCV 2017, section 4.1)."""
    with torch.no_grad():
        class_embed.bias.zero_()
        class_embed.bias[-1] = torch.logit(torch.tensor(1 - probability))


def start_at_reference(bbox_embed: MLP) -> None:
    """Let a box head begin with no correction at all."""
    nn.init.zeros_(bbox_embed.layers[-1].weight)
    nn.init.zeros_(bbox_embed.layers[-1].bias)
