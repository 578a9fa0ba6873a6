"""From queries to joints: which query is which joint, how sure it is, and how far off."""

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from cascadepose.models.heatmaps import agreement

UNSTATED_SIGMA = 0.05  # of the crop's side, about what a joint of a published PRTR is off by


@torch.no_grad()
def assign_queries(logits: Tensor, background: bool = False) -> tuple[Tensor, Tensor]:
    """One query for each joint, by the assignment that maximises the sum of probabilities (PRTR, section 3.2).

    logits: [N, Q, K+1], "no joint" last. background: keep "no joint" in the softmax (official PRTR leaves it out).

    Returns query [N, K] (indices) and scores [N, K]. One copy to the host for the whole batch.
    """
    kept = logits if background else logits[..., :-1]
    probability = kept.softmax(-1)[..., : logits.shape[-1] - 1].transpose(1, 2)
    found = [linear_sum_assignment(cost, maximize=True)[1] for cost in probability.cpu().numpy()]
    query = torch.from_numpy(np.array(found, dtype=np.int64)).reshape(probability.shape[:2]).to(logits.device)
    return query, probability.gather(2, query[..., None])[..., 0]


def read_assigned(out: dict, background: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs of a keypoint transformer -> keypoints [N, K, 2], scores [N, K], sigma [N, K, 2] of `assign_queries`."""
    query, scores = assign_queries(out["pred_kpt_logits"], background)
    pick = query[..., None].expand(-1, -1, 2)
    return out["pred_keypoints"].gather(1, pick), scores, out["pred_kpt_sigma"].gather(1, pick)


def read_ordered(out: dict) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs whose query j is joint j -> keypoints [N, K, 2], scores [N, K], sigma [N, K, 2].

    A score is the probability that the joint is there at all, times the agreement of its heat map where there is one.
    """
    scores = presence(out["pred_kpt_logits"])
    if "pred_heatmaps" in out:
        scores = scores * agreement(out["pred_heatmaps"])
    return out["pred_keypoints"], scores, out["pred_kpt_sigma"]


def presence(logits: Tensor) -> Tensor:
    """How likely each joint is there at all, [N, K, K+1] of ordered queries -> [N, K]."""
    return logits.softmax(-1).diagonal(dim1=1, dim2=2)


def spread_of(hs: Tensor, head: nn.Linear | None) -> Tensor:
    """Standard deviation of each coordinate, hs [..., C] -> [..., 2]; a constant for a model that states none."""
    if head is None:
        return hs.new_full((*hs.shape[:-1], 2), UNSTATED_SIGMA)
    return head(hs).clamp(-6.0, 1.0).exp()
