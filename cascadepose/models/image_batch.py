"""Images of different sizes in one padded tensor; the sizes are kept, never guessed again."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class ImageBatch:
    """RGB images, zero-padded at the right and the bottom.

    images: [B, 3, H, W], float in 0..1, or uint8 as decoded, which `as_float` makes of it.
    sizes: one (height, width) in pixels per image, plain integers, so that asking for them never waits for a device.
    """

    images: Tensor
    sizes: tuple[tuple[int, int], ...]

    @staticmethod
    def from_list(images: Sequence[Tensor]) -> "ImageBatch":
        """Pad images [3, H_i, W_i] to their common size.

        Raises ValueError for an empty list or an image that is not [3, H, W].
        """
        if not images:
            raise ValueError("an ImageBatch needs at least one image")
        for image in images:
            if image.dim() != 3 or image.shape[0] != 3:
                raise ValueError(f"expected RGB images [3, H, W], got {tuple(image.shape)}")
        sizes = tuple((image.shape[1], image.shape[2]) for image in images)
        if len(set(sizes)) == 1:
            return ImageBatch(torch.stack(tuple(images)), sizes)
        height, width = (max(side) for side in zip(*sizes, strict=True))
        padded = images[0].new_zeros(len(images), 3, height, width)
        for slot, image, (h, w) in zip(padded, images, sizes, strict=True):
            slot[:, :h, :w] = image
        return ImageBatch(padded, sizes)

    def __len__(self) -> int:
        return len(self.sizes)

    def to(self, *args, **kwargs) -> "ImageBatch":
        """The same batch on another device or in another float type."""
        return ImageBatch(self.images.to(*args, **kwargs), self.sizes)

    def as_float(self) -> "ImageBatch":
        """The same batch in 0..1."""
        if self.images.is_floating_point():
            return self
        return ImageBatch(self.images.float().div_(255), self.sizes)

    @property
    def padded_size(self) -> tuple[int, int]:
        """(height, width) of the padded tensor."""
        return self.images.shape[-2], self.images.shape[-1]

    @property
    def is_uniform(self) -> bool:
        """True where no image has padding."""
        return all(size == self.padded_size for size in self.sizes)

    @property
    def mask(self) -> Tensor:
        """[B, H, W] bool, True where a pixel is padding (DETR's convention)."""
        return outside(self.padded_size, self.size_tensor)

    @property
    def size_tensor(self) -> Tensor:
        """[B, 2] (height, width) on the images' device."""
        return torch.tensor(self.sizes, device=self.images.device)

    @property
    def valid_ratio(self) -> Tensor:
        """[B, 2] (x, y): which part of the padded tensor each image fills."""
        height, width = self.padded_size
        kind = self.images.dtype if self.images.is_floating_point() else torch.float32
        return self.size_tensor.flip(-1).to(kind) / self.images.new_tensor([width, height], dtype=kind)

    def groups(self) -> dict[tuple[int, int], list[int]]:
        """Indices of the images of each size."""
        found: dict[tuple[int, int], list[int]] = {}
        for index, size in enumerate(self.sizes):
            found.setdefault(size, []).append(index)
        return found

    def select(self, indices: list[int], size: tuple[int, int]) -> Tensor:
        """[len(indices), 3, *size] un-padded images that share `size`."""
        return self.images[indices, :, : size[0], : size[1]]

    def every(self, count: int) -> "ImageBatch":
        """The middle one of every `count` images; of what is left over at the end, the middle one as well."""
        if count == 1:
            return self
        starts = range(0, len(self), count)
        middles = [(start + min(start + count, len(self)) - 1) // 2 for start in starts]
        return ImageBatch(self.images[middles], tuple(self.sizes[middle] for middle in middles))

    def resized(self, max_side: int) -> "ImageBatch":
        """Every image scaled, aspect kept, so that its longer side is `max_side`; differentiable.

        Each image is scaled alone, so that its pixels do not depend on what else is in the batch.
        """
        scaled = [fit_within(size, max_side) for size in self.sizes]
        if self.is_uniform:
            return ImageBatch(_resize(self.images, scaled[0]), tuple(scaled))
        images: list[Tensor] = [self.images] * len(self)
        for size, indices in self.groups().items():
            for index, image in zip(
                indices, _resize(self.select(indices, size), fit_within(size, max_side)), strict=True
            ):
                images[index] = image
        return ImageBatch.from_list(images)


def outside(size: Sequence[int], sizes: Tensor) -> Tensor:
    """[B, h, w] bool, True in the cells of a padded map of `size` that lie beyond each image's own `sizes` [B, 2],
    (height, width) in cells, which need not be whole.
    """
    rows, columns = (torch.arange(side, device=sizes.device) + 0.5 for side in size)
    return (rows[None, :, None] > sizes[:, 0, None, None]) | (columns[None, None, :] > sizes[:, 1, None, None])


def fit_within(size: tuple[int, int], max_side: int) -> tuple[int, int]:
    """(height, width) scaled so that the longer side is `max_side`."""
    scale = max_side / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(images.shape[-2:]) == size:
        return images
    if images.dtype == torch.uint8 and images.device.type != "cpu":
        images = images.float()  # only the CPU scales bytes, and does it ten times as fast as floats
        return F.interpolate(images, size=size, mode="bilinear", align_corners=False, antialias=True).round().byte()
    return F.interpolate(images, size=size, mode="bilinear", align_corners=False, antialias=True)
