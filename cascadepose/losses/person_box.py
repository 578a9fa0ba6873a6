"""Loss of the box that a keypoint stage answers with (see `models.person_box`)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cascadepose.boxes import cxcywh_to_xyxy, generalized_iou, iou


@dataclass(frozen=True)
class PersonBoxTargets:
    """What is known of the people whom N crops are for.

    boxes: [N, 4] cxcywh in 0..1 of the crop, cut to it. known: [N] bool, the box is annotated.
    nobody: [N] bool, the crop is for no person at all.
    """

    boxes: Tensor
    known: Tensor
    nobody: Tensor


class PersonBoxCriterion(nn.Module):
    """Entropy of the edges + L1 + GIoU of the box + how good it thinks it is, summed over decoder layers.

    Means over the people whose box is known; the quality is taught nothing of the others, and zero where nobody is.
    sigma: of the Gaussian around an edge, in cells of the heat map.
    """

    def __init__(
        self,
        edge_weight: float = 0.5,
        l1_weight: float = 5.0,
        giou_weight: float = 2.0,
        quality_weight: float = 2.0,
        sigma: float = 1.0,
    ):
        super().__init__()
        self.edge_weight, self.l1_weight, self.giou_weight = edge_weight, l1_weight, giou_weight
        self.quality_weight, self.sigma = quality_weight, sigma

    def forward(self, out: dict, targets: PersonBoxTargets) -> dict[str, Tensor]:
        """Outputs and targets -> "loss" (total), and of the last layer "loss_edges", "loss_box", "loss_quality"."""
        layers = [self.layer(layer, targets) for layer in (*out["aux_outputs"], out)]
        total = torch.stack([torch.stack(list(parts.values())).sum() for parts in layers]).sum()
        return {"loss": total} | layers[-1]

    def layer(self, out: dict, targets: PersonBoxTargets) -> dict[str, Tensor]:
        """The three losses, weighted, of one decoder layer."""
        known = targets.known & ~targets.nobody
        number = known.sum().clamp(min=1)

        def mean(values: Tensor) -> Tensor:
            return values.masked_fill(~known, 0.0).sum() / number

        wanted, found = cxcywh_to_xyxy(targets.boxes), cxcywh_to_xyxy(out["pred_person_boxes"])
        across = edge_entropy(out["pred_person_columns"], wanted[:, 0::2], self.sigma).sum(-1)
        down = edge_entropy(out["pred_person_rows"], wanted[:, 1::2], self.sigma).sum(-1)
        off = self.l1_weight * (found - wanted).abs().sum(-1) + self.giou_weight * (1 - generalized_iou(found, wanted))
        quality = iou(found.detach(), wanted).masked_fill(targets.nobody, 0.0)
        judged = F.binary_cross_entropy_with_logits(out["pred_person_quality"], quality, reduction="none")
        certain = known | targets.nobody
        judged = judged.masked_fill(~certain, 0.0).sum() / certain.sum().clamp(min=1)
        return {
            "loss_edges": self.edge_weight * mean(across + down),
            "loss_box": mean(off),
            "loss_quality": self.quality_weight * judged,
        }


def edge_entropy(logits: Tensor, places: Tensor, sigma: float) -> Tensor:
    """Cross-entropy between logits over cells [N, E, n] and Gaussians of `sigma` cells at places [N, E] in 0..1 ->
    [N, E].
    """
    cells = torch.arange(logits.shape[-1], device=logits.device, dtype=logits.dtype) + 0.5
    target = torch.exp(-0.5 * ((cells - places[..., None] * logits.shape[-1]) / sigma).square())
    target = target / target.sum(-1, keepdim=True).clamp(min=1e-6)
    return -(target * logits.log_softmax(-1)).sum(-1)
