"""Differentiable person crops: boxes -> affine grid -> `grid_sample` (spatial transformer; PRTR, Li et al., CVPR 2021,
section 3.3).

One operator serves both forms of PRTR: crops from feature maps (end-to-end) and from image pixels (two-stage). A
*region* is the cxcywh rectangle that a crop covers, relative to the un-padded image and free to reach beyond it. Points
inside a crop are x, y in 0..1 of its region; `to_image` and `to_crop` are exact inverses of one another and agree with
where `crop_resample` takes its samples.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Alignment = Literal["centers", "corners", "opencv"]


def crop_regions(
    boxes_cxcywh: Tensor, image_size: Tensor | None = None, aspect: float | None = None, enlarge: float = 1.25
) -> Tensor:
    """The rectangle to crop for each box.

    boxes_cxcywh: [N, 4] relative to the un-padded image.
    image_size: [N, 2] (height, width) in pixels of each box's image; needed with `aspect`, which is measured in pixels.
    aspect: width / height that the shorter side is stretched to, as official PRTR does before enlarging; None keeps the
        box.
    enlarge: both forms of PRTR take a quarter more than the box.

    Returns [N, 4] cxcywh, relative to the un-padded image.
    """
    center, size = boxes_cxcywh[:, :2], boxes_cxcywh[:, 2:]
    if aspect is not None:
        if image_size is None:
            raise ValueError("crop_regions needs image_size to keep an aspect ratio in pixels")
        pixels = image_size.flip(-1).to(size)
        width, height = (size * pixels).unbind(-1)
        fitted = torch.stack([torch.maximum(width, height * aspect), torch.maximum(height, width / aspect)], dim=-1)
        size = fitted / pixels
    return torch.cat([center, size * enlarge], dim=-1)


def sample_positions(count: int, alignment: Alignment, like: Tensor) -> Tensor:
    """Where `count` samples lie along one side of a crop, in 0..1 of its region.

    "centers": the middle of each of `count` cells, the convention under which a crop is an image again. "corners": both
    end points included (end-to-end PRTR: linspace over the enlarged box). "opencv": the left edge of each cell
    (two-stage PRTR: cv2.warpAffine with the crop's corner at w / 2).
    """
    index = torch.arange(count, dtype=like.dtype, device=like.device)
    if alignment == "centers":
        return (index + 0.5) / count
    if alignment == "corners":
        return index / max(count - 1, 1)
    if alignment == "opencv":
        return index / count
    raise ValueError(f'unknown alignment "{alignment}": use "centers", "corners" or "opencv"')


def crop_resample(
    maps: Sequence[Tensor],
    regions: Tensor,
    batch_index: Tensor,
    size: tuple[int, int],
    ratios: Sequence[Tensor] | Tensor | None = None,
    alignment: Alignment = "centers",
    padding_mode: Literal["zeros", "border"] = "zeros",
    clamp: bool = True,
    max_per_image: int | None = None,
) -> Tensor:
    """Sample every map inside every region and concatenate the results on channels.

    maps: [B, C_l, H_l, W_l] each: feature levels, or one image tensor, which may hold bytes (uint8).
    regions: [N, 4] cxcywh relative to the un-padded image; `batch_index`: [N], the image each belongs to.
    size: (height, width) of the crops in samples.
    ratios: [B, 2] (x, y), which part of a padded map is image, one for all maps or one a map; None where nothing is
        padded.
    alignment: see `sample_positions`. "opencv" also takes coordinates as pixel indices (half a pixel from continuous
        ones).
    padding_mode: what lies outside a map. clamp: with "border", stop at the image's own border instead of the padded
        map's, so that a crop does not depend on the batch around it (the official notebook does not).
    max_per_image: an upper bound on the regions of one image; counted (which waits for the device) where it is not
        given.

    Returns [N, sum C_l, *size]. Differentiable in maps and regions.
    """
    if len(regions) == 0:
        kind = maps[0].dtype if maps[0].is_floating_point() else regions.dtype
        return maps[0].new_zeros(0, sum(level.shape[1] for level in maps), *size, dtype=kind)
    if max_per_image is None:
        max_per_image = int(torch.bincount(batch_index).max())
    if ratios is None or isinstance(ratios, Tensor):
        ratios = [ratios] * len(maps)
    crops = []
    for level, ratio in zip(maps, ratios, strict=True):
        scale = None if ratio is None else ratio.to(regions)[batch_index]
        grid = crop_grid(regions, level, size, scale, alignment, clamp and padding_mode == "border")
        if level.device.type == "cpu":
            crops.append(sample_image_by_image(level, grid, batch_index, padding_mode))
        else:
            whole = level if level.is_floating_point() else level.to(grid.dtype)
            crops.append(sample_together(whole, grid, batch_index, padding_mode, max_per_image))
    return crops[0] if len(crops) == 1 else torch.cat(crops, dim=1)


def crop_grid(
    regions: Tensor, level: Tensor, size: tuple[int, int], scale: Tensor | None, alignment: Alignment, clamp: bool
) -> Tensor:
    """Where the samples of crops lie in a map [B, C, H, W], for `grid_sample`: [N, *size, 2] in -1..1.

    scale: [N, 2] (x, y), the part of the map that is image; None: all of it. clamp: see `crop_resample`; the others,
    too.
    """
    scale = torch.ones_like(regions[:, :2]) if scale is None else scale
    positions_y, positions_x = (sample_positions(n, alignment, regions) for n in size)
    x = regions[:, 0:1] + (positions_x - 0.5) * regions[:, 2:3]
    y = regions[:, 1:2] + (positions_y - 0.5) * regions[:, 3:4]
    grid_x = _grid_axis(x, scale[:, 0:1], level.shape[-1], alignment, clamp)
    grid_y = _grid_axis(y, scale[:, 1:2], level.shape[-2], alignment, clamp)
    return torch.stack([grid_x[:, None, :].expand(-1, size[0], -1), grid_y[:, :, None].expand(-1, -1, size[1])], dim=-1)


def _grid_axis(position: Tensor, ratio: Tensor, cells: int, alignment: Alignment, clamp: bool) -> Tensor:
    """Positions [N, n] relative to the image -> grid_sample's -1..1 over a padded map of `cells` cells."""
    grid = position * ratio * 2 - 1
    if alignment == "opencv":
        grid = grid + 1 / cells
    if clamp:
        margin = 1 / cells
        grid = torch.minimum(grid.clamp(min=-1 + margin), ratio * 2 - 1 - margin)
    return grid


def sample_together(level: Tensor, grid: Tensor, batch_index: Tensor, padding_mode: str, max_per_image: int) -> Tensor:
    """One level [B, C, H, W] at grids [N, h, w, 2] -> [N, C, h, w].

    The crops of an image are stacked into one tall grid, so that `grid_sample` reads each image in place instead of a
    copy of it for each of its people.
    """
    height, width = grid.shape[1:3]
    rank = F.one_hot(batch_index, len(level)).cumsum(0).gather(1, batch_index[:, None])[:, 0] - 1
    slots = grid.new_zeros(len(level), max_per_image, height, width, 2).index_put((batch_index, rank), grid)
    tall = F.grid_sample(level, slots.flatten(1, 2).to(level.dtype), padding_mode=padding_mode, align_corners=False)
    return tall.unflatten(2, (max_per_image, height)).transpose(1, 2)[batch_index, rank]


def sample_image_by_image(level: Tensor, grid: Tensor, batch_index: Tensor, padding_mode: str) -> Tensor:
    """The same where asking how many people an image has costs nothing: no place in the tall grids stays empty, and
    nothing is copied into them.
    """
    counts = torch.bincount(batch_index, minlength=len(level)).tolist()
    order = None if bool((batch_index.diff() >= 0).all()) else batch_index.argsort(stable=True)
    grid = grid if order is None else grid[order]
    grid = grid.to(level.dtype) if level.is_floating_point() else grid
    crops = []
    for image, part in zip(level.split(1), grid.split(counts), strict=True):
        if len(part):
            if not level.is_floating_point():
                image, part = part_as_float(image, part)
            tall = F.grid_sample(image, part.flatten(0, 1)[None], padding_mode=padding_mode, align_corners=False)
            crops.append(tall[0].unflatten(1, part.shape[:2]).transpose(0, 1))
    together = torch.cat(crops)
    return together if order is None else together[order.argsort()]


def part_as_float(image: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
    """The part of an image of bytes [1, C, H, W] that grids [N, h, w, 2] reach, as floats, and the grids for it: most
    of a frame is nobody, and a float takes four times the memory.
    """
    size = grid.new_tensor([image.shape[-1], image.shape[-2]])
    index = (grid + 1) * size / 2 - 0.5
    low = torch.minimum(index.amin((0, 1, 2)).floor().clamp(min=0), size - 1)
    high = torch.maximum(torch.minimum(index.amax((0, 1, 2)).floor() + 2, size), low + 1)
    (left, top), (right, bottom) = low.int().tolist(), high.int().tolist()
    return image[..., top:bottom, left:right].to(grid.dtype), (index - low + 0.5) * 2 / (high - low) - 1


def to_image(points: Tensor, regions: Tensor) -> Tensor:
    """Points [N, ..., 2] in 0..1 of their region [N, 4] -> relative to the un-padded image."""
    center, size = _expand(regions, points)
    return center + (points - 0.5) * size


def to_crop(points: Tensor, regions: Tensor) -> Tensor:
    """Points [N, ..., 2] relative to the un-padded image -> 0..1 of their region [N, 4]; the inverse of `to_image`."""
    center, size = _expand(regions, points)
    return (points - center) / size + 0.5


def _expand(regions: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    shape = (regions.shape[0],) + (1,) * (points.dim() - 2) + (2,)
    return regions[:, :2].reshape(shape), regions[:, 2:].reshape(shape)
