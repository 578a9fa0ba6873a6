"""Person crops for the keypoint stage: one affine warp from image to crop, the same geometry as `models.crop` takes
its samples in.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from cascadepose.data.coco import CocoImage, CocoSource, ImageStore
from cascadepose.data.sources import read_source
from cascadepose.data.transforms import color_transform, seeded
from cascadepose.errors import InputError
from cascadepose.skeletons import COCO17, Skeleton

LOWER_BODY = ("pelvis", "hip", "knee", "ankle", "heel", "toe", "foot")  # how joints of the lower body are called


def crop_matrix(
    center: np.ndarray, size: np.ndarray, out_size: tuple[int, int], degrees: float = 0.0, mirrored: bool = False
) -> np.ndarray:
    """Affine [2, 3] from crop to image, both in continuous pixels (a pixel's centre lies at i + 0.5).

    center, size: (x, y) and (width, height) of the region in the image; out_size: (height, width) of the crop.
    """
    turn = np.deg2rad(degrees)
    step = np.asarray(size, np.float64) / np.array([out_size[1], out_size[0]])
    if mirrored:
        step = step * [-1, 1]
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    linear = rotation * step
    middle = np.array([out_size[1], out_size[0]]) / 2
    return np.concatenate([linear, (np.asarray(center) - linear @ middle)[:, None]], axis=1)


def warp(image: np.ndarray, matrix: np.ndarray, out_size: tuple[int, int]) -> np.ndarray:
    """Bilinear crop [h, w, 3] of an image [H, W, 3] by a crop-to-image matrix; black outside of the image."""
    import cv2

    to_index = matrix.copy()
    to_index[:, 2] += matrix[:, :2].sum(1) * 0.5 - 0.5
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, to_index, (out_size[1], out_size[0]), flags=flags, borderMode=cv2.BORDER_CONSTANT)


def to_crop(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Image points [..., 2] -> crop pixels, by the inverse of a crop-to-image matrix."""
    return (points - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T


def fit_aspect(size: np.ndarray, aspect: float) -> np.ndarray:
    """(width, height) with the shorter side stretched to width / height = aspect."""
    return np.array([max(size[0], size[1] * aspect), max(size[1], size[0] / aspect)])


class PersonCrops(Dataset):
    """Every annotated person of one or more annotation files, cropped, with the joints of `skeleton`.

    Asked with `(index, seed)` an item is augmented from that seed alone; asked with a plain index it is the evaluation
    crop.
    An item: `image` uint8 [3, h, w], `keypoints` [K, 2] in 0..1 of the crop, `visible` and `labelled` [K] bool.

    crop_size: (height, width). enlarge: region over box. min_keypoints: people with fewer annotated joints are left
    out.
    """

    def __init__(
        self,
        sources: Sequence[CocoSource],
        crop_size: tuple[int, int],
        enlarge: float = 1.25,
        min_keypoints: int = 1,
        cache: bool = True,
        color: float = 1.0,
        rotation: float = 35.0,
        scaling: float = 0.3,
        half_body: float = 0.2,
        skeleton: Skeleton = COCO17,
    ):
        self.crop_size, self.enlarge, self.skeleton = tuple(crop_size), enlarge, skeleton
        self.color, self.rotation, self.scaling, self.half_body = color, rotation, scaling, half_body
        self.people: list[tuple[CocoImage, int]] = []
        weights: list[float] = []
        for source in sources:
            found = [
                (image, index)
                for image in read_source(source, skeleton)
                for index in range(len(image.boxes_xyxy))
                if (image.keypoints[index, :, 2] > 0).sum() >= min_keypoints
            ]
            self.people += found
            weights += [source.weight] * len(found)
        if not self.people:
            raise InputError(
                f"no person with {min_keypoints} or more keypoints in {', '.join(s.annotations for s in sources)}"
            )
        self.sample_weights = np.array(weights) if len(set(weights)) > 1 else None
        self.images = ImageStore([image.path for image, _ in self.people], cache)

    def __len__(self) -> int:
        return len(self.people)

    def region(self, box_xyxy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Centre and size, in pixels of the image, of what is cropped for a box."""
        size = fit_aspect(box_xyxy[2:] - box_xyxy[:2], self.crop_size[1] / self.crop_size[0]) * self.enlarge
        return (box_xyxy[:2] + box_xyxy[2:]) / 2, size

    def __getitem__(self, item: int | tuple[int, int]) -> dict[str, torch.Tensor]:
        index, seed = item if isinstance(item, tuple) else (item, None)
        record, person = self.people[index]
        joints = record.keypoints[person]
        box = record.boxes_xyxy[person]
        rng = None if seed is None else np.random.default_rng(seed)
        if rng is not None and rng.random() < self.half_body:
            box = half_body_box(box, joints, rng, self.skeleton)
        center, size = self.region(box)
        degrees, mirrored = 0.0, False
        if rng is not None:
            center = center + rng.normal(0, 0.04, 2) * size
            size = size * np.clip(1 + rng.normal(0, self.scaling / 2), 1 - self.scaling, 1 + self.scaling)
            if rng.random() < 0.6:
                degrees = float(np.clip(rng.normal(0, self.rotation), -2 * self.rotation, 2 * self.rotation))
            mirrored = bool(rng.random() < 0.5)
        matrix = crop_matrix(center, size, self.crop_size, degrees, mirrored)
        crop = warp(self.images(record.path), matrix, self.crop_size)
        if rng is not None and self.color:
            crop = seeded(color_transform(self.color), seed)(image=crop)["image"]
        points = to_crop(joints[:, :2], matrix) / [self.crop_size[1], self.crop_size[0]]
        seen = (joints[:, 2] > 0) & ((points > -0.02) & (points < 1.02)).all(1)
        labelled = record.labelled | (joints[:, 2] > 0)
        if mirrored:
            order = list(self.skeleton.flip_index)
            points, seen, labelled = points[order], seen[order], labelled[order]
        return {
            "image": torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1))),
            "keypoints": torch.from_numpy(np.where(seen[:, None], points, 0.5).astype(np.float32)),
            "visible": torch.from_numpy(seen),
            "labelled": torch.from_numpy(labelled),
        }


def half_body_box(
    box: np.ndarray, joints: np.ndarray, rng: np.random.Generator, skeleton: Skeleton = COCO17
) -> np.ndarray:
    """A box around only the upper or only the lower annotated joints [K, 3], as where a table or the image border hides
    the rest; the box itself where there are too few of them.
    """
    lower = np.array([name.endswith(LOWER_BODY) for name in skeleton.names])
    part = joints[~lower if rng.random() < 0.6 else lower]
    points = part[part[:, 2] > 0, :2]
    if len(points) < 3:
        return box
    low, high = points.min(0), points.max(0)
    margin = 0.2 * (high - low).max() + 1
    return np.concatenate([low - margin, high + margin]).astype(np.float32)
