"""Heat maps of queries over the pixels of a crop, and how places are read from them."""

from collections.abc import Sequence
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cascadepose.models.transformer import MLP

WINDOW = 5  # cells a side: what a peak of the Gaussian of one cell that maps are taught fills


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
        with its peak. At inference what is far from the peak is left out altogether (`around_peak`); in training it is
        what there is to learn from.

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

    def project(self, fine: Sequence[Tensor]) -> list[Tensor]:
        """Finer maps [N, F, h', w'] -> [N, dim, h', w'] each, as they are added to the memory."""
        convolutions = [] if self.fine is None else [self.fine, *self.finer]
        return [convolution(finer) for convolution, finer in zip(convolutions, fine, strict=True)]

    def forward(self, hs: Tensor, memory: Tensor, fine: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """hs [L, N, Q, C], memory [N, C, h, w], fine [N, F, h', w'] each -> logits [L, N, Q, h', w'] in the resolution
        of the finest, places [L, N, Q, 2].
        """
        pixels = self.coarse(memory)
        for finer, blocks in zip(self.project(fine), self.blocks, strict=True):
            upsampled = F.interpolate(pixels, size=finer.shape[-2:], mode="bilinear", align_corners=False)
            pixels = blocks(finer + upsampled)
        pixels = self.mix(pixels)
        if self.training:
            # what all cells share moves no softmax, so nothing holds it back: it grows until logits have no digits left
            pixels = pixels - pixels.mean((-2, -1), keepdim=True)
        logits = _products(self.query(hs), pixels) * pixels.shape[1] ** -0.5
        read = soft_argmax if self.training else around_peak
        return logits, read(logits * self.sharpness)


def _products(queries: Tensor, pixels: Tensor) -> Tensor:
    """[L, N, Q, C] and [N, C, h, w] -> [L, N, Q, h, w], under autocast in float32: in bfloat16 the gradients of large
    logits point elsewhere.
    """
    device = pixels.device.type
    if not torch.is_autocast_enabled(device):
        return torch.einsum("lnqc,nchw->lnqhw", queries, pixels)
    with torch.autocast(device, enabled=False):
        return torch.einsum("lnqc,nchw->lnqhw", queries.float(), pixels.float())


def soft_argmax(logits: Tensor) -> Tensor:
    """Expected place under softmax of logits [..., h, w] -> [..., 2] as x, y in 0..1, cell centres at (i + 0.5) / n."""
    height, width = logits.shape[-2:]
    heat = logits.flatten(-2).softmax(-1).unflatten(-1, (height, width))
    x = (torch.arange(width, device=logits.device, dtype=heat.dtype) + 0.5) / width
    y = (torch.arange(height, device=logits.device, dtype=heat.dtype) + 0.5) / height
    return torch.stack([(heat.sum(-2) * x).sum(-1), (heat.sum(-1) * y).sum(-1)], dim=-1)


def around_peak(logits: Tensor) -> Tensor:
    """`soft_argmax` of what lies within an eighth of the map's longer side of its peak, [N, ..., h, w] -> [N, ..., 2]:
    where a map has two, a place between them is neither.
    """
    height, width = logits.shape[-2:]
    shares = _in_windows(logits)
    row = shares.amax(-1).argmax(-1, keepdim=True)
    in_row = shares.gather(-2, row[..., None].expand_as(shares[..., :1, :]))
    column = in_row[..., 0, :].argmax(-1, keepdim=True)
    reach = max(height // 8, width // 8, WINDOW // 2)
    rows = (torch.arange(height, device=logits.device) - row).abs() <= reach
    columns = (torch.arange(width, device=logits.device) - column).abs() <= reach
    return soft_argmax(logits.masked_fill(~(rows[..., None] & columns[..., None, :]), -torch.inf))


def agreement(logits: Tensor) -> Tensor:
    """How far heat maps [N, K, h, w] (logits) agree on one place each: the most of a map that lies within `WINDOW`
    cells a side, near 1 for a map as it is taught and near 0 where it is flat -> [N, K].
    """
    return _in_windows(logits).flatten(-2).amax(-1).clamp(max=1.0)


def _in_windows(logits: Tensor) -> Tensor:
    """How much of a map [N, ..., h, w] lies in the window around each of its cells."""
    heat = logits.flatten(-2).softmax(-1).unflatten(-1, logits.shape[-2:])
    for axis, margins in ((-1, (WINDOW // 2,) * 2), (-2, (0, 0, *(WINDOW // 2,) * 2))):
        padded, cells = F.pad(heat, margins), heat.shape[axis]
        # shifted additions: they are vectorised, which pooling on a CPU is not
        heat = reduce(torch.add, (padded.narrow(axis, shift, cells) for shift in range(WINDOW)))
    return heat
