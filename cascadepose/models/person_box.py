"""The box of the person whom a crop shows, looked up in the crop, where they have more pixels than a detector saw.

A second look at its boxes (Cascade R-CNN, Cai and Vasconcelos, CVPR 2018), by queries beside those of the
joints. Each of four queries, one an edge, has a heat map of where the person reaches furthest (ExtremeNet, Zhou et al.,
CVPR 2019); as the annotation knows the edge and not the point, the map is summed along the edge before it is read.
Queries add nothing to what is read: two that do may change places, top for bottom, and are then both imprecise.
"""

import torch
from torch import Tensor, nn

from cascadepose.boxes import xyxy_to_cxcywh
from cascadepose.models.transformer import MLP

EDGES = 4  # left, top, right, bottom


class PersonBox(nn.Module):
    """Reads box and quality from the four queries whose embeddings it owns.

    The quality is the logit of how much of a person's box this one is: IoU for people, nothing where nobody is.
    """

    def __init__(self, d_model: int):
        super().__init__()
        self.queries = nn.Embedding(EDGES, d_model)
        self.quality = MLP(EDGES * d_model, d_model, 1, 2)
        nn.init.normal_(self.queries.weight, std=0.1)

    def forward(self, hs: Tensor, heatmaps: Tensor, sharpness: float) -> list[dict[str, Tensor]]:
        """hs [L, N, 4, C], heat maps [L, N, 4, h, w] (logits) -> one answer a layer.

        `pred_person_boxes` [N, 4] cxcywh in 0..1 of the crop, `pred_person_quality` [N] logits, `pred_person_columns`
        [N, 2, w] logits of the left and the right edge over columns, `pred_person_rows` [N, 2, h] those of the others.
        """
        columns, rows = heatmaps[:, :, 0::2].logsumexp(-2), heatmaps[:, :, 1::2].logsumexp(-1)
        edges = torch.stack([expected(columns * sharpness), expected(rows * sharpness)], dim=-1).flatten(-2)
        low, high = torch.minimum(edges[..., :2], edges[..., 2:]), torch.maximum(edges[..., :2], edges[..., 2:])
        boxes = xyxy_to_cxcywh(torch.cat([low, high], dim=-1))
        quality = self.quality(hs.flatten(-2))[..., 0]
        names = "pred_person_boxes", "pred_person_quality", "pred_person_columns", "pred_person_rows"
        return [dict(zip(names, layer, strict=True)) for layer in zip(boxes, quality, columns, rows, strict=True)]


def expected(logits: Tensor) -> Tensor:
    """Expected place under softmax of logits [..., n] -> [...] in 0..1, cell centres at (i + 0.5) / n."""
    cells = (torch.arange(logits.shape[-1], device=logits.device, dtype=logits.dtype) + 0.5) / logits.shape[-1]
    return (logits.softmax(-1) * cells).sum(-1)
