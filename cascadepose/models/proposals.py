"""Queries that start from the image instead of from a learned table: a remedy for DETR's slow matching on small data.

Every encoder token judges whether a person stands there and proposes a box around itself; the best tokens become the
decoder's queries (the two-stage form of Deformable DETR, Zhu et al., ICLR 2021, section 4.2; content from the token as
in Efficient DETR, Yao et al., 2021). Trained with one-to-many matching (`losses.matching`). A detector built with
`queries="learned"` has none of this.
"""

import torch
from torch import Tensor, nn

from cascadepose.models.position import sine_waves
from cascadepose.models.transformer import MLP, inverse_sigmoid


class Proposals(nn.Module):
    """Token-wise person logits and boxes, and the choice of queries among them."""

    def __init__(self, dim: int, num_logits: int, anchor_size: tuple[float, float] = (0.12, 0.3)):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.class_embed = nn.Linear(dim, num_logits)
        self.bbox_embed = MLP(dim, dim, 4, 3)
        self.content = nn.Linear(dim, dim)
        self.query_pos = MLP(2 * dim, dim, dim, 2)
        self.anchor_size = anchor_size
        nn.init.zeros_(self.bbox_embed.layers[-1].weight)
        nn.init.zeros_(self.bbox_embed.layers[-1].bias)

    def forward(self, memory: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """memory [B, S, C], mask [B, H, W] True = padding, S = H*W -> logits [B, S, N], boxes [B, S, 4] as cxcywh."""
        x = self.norm(memory)
        logits = self.class_embed(x)
        boxes = (inverse_sigmoid(self.anchors(mask)) + self.bbox_embed(x)).sigmoid()
        return logits, boxes

    def anchors(self, mask: Tensor) -> Tensor:
        """mask [B, H, W] -> [B, H*W, 4]: one box of the usual size on every cell centre, relative to the valid part."""
        valid = (~mask).to(torch.float32)
        y = (valid.cumsum(1) - 0.5) / valid.sum(1, keepdim=True).clamp(min=1)
        x = (valid.cumsum(2) - 0.5) / valid.sum(2, keepdim=True).clamp(min=1)
        size = torch.tensor(self.anchor_size, device=mask.device).expand(*x.shape, 2)
        return torch.cat([x[..., None], y[..., None], size], dim=-1).flatten(1, 2)

    def select(
        self, memory: Tensor, logits: Tensor, boxes: Tensor, mask: Tensor, count: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The `count` best tokens -> content [B, Q, C], query_pos [B, Q, C], reference boxes [B, Q, 4] (constants)."""
        margin = logits[..., :-1].amax(-1) - logits[..., -1]
        margin = margin.masked_fill(mask.flatten(1), torch.finfo(margin.dtype).min)
        best = margin.topk(min(count, margin.shape[1]), dim=1).indices[..., None]
        reference = boxes.gather(1, best.expand(-1, -1, 4)).detach()
        content = self.content(self.norm(memory.gather(1, best.expand(-1, -1, memory.shape[-1]))))
        waves = sine_waves(reference, memory.shape[-1] // 2).flatten(-2)
        return content, self.query_pos(waves), reference
