"""DETR's set loss for boxes (Carion et al., ECCV 2020, sections 3.1 and A.2)."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cascadepose.boxes import area, cxcywh_to_xyxy, generalized_iou, intersection, iou
from cascadepose.losses.matching import Matches, box_cost, hungarian


@dataclass(frozen=True)
class BoxTargets:
    """What is known of the people in a batch of images.

    boxes: [B, M, 4] cxcywh relative to each un-padded image, padded on M; counts: people in each image.
    labels: [B, M] class of each box; zeros for people.
    ignore: [B, G, 4] regions (crowds) in which a box is neither right nor wrong, padded with empty boxes.
    complete: [B] bool; False where some people are not annotated, so that nothing there teaches "no object".
    """

    boxes: Tensor
    counts: list[int]
    labels: Tensor | None = None
    ignore: Tensor | None = None
    complete: Tensor | None = None


class DetectionCriterion(nn.Module):
    """Class, L1 and GIoU over matched queries, summed over decoder layers; one-to-many where asked.

    classification: "softmax" is DETR's weighted cross-entropy; "varifocal" teaches the probability of a person to be
        the IoU of the query's own box (VarifocalNet, Zhang et al., CVPR 2021, section 3.2), so that better boxes rank
        higher; it knows people only (two logits).
    no_object_weight: weight of "no object" in the softmax loss.
    one_to_many, decoder_one_to_many: how many proposals, and how many of the decoder's queries, each person may take.
        One is DETR's rule, which makes duplicates lose; more give a small data set more to learn from and leave
        duplicates to `PRTR.nms_iou` (DETA, Ouyang-Zhang et al., 2022).
    """

    def __init__(
        self,
        num_logits: int = 2,
        class_weight: float = 1.0,
        l1_weight: float = 5.0,
        giou_weight: float = 2.0,
        no_object_weight: float = 0.1,
        one_to_many: int = 6,
        decoder_one_to_many: int = 1,
        classification: Literal["softmax", "varifocal"] = "softmax",
    ):
        super().__init__()
        if classification not in ("softmax", "varifocal"):
            raise ValueError(f'unknown classification "{classification}": use "softmax" or "varifocal"')
        if classification == "varifocal" and num_logits != 2:
            raise ValueError(f"varifocal classification knows people and nobody, not {num_logits} logits")
        self.classification = classification
        self.class_weight, self.l1_weight, self.giou_weight = class_weight, l1_weight, giou_weight
        self.one_to_many, self.decoder_one_to_many = one_to_many, decoder_one_to_many
        weight = torch.ones(num_logits)
        weight[-1] = no_object_weight
        self.register_buffer("class_weights", weight)

    def forward(self, out: dict, targets: BoxTargets) -> dict[str, Tensor]:
        """Outputs and targets -> "loss" (total); "loss_class", "loss_l1", "loss_giou" of the last layer, ..."""
        layers = [*out["aux_outputs"], out]
        logits = torch.stack([layer["pred_logits"] for layer in layers])
        boxes = torch.stack([layer["pred_boxes"] for layer in layers])
        parts = self.layer_losses(logits, boxes, targets, self.decoder_one_to_many)
        losses = {f"loss_{name}": values[-1] for name, values in parts.items()}
        total = self._weigh({name: values.sum() for name, values in parts.items()})
        if "proposals" in out:
            proposals = out["proposals"]
            dense = self.layer_losses(
                proposals["pred_logits"][None],
                proposals["pred_boxes"][None],
                targets,
                self.one_to_many,
                proposals["mask"],
            )
            losses["loss_proposals"] = self._weigh({name: values[0] for name, values in dense.items()})
            total = total + losses["loss_proposals"]
        return {"loss": total} | losses

    def _weigh(self, parts: dict[str, Tensor]) -> Tensor:
        return self.class_weight * parts["class"] + self.l1_weight * parts["l1"] + self.giou_weight * parts["giou"]

    def layer_losses(
        self, logits: Tensor, boxes: Tensor, targets: BoxTargets, repeats: int = 1, padding: Tensor | None = None
    ) -> dict[str, Tensor]:
        """logits [L, B, Q, C+1], boxes [L, B, Q, 4] -> the three losses, each [L].

        All layers are matched in one go: L * B problems, one cost tensor, one copy to the host.
        """
        depth = len(logits)
        labels = targets.labels
        if labels is None:
            labels = torch.zeros(targets.boxes.shape[:2], dtype=torch.long, device=boxes.device)
        flat_logits, flat_boxes = logits.flatten(0, 1), boxes.flatten(0, 1)
        labels, wanted = labels.repeat(depth, 1), targets.boxes.repeat(depth, 1, 1)
        with torch.no_grad():
            cost = box_cost(
                flat_logits, flat_boxes, labels, wanted, self.class_weight, self.l1_weight, self.giou_weight
            )
            if padding is not None:
                cost = cost.masked_fill(padding.repeat(depth, 1)[..., None], 1e4)
        matches = hungarian(cost, targets.counts * depth, repeats)
        number = self._number_of_boxes(targets.counts, repeats, boxes.device)
        taught = self._taught(flat_boxes, targets, depth)
        if padding is not None:
            taught = taught & ~padding.repeat(depth, 1)
        taught[matches.queries] = True
        if self.classification == "softmax":
            classes = self.class_loss(flat_logits, labels, matches, taught, depth)
        else:
            classes = varifocal(flat_logits, flat_boxes, wanted, matches, taught, depth) / number
        return {
            "class": classes,
            **self.box_losses(flat_boxes, wanted, matches, depth, number),
        }

    def _number_of_boxes(self, counts: list[int], repeats: int, device: torch.device) -> Tensor:
        """Boxes a process, averaged over processes and at least one, as DETR normalises."""
        number = torch.tensor(float(sum(counts) * repeats), device=device)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(number)
            number = number / torch.distributed.get_world_size()
        return number.clamp(min=1)

    def class_loss(self, logits: Tensor, labels: Tensor, matches: Matches, taught: Tensor, depth: int) -> Tensor:
        """Weighted cross-entropy per layer [L]; "no object" is not taught where the annotation is silent."""
        nothing = logits.shape[-1] - 1
        wanted = torch.full(logits.shape[:2], nothing, dtype=torch.long, device=logits.device)
        wanted[matches.queries] = labels[matches.targets]
        weight = self.class_weights[wanted] * taught
        entropy = F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="none").view_as(weight)
        per_layer = (entropy * weight).view(depth, -1).sum(1)
        return per_layer / weight.view(depth, -1).sum(1).clamp(min=1e-6)

    def _taught(self, boxes: Tensor, targets: BoxTargets, depth: int) -> Tensor:
        """[L*B, Q] bool: may this query be told that nobody is there?"""
        taught = torch.ones(boxes.shape[:2], dtype=torch.bool, device=boxes.device)
        if targets.complete is not None:
            taught = taught & targets.complete.repeat(depth)[:, None]
        if targets.ignore is not None and targets.ignore.shape[1]:
            regions = cxcywh_to_xyxy(targets.ignore).repeat(depth, 1, 1)[:, None]
            predicted = cxcywh_to_xyxy(boxes.detach())
            inside = intersection(predicted[:, :, None], regions) / (area(predicted)[:, :, None] + 1e-9)
            taught = taught & (inside.amax(-1) < 0.5)
        return taught

    def box_losses(
        self, boxes: Tensor, wanted: Tensor, matches: Matches, depth: int, number: Tensor
    ) -> dict[str, Tensor]:
        """L1 and GIoU of matched boxes per layer, [L] each, over the number of boxes."""
        predicted, target = boxes[matches.queries], wanted[matches.targets]
        layer = matches.problem // (len(boxes) // depth)
        zero = boxes.new_zeros(depth)
        l1 = zero.index_add(0, layer, (predicted - target).abs().sum(-1))
        giou = zero.index_add(0, layer, 1 - generalized_iou(cxcywh_to_xyxy(predicted), cxcywh_to_xyxy(target)))
        return {"l1": l1 / number, "giou": giou / number}


def varifocal(
    logits: Tensor, boxes: Tensor, wanted: Tensor, matches: Matches, taught: Tensor, depth: int, alpha: float = 0.75
) -> Tensor:
    """Binary cross-entropy towards the IoU of matched boxes, focal for all others (VarifocalNet, eq. 2) -> sums [L].

    logits [L*B, Q, 2], boxes [L*B, Q, 4] and wanted [L*B, M, 4] cxcywh, taught [L*B, Q] bool: which queries count.
    """
    margin = logits[..., 0] - logits[..., 1]
    overlap = iou(cxcywh_to_xyxy(boxes[matches.queries]), cxcywh_to_xyxy(wanted[matches.targets])).detach()
    target = torch.zeros_like(margin)
    target[matches.queries] = overlap.clamp(0, 1).to(margin.dtype)
    weight = alpha * margin.detach().sigmoid().square()
    weight[matches.queries] = target[matches.queries]
    entropy = F.binary_cross_entropy_with_logits(margin, target, reduction="none")
    return (entropy * weight * taught).view(depth, -1).sum(1)
