"""Set loss for joints: class, place, likelihood of the stated uncertainty (PRTR, Li et al., CVPR 2021, section 3.2)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cascadepose.losses.matching import Matches, hungarian, keypoint_cost


@dataclass(frozen=True)
class KeypointTargets:
    """What is known of the joints of N crops.

    keypoints: [N, K, 2] in 0..1 of the crop.
    visible: [N, K] bool, the joint is annotated there: it is matched, and its place is trained.
    labelled: [N, K] bool, the data set would have annotated the joint if it were there. False masks the joint out of
        every loss (a set without face joints does not teach that faces are absent).
    """

    keypoints: Tensor
    visible: Tensor
    labelled: Tensor


class KeypointCriterion(nn.Module):
    """Class + masked L1 + Laplace likelihood (+ heat map), summed over decoder layers.

    matching: as in `KeypointTransformer`. invisible_as_positive: official PRTR matches and teaches the class of every
        joint, seen or not. likelihood_weight: of the negative log-likelihood of the predicted spread, which sees the
        places as constants.
    heatmap_weight: of the cross-entropy between a heat-map readout and a small Gaussian around the joint; 0 to do
        without.
    """

    def __init__(
        self,
        num_joints: int = 17,
        matching: str = "hungarian",
        class_weight: float = 1.0,
        l1_weight: float = 5.0,
        likelihood_weight: float = 0.2,
        heatmap_weight: float = 0.0,
        heatmap_sigma: float = 1.0,
        no_joint_weight: float = 0.1,
        invisible_as_positive: bool = False,
    ):
        super().__init__()
        self.matching = matching
        self.class_weight, self.l1_weight = class_weight, l1_weight
        self.likelihood_weight, self.heatmap_weight, self.heatmap_sigma = (
            likelihood_weight,
            heatmap_weight,
            heatmap_sigma,
        )
        self.invisible_as_positive = invisible_as_positive
        weight = torch.ones(num_joints + 1)
        weight[-1] = no_joint_weight
        self.register_buffer("class_weights", weight)

    def forward(self, out: dict, targets: KeypointTargets) -> dict[str, Tensor]:
        """Outputs and targets -> "loss" (total) and each part in the last layer, "loss_class", "loss_keypoints", ...

        Losses of places are sums over joints, per person, halved for the two coordinates, as in official PRTR.
        """
        layers = [*out["aux_outputs"], out]
        flat = {
            key: torch.cat([layer[key] for layer in layers])
            for key in ("pred_kpt_logits", "pred_keypoints", "pred_kpt_sigma", "pred_heatmaps")
            if key in out
        }
        depth = len(layers)
        targets = KeypointTargets(
            *(t.repeat(depth, *[1] * (t.dim() - 1)) for t in (targets.keypoints, targets.visible, targets.labelled))
        )
        matches = self.match(flat["pred_kpt_logits"], flat["pred_keypoints"], targets)
        losses = {"class": self.class_loss(flat["pred_kpt_logits"], matches, targets, depth)}
        losses |= self.place_losses(flat, matches, targets, depth)
        weights = {
            "class": self.class_weight,
            "keypoints": self.l1_weight,
            "likelihood": self.likelihood_weight,
            "heatmap": self.heatmap_weight,
        }
        total = torch.stack([weights[name] * value.sum() for name, value in losses.items()]).sum()
        return {"loss": total} | {f"loss_{name}": value[-1] for name, value in losses.items()}

    def match(self, logits: Tensor, keypoints: Tensor, targets: KeypointTargets) -> Matches:
        """One query for each joint of each crop (wanted or not; what is not wanted weighs nothing later)."""
        number, joints = targets.visible.shape
        if self.matching == "ordered":
            problem = torch.arange(number, device=logits.device).repeat_interleave(joints)
            joint = torch.arange(joints, device=logits.device).repeat(number)
            return Matches(problem, joint, joint)
        wanted = torch.ones_like(targets.visible) if self.invisible_as_positive else targets.visible
        cost = keypoint_cost(logits, keypoints, targets.keypoints, wanted, self.class_weight, self.l1_weight)
        return hungarian(cost, [joints] * number)

    def class_loss(self, logits: Tensor, matches: Matches, targets: KeypointTargets, depth: int) -> Tensor:
        """Weighted cross-entropy per layer [L] over joint classes and "no joint"."""
        nothing = logits.shape[-1] - 1
        positive = targets.labelled if self.invisible_as_positive else targets.visible
        wanted = torch.full(logits.shape[:2], nothing, dtype=torch.long, device=logits.device)
        wanted[matches.queries] = torch.where(positive[matches.targets], matches.target, nothing)
        taught = torch.ones_like(wanted, dtype=torch.bool)
        if self.matching == "ordered":
            taught[matches.queries] = targets.labelled[matches.targets]
        # A query that answers a joint which this data set never labels may be right: that class leaves its softmax.
        unknown = F.pad(~targets.labelled, (0, 1))[:, None, :].expand_as(logits)
        logits = logits.masked_fill(unknown, torch.finfo(logits.dtype).min)
        weight = self.class_weights[wanted] * taught
        entropy = F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="none").view_as(weight)
        return (entropy * weight).view(depth, -1).sum(1) / weight.view(depth, -1).sum(1).clamp(min=1e-6)

    def place_losses(self, flat: dict, matches: Matches, targets: KeypointTargets, depth: int) -> dict[str, Tensor]:
        """L1, likelihood and heat-map losses of the visible joints, [L] each."""
        wanted = targets.keypoints[matches.targets]
        error = flat["pred_keypoints"][matches.queries] - wanted
        losses = {
            "keypoints": error.abs().mean(-1),
            "likelihood": laplace_nll(error.detach(), flat["pred_kpt_sigma"][matches.queries]).mean(-1),
        }
        if self.heatmap_weight and "pred_heatmaps" in flat:
            losses["heatmap"] = heatmap_entropy(flat["pred_heatmaps"][matches.queries], wanted, self.heatmap_sigma)
        visible = targets.visible[matches.targets]
        people = len(targets.visible) // depth
        layer = torch.div(matches.problem, people, rounding_mode="floor")
        return {
            name: error.new_zeros(depth).index_add(0, layer, value.masked_fill(~visible, 0.0)) / people
            for name, value in losses.items()
        }


def laplace_nll(error: Tensor, sigma: Tensor) -> Tensor:
    """-log of a Laplace density with standard deviation `sigma` at `error`, same shape, up to a constant."""
    scale = sigma / 2**0.5
    return error.abs() / scale + scale.log()


def heatmap_entropy(logits: Tensor, points: Tensor, sigma: float) -> Tensor:
    """Cross-entropy between heat maps [n, h, w] (logits) and Gaussians of `sigma` cells around points [n, 2] in 0..1 ->
    [n].

    A point outside the map has no Gaussian there: its entropy is zero.
    """
    height, width = logits.shape[-2:]
    x = torch.arange(width, device=logits.device, dtype=logits.dtype) + 0.5
    y = torch.arange(height, device=logits.device, dtype=logits.dtype) + 0.5
    across = torch.exp(-0.5 * ((x - points[:, :1] * width) / sigma).square())
    down = torch.exp(-0.5 * ((y - points[:, 1:] * height) / sigma).square())
    target = (across[:, None, :] * down[:, :, None]).flatten(1)  # a Gaussian is the product of its axes
    inside = ((points > 0) & (points < 1)).all(-1)
    target = target / target.sum(1, keepdim=True).clamp(min=1e-6)
    entropy = -(target * logits.flatten(1).log_softmax(-1)).sum(-1)
    return entropy.masked_fill(~inside, 0.0)
