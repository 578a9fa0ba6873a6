"""Augmentation by albumentations: colour of crops, geometry and colour of whole images."""

import os
from functools import cache

import numpy as np

from cascadepose.skeletons import COCO17, Skeleton

# albumentations asks the network for its latest version when it is imported, unless told not to.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")


@cache
def color_transform(strength: float):
    """Cheap photometric albumentations for uint8 crops; one per process and strength."""
    import albumentations as A

    return A.Compose(
        [
            A.ColorJitter(
                brightness=0.3 * strength, contrast=0.3 * strength, saturation=0.3 * strength, hue=0.05, p=0.7
            ),
            A.ToGray(p=0.05),
            A.GaussianBlur(blur_limit=(3, 5), p=0.08),
            A.CoarseDropout(
                num_holes_range=(1, 2), hole_height_range=(0.1, 0.35), hole_width_range=(0.1, 0.35), p=0.3 * strength
            ),
        ]
    )


@cache
def scene_transform(sides: tuple[int, ...], canvas: int | None = None):
    """Geometry and colour for whole images; boxes and keypoints move along. Left and right are not exchanged here.

    canvas: crop and pad (with grey) to a square of this side, instead of moving and turning the whole image.
    """
    import albumentations as A

    resize = A.LongestMaxSize(max_size=list(sides))
    if canvas is None:
        moves = [A.Affine(scale=(0.6, 1.5), translate_percent=(-0.15, 0.15), rotate=(-6, 6), keep_ratio=True, p=0.7)]
        moves += [resize]
    else:
        moves = [resize, A.PadIfNeeded(canvas, canvas, position="random", fill=127), A.RandomCrop(canvas, canvas)]
    return A.Compose(
        [
            *moves,
            A.ColorJitter(brightness=0.3, contrast=0.3, saturation=0.3, hue=0.05, p=0.6),
            A.ToGray(p=0.05),
            A.GaussianBlur(blur_limit=(3, 5), p=0.05),
        ],
        bbox_params=A.BboxParams(format="pascal_voc", label_fields=["box_index"], min_visibility=0.2, clip=True),
        keypoint_params=A.KeypointParams(format="xy", remove_invisible=False),
    )


@cache
def fit_transform(side: int):
    """An image scaled so that its longer side is `side`."""
    import albumentations as A

    return A.Compose([A.LongestMaxSize(max_size=side)])


def seeded(transform, seed: int):
    """The transform, about to draw from `seed`: an item's augmentation must not depend on worker, order or restart."""
    transform.set_random_seed(int(seed))
    return transform


def mirror(
    image: np.ndarray, boxes_xyxy: np.ndarray, keypoints: np.ndarray, skeleton: Skeleton = COCO17
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Left-right mirror of an image [H, W, 3], boxes [P, 4] and keypoints [P, K, 3]; left and right joints change
    places.
    """
    width = image.shape[1]
    boxes = boxes_xyxy.copy()
    boxes[:, [0, 2]] = width - boxes_xyxy[:, [2, 0]]
    keypoints = keypoints[:, list(skeleton.flip_index)].copy()
    keypoints[..., 0] = width - keypoints[..., 0]
    return np.ascontiguousarray(image[:, ::-1]), boxes, keypoints
