"""The detector's memory in the resolution of a finer backbone map, so that small people have cells of their own."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FinerMemory(nn.Module):
    """Encoder tokens, enlarged, plus a finer map: the top-down step of a feature pyramid (Lin et al., CVPR 2017,
    section 3). The encoder stays at its own resolution, where its attention is cheap.

    The finer map is added from zero, so that weights that were trained without it go on from what they know.
    """

    def __init__(self, channels: int, dim: int):
        super().__init__()
        self.lateral = nn.Conv2d(channels, dim, 3, padding=1)
        nn.init.zeros_(self.lateral.weight)
        nn.init.zeros_(self.lateral.bias)

    def forward(self, memory: Tensor, fine: Tensor, ratio: Tensor, fine_ratio: Tensor, uniform: bool) -> Tensor:
        """memory [B, C, H, W], fine [B, F, h, w] -> tokens [B, h*w, C].

        ratio, fine_ratio: which part (x, y) of each map every image fills, [B, 2]. uniform: all of it, everywhere.
        """
        if uniform:
            larger = F.interpolate(memory, size=fine.shape[-2:], mode="bilinear", align_corners=False)
        else:
            larger = enlarge(memory, fine.shape[-2:], ratio, fine_ratio)
        return (larger + self.lateral(fine)).flatten(2).transpose(1, 2)


def enlarge(maps: Tensor, size: torch.Size, ratio: Tensor, fine_ratio: Tensor) -> Tensor:
    """Bilinear [B, C, H, W] -> [B, C, *size] in which every image's part, and no padding, fills its part of the larger
    map: the same as `F.interpolate` of each image alone.
    """
    theta = maps.new_zeros(len(maps), 2, 3)
    scale = ratio / fine_ratio  # places of the larger map -> places of the smaller one, both in 0..1 of the padded map
    theta[:, 0, 0], theta[:, 1, 1] = scale.unbind(1)
    theta[:, :, 2] = scale - 1
    grid = F.affine_grid(theta, [len(maps), 1, *size], align_corners=False)
    cell = 1 / maps.new_tensor([maps.shape[-1], maps.shape[-2]])
    low, high = cell - 1, 2 * ratio - cell - 1  # centres of the first and the last cell that an image fills
    grid = torch.minimum(torch.maximum(grid, low), high[:, None, None])
    return F.grid_sample(maps, grid, align_corners=False)
