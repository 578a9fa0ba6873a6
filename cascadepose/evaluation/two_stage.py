"""How official two-stage PRTR gets from a person's box to joints in the image, step by step, for exact comparisons.

Positions are pixel indices (a pixel's centre lies at a whole number), half a pixel from those of the rest of the
package, and the crop's corner is the box's corner: the convention that PRTR has from HRNet's code. Its boxes, centres
and corner points are float32, which shows in the last bits of a matrix and, through them, in single pixels.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from cascadepose.models.readout import assign_queries


def box_region(box_xywh: np.ndarray, aspect: float, enlarge: float = 1.25) -> tuple[np.ndarray, np.ndarray]:
    """Box [4] px -> centre [2] and size [2] of what is cropped, float32: stretched to the aspect (width / height), then
    enlarged.
    """
    x, y, width, height = (float(value) for value in box_xywh)
    center = np.array([x + width * 0.5, y + height * 0.5], np.float32)
    size = np.array([max(width, height * aspect), max(height, width / aspect)], np.float32)
    return center, size * np.float32(enlarge)


def image_to_crop(
    center: np.ndarray, size: np.ndarray, crop_size: tuple[int, int], degrees: float = 0.0, inverse: bool = False
) -> np.ndarray:
    """Affine [2, 3] from pixels of the image to those of the crop, or back.

    center, size: of the region, see `box_region`; its width alone counts. crop_size: (height, width). degrees: the
    region turns clockwise about its centre.
    """
    import cv2

    height, width = crop_size
    turn = np.pi * degrees / 180
    up = -0.5 * float(size[0])
    source = _corner_points(center, center + np.array([-up * np.sin(turn), up * np.cos(turn)]))
    middle = np.array([width * 0.5, height * 0.5], np.float32)
    target = _corner_points(middle, middle + np.array([0, -0.5 * width], np.float32))
    return cv2.getAffineTransform(*((target, source) if inverse else (source, target)))


def _corner_points(center: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Three points [3, 2] float32 that fix a region: its centre, the one above, the one to the left of that."""
    points = np.array([center, above, [0, 0]], np.float32)
    direction = points[0] - points[1]
    points[2] = points[1] + [-direction[1], direction[0]]
    return points


def cut(image: np.ndarray, matrix: np.ndarray, crop_size: tuple[int, int]) -> np.ndarray:
    """Crop uint8 [h, w, 3] of an image [H, W, 3] by `image_to_crop`; bilinear, black outside of the image."""
    import cv2

    return cv2.warpAffine(image, matrix, (crop_size[1], crop_size[0]), flags=cv2.INTER_LINEAR)


def to_image(points: np.ndarray, center: np.ndarray, size: np.ndarray, crop_size: tuple[int, int]) -> np.ndarray:
    """Crop pixels [K, 2] -> pixels of the image, float64."""
    matrix = image_to_crop(center, size, crop_size, inverse=True)
    return points @ matrix[:, :2].T + matrix[:, 2]


def read_joints(
    logits: Tensor,
    coords: Tensor,
    crop_size: tuple[int, int],
    background: bool = False,
    mirrored: tuple[int, ...] | None = None,
) -> tuple[Tensor, Tensor]:
    """Predictions of N crops -> joints [N, K, 2] in crop pixels and scores [N, K], by the assignment of PRTR.

    logits [N, Q, K+1], "no joint" last; coords [N, Q, 2] in 0..1 of the crop. background: keep "no joint" in the
    softmax. mirrored: `flip_index` of the skeleton where the crops were mirrored; x becomes width - x, without the
    shift by a pixel that heat maps need.
    """
    query, scores = assign_queries(logits, background)
    points = coords.gather(1, query[..., None].expand(-1, -1, 2))
    if mirrored is not None:
        points = torch.stack([1 - points[..., 0], points[..., 1]], -1)[:, list(mirrored)]
        scores = scores[:, list(mirrored)]
    return points * points.new_tensor([crop_size[1], crop_size[0]]), scores
