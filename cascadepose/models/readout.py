"""From queries to joints: which query is which joint, and where in the crop a query looks."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from cascadepose.models.transformer import MLP

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
    scores = out["pred_kpt_logits"].softmax(-1).diagonal(dim1=1, dim2=2)
    if "pred_heatmaps" in out:
        scores = scores * agreement(out["pred_heatmaps"])
    return out["pred_keypoints"], scores, out["pred_kpt_sigma"]


def spread_of(hs: Tensor, head: nn.Linear | None) -> Tensor:
    """Standard deviation of each coordinate, hs [..., C] -> [..., 2]; a constant for a model that states none."""
    if head is None:
        return hs.new_full((*hs.shape[:-1], 2), UNSTATED_SIGMA)
    return head(hs).clamp(-6.0, 1.0).exp()


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside the identity (He et al., ECCV 2016, figure 4e); they start from zero."""

    def __init__(self, dim: int):
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.GroupNorm(8, dim), nn.ReLU(), nn.Conv2d(dim, dim, 3, padding=1, bias=False)),
            *(nn.GroupNorm(8, dim), nn.ReLU(), nn.Conv2d(dim, dim, 3, padding=1)),
        )
        nn.init.zeros_(self.layers[-1].weight)
        nn.init.zeros_(self.layers[-1].bias)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, h, w] -> the same shape."""
        return x + self.layers(x)


class HeatmapReference(nn.Module):
    """A place for each query by soft-argmax over its dot product with the pixels.

    The pixels are the encoder's memory plus, where given, finer backbone maps, as in MaskFormer's mask head (Cheng et
    al., NeurIPS 2021, section 3.3); the expectation is integral regression (Sun et al., ECCV 2018, section 2.1). It
    gives coordinates that are roughly right within minutes of training, which a query alone has to learn from nothing.

    fine_channels: of the finer maps, from coarse to fine. Those after the first start from zero, so that weights that
        were trained without them go on from what they know.

    sharpness: what the logits are multiplied with before the expectation. The maps are taught to be Gaussians, and a
        little mass far away pulls the expectation of a Gaussian towards the middle of the crop; a sharper one stays
        with its peak.

    blocks: residual blocks in the resolution of each finer map, where places are made precise.
    """

    def __init__(self, d_model: int, fine_channels: Sequence[int], dim: int, sharpness: float = 1.0, blocks: int = 0):
        super().__init__()
        first, *further = fine_channels or (0,)
        self.sharpness = sharpness
        self.query = MLP(d_model, d_model, dim, 2)
        self.coarse = nn.Conv2d(d_model, dim, 1)
        self.fine = nn.Conv2d(first, dim, 1) if first else None
        self.finer = nn.ModuleList(nn.Conv2d(channels, dim, 1) for channels in further)
        for parameter in self.finer.parameters():
            nn.init.zeros_(parameter)
        self.blocks = nn.ModuleList(nn.Sequential(*(ResidualBlock(dim) for _ in range(blocks))) for _ in fine_channels)
        self.mix = nn.Sequential(nn.GroupNorm(8, dim), nn.ReLU(), nn.Conv2d(dim, dim, 3, padding=1))

    def forward(self, hs: Tensor, memory: Tensor, fine: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """hs [L, N, Q, C], memory [N, C, h, w], fine [N, F, h', w'] each -> logits [L, N, Q, h', w'] in the resolution
        of the finest, places [L, N, Q, 2].
        """
        pixels = self.coarse(memory)
        convolutions = [] if self.fine is None else [self.fine, *self.finer]
        for convolution, blocks, finer in zip(convolutions, self.blocks, fine, strict=True):
            upsampled = F.interpolate(pixels, size=finer.shape[-2:], mode="bilinear", align_corners=False)
            pixels = blocks(convolution(finer) + upsampled)
        pixels = self.mix(pixels)
        logits = torch.einsum("lnqc,nchw->lnqhw", self.query(hs), pixels) * pixels.shape[1] ** -0.5
        return logits, soft_argmax(logits * self.sharpness)


def soft_argmax(logits: Tensor) -> Tensor:
    """Expected place under softmax of logits [..., h, w] -> [..., 2] as x, y in 0..1, cell centres at (i + 0.5) / n."""
    height, width = logits.shape[-2:]
    heat = logits.flatten(-2).softmax(-1).unflatten(-1, (height, width))
    x = (torch.arange(width, device=logits.device, dtype=heat.dtype) + 0.5) / width
    y = (torch.arange(height, device=logits.device, dtype=heat.dtype) + 0.5) / height
    return torch.stack([(heat.sum(-2) * x).sum(-1), (heat.sum(-1) * y).sum(-1)], dim=-1)


def agreement(logits: Tensor, window: int = 5) -> Tensor:
    """How far heat maps [N, K, h, w] (logits) agree on one place each: the most of a map that lies within `window`
    cells a side, near 1 for the Gaussian of one cell that it is taught and near 0 where it is flat -> [N, K].
    """
    heat = logits.flatten(-2).softmax(-1).unflatten(-1, logits.shape[-2:])
    within = F.avg_pool2d(heat, window, 1, window // 2) * window**2
    return within.flatten(-2).amax(-1).clamp(max=1.0)
