"""Bipartite matching of queries and targets: one batched cost matrix and one copy to the host a step."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from cascadepose.boxes import cxcywh_to_xyxy, generalized_iou


@dataclass(frozen=True)
class Matches:
    """Matched pairs of all problems of a batch, as three index vectors of the same length."""

    problem: Tensor
    query: Tensor
    target: Tensor

    @property
    def targets(self) -> tuple[Tensor, Tensor]:
        """Index into a [problem, target, ...] tensor."""
        return self.problem, self.target

    @property
    def queries(self) -> tuple[Tensor, Tensor]:
        """Index into a [problem, query, ...] tensor."""
        return self.problem, self.query


@torch.no_grad()
def hungarian(cost: Tensor, counts: Sequence[int], repeats: int = 1) -> Matches:
    """Cheapest assignment of every problem's targets to its queries.

    cost: [N, Q, M], padded on M; counts: how many of the M targets each problem really has, plain integers.
    repeats: how many queries each target may take; more than one is the one-to-many matching of H-DETR (Jia et al.,
        CVPR 2023, section 3.3), bounded by the number of queries.

    Raises ValueError where a cost is not finite. The only wait for the device is the copy of `cost`.
    """
    host = cost.detach().float().cpu().numpy()
    if not np.isfinite(host).all():
        raise ValueError("matching costs are not finite: the predictions hold NaN or infinity; lower the learning rate")
    parts = []
    for problem, count in enumerate(counts):
        copies = min(repeats, host.shape[1] // count) if count else 0
        query, column = linear_sum_assignment(np.tile(host[problem, :, :count], (1, max(copies, 1))))
        parts.append(np.stack([np.full_like(query, problem), query, column % max(count, 1)]))
    pairs = np.concatenate(parts, axis=1) if parts else np.zeros((3, 0), dtype=np.int64)
    return Matches(*torch.from_numpy(pairs.astype(np.int64)).to(cost.device, non_blocking=True).unbind(0))


def box_cost(
    logits: Tensor,
    boxes: Tensor,
    labels: Tensor,
    target_boxes: Tensor,
    class_weight: float = 1.0,
    l1_weight: float = 5.0,
    giou_weight: float = 2.0,
) -> Tensor:
    """DETR's matching cost (section 3.1): -p(class), L1 and -GIoU.

    logits [N, Q, C+1], boxes [N, Q, 4], labels [N, M], target_boxes [N, M, 4]; boxes cxcywh -> [N, Q, M].
    """
    probability = logits.softmax(-1).gather(2, labels[:, None, :].expand(-1, logits.shape[1], -1))
    distance = torch.cdist(boxes, target_boxes, p=1)
    overlap = generalized_iou(cxcywh_to_xyxy(boxes)[:, :, None], cxcywh_to_xyxy(target_boxes)[:, None])
    return l1_weight * distance - class_weight * probability - giou_weight * overlap


def keypoint_cost(
    logits: Tensor,
    keypoints: Tensor,
    targets: Tensor,
    wanted: Tensor,
    class_weight: float = 1.0,
    l1_weight: float = 5.0,
) -> Tensor:
    """PRTR's matching cost (section 3.2): L1 and -p(joint), target j being joint j.

    logits [N, Q, K+1] (softmax with "no joint"), keypoints [N, Q, 2], targets [N, K, 2], wanted [N, K] bool -> [N, Q,
    K]. A joint that is not wanted costs nothing wherever it goes, so it takes a query that no wanted joint needs.
    """
    probability = logits.softmax(-1)[..., : targets.shape[1]]
    cost = l1_weight * torch.cdist(keypoints, targets, p=1) - class_weight * probability
    return cost.masked_fill(~wanted[:, None, :], 0.0)
