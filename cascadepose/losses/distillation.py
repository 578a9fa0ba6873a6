"""What teachers believe about joints, as something to learn (Hinton, Vinyals and Dean, 2015; of heat maps: Zhang, Zhu
and Ye, CVPR 2019, section 3.3): where else a joint may be says more than one annotated place does.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from cascadepose.models.readout import presence


def mean_belief(answers: Sequence[dict]) -> Tensor:
    """Outputs of ordered queries with heat maps, one of each teacher -> how likely joint k is at each cell, the mean
    [N, K, h, w]; a map sums to how likely the joint is there at all.
    """
    there = (presence(answer["pred_kpt_logits"].float()) for answer in answers)
    maps = (answer["pred_heatmaps"].float() for answer in answers)
    believed = [m.flatten(2).softmax(-1).view_as(m) * p[..., None, None] for m, p in zip(maps, there, strict=True)]
    return torch.stack(believed).mean(0)


def belief_entropy(layers: Sequence[dict], belief: Tensor) -> Tensor:
    """Cross-entropy [L] between a student's heat maps in each of L decoder layers and `mean_belief`: a sum over joints,
    each as much as it is believed to be there, mean over people.
    """
    maps = torch.stack([layer["pred_heatmaps"].float() for layer in layers])
    return -(belief.flatten(2) * maps.flatten(3).log_softmax(-1)).sum((2, 3)).mean(1)
