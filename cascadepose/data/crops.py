"""Person crops for the keypoint stage: each one affine warp (`data.warp`) from the image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset

from cascadepose.boxes import xyxy_to_cxcywh
from cascadepose.data.augmentation import CropAugmentation, half_body_box
from cascadepose.data.coco import CocoImage, CocoSource, ImageStore
from cascadepose.data.detected import around_nobody, as_detected
from cascadepose.data.pasting import donors, paste
from cascadepose.data.sources import read_source
from cascadepose.data.transforms import color_transform, seeded
from cascadepose.data.warp import crop_matrix, fit_aspect, to_crop, warp
from cascadepose.errors import InputError
from cascadepose.skeletons import COCO17, Skeleton


class PersonCrops(Dataset):
    """Every annotated person of one or more annotation files, cropped, with the joints of `skeleton`.

    Asked with `(index, seed)` an item is augmented from that seed alone; asked with a plain index it is the evaluation
    crop.
    An item: `image` uint8 [3, h, w], `keypoints` [K, 2] in 0..1 of the crop, `visible` and `labelled` [K] bool; `box`
    [4] cxcywh in 0..1 of the crop and cut to it, `box_known` and `nobody` bool (`losses.person_box.PersonBoxTargets`).

    crop_size: (height, width). enlarge: region over annotated box; detected_enlarge: over a box that is not annotated.
    min_keypoints: people with fewer annotated joints are left out. boxes_only: those with none are in, and drawn so
    much as others. Who is pasted over a crop changes nothing of what is said about its joints.
    """

    def __init__(
        self,
        sources: Sequence[CocoSource],
        crop_size: tuple[int, int],
        enlarge: float = 1.25,
        detected_enlarge: float = 1.25,
        min_keypoints: int = 1,
        cache: bool = True,
        skeleton: Skeleton = COCO17,
        boxes_only: float = 0.0,
        augmentation: CropAugmentation | None = None,
    ):
        self.crop_size, self.skeleton = tuple(crop_size), skeleton
        self.enlarge, self.detected_enlarge = enlarge, detected_enlarge
        self.augmentation = augmentation or CropAugmentation()
        self.people: list[tuple[CocoImage, int]] = []
        weights: list[float] = []
        self.box_known: list[bool] = []
        for source in sources:
            found = [
                (image, index)
                for image in read_source(source, skeleton)
                for index in range(len(image.boxes_xyxy))
                if (image.keypoints[index, :, 2] > 0).sum() >= min_keypoints
                or (boxes_only and jointless((image, index)))
            ]
            self.people += found
            weights += [source.weight * (boxes_only if jointless(person) else 1.0) for person in found]
            self.box_known += [source.boxes_known] * len(found)
        if not self.people:
            raise InputError(
                f"no person with {min_keypoints} or more keypoints in {', '.join(s.annotations for s in sources)}"
            )
        self.sample_weights = np.array(weights) if len(set(weights)) > 1 else None
        self.donors = donors(self.people) if self.augmentation.pasted else np.zeros(0, int)
        self.images = ImageStore([image.path for image, _ in self.people], cache)

    def __len__(self) -> int:
        return len(self.people)

    def region(self, box_xyxy: np.ndarray, detected: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Centre and size, in pixels of the image, of what is cropped for an annotated or a detected box."""
        size = fit_aspect(box_xyxy[2:] - box_xyxy[:2], self.crop_size[1] / self.crop_size[0])
        size = size * (self.detected_enlarge if detected else self.enlarge)
        return (box_xyxy[:2] + box_xyxy[2:]) / 2, size

    def __getitem__(self, item: int | tuple[int, int]) -> dict[str, torch.Tensor]:
        index, seed = item if isinstance(item, tuple) else (item, None)
        view = self._view(index, None if seed is None else np.random.default_rng(seed))
        crop = warp(self.images(view.record.path), view.matrix, self.crop_size)
        if seed is not None and len(self.donors):
            crop = self._pasted(crop, np.random.default_rng([seed, 1]))
        color = self.augmentation.color
        if seed is not None and color:
            crop = seeded(color_transform(color), seed)(image=crop)["image"]
        return {
            "image": torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1))),
            **self._joints(view),
            **self._box(view),
        }

    def _pasted(self, crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A crop with, so often as `pasted` says, somebody else laid over it."""
        if rng.random() >= self.augmentation.pasted:
            return crop
        record, person = self.people[rng.choice(self.donors)]
        return paste(crop, self.images(record.path), record.keypoints[person], rng, self.skeleton)

    def _view(self, index: int, rng: np.random.Generator | None) -> "_View":
        """Who is looked at, and from where: the annotated box without `rng`, else as augmentation draws it."""
        record, person = self.people[index]
        box, known, draw = record.boxes_xyxy[person], self.box_known[index], 1.0
        if rng is None:
            return _View(record, person, self._matrix(*self.region(box)), False, known)
        size, augmentation = (record.width, record.height), self.augmentation
        if augmentation.detected or augmentation.nobody:
            draw = rng.random()
        if draw < augmentation.nobody and known and record.complete:
            empty = around_nobody(record.boxes_xyxy, record.crowds_xyxy, size, rng)
            if empty is not None:
                return _View(record, None, self._matrix(*self.region(empty, detected=True)), False, known)
        if draw < augmentation.nobody + augmentation.detected:
            box, person = as_detected(record.boxes_xyxy, person, size, rng)
            mirrored = bool(rng.random() < 0.5)
            matrix = self._matrix(*self.region(box, detected=True), mirrored=mirrored)
            return _View(record, person, matrix, mirrored, known)
        if rng.random() < augmentation.half_body:
            box, known = half_body_box(box, record.keypoints[person], rng, self.skeleton), False
        center, region, degrees = augmentation.moved(*self.region(box), rng)
        mirrored = bool(rng.random() < 0.5)
        return _View(record, person, self._matrix(center, region, degrees, mirrored), mirrored, known and not degrees)

    def _matrix(self, center: np.ndarray, size: np.ndarray, degrees: float = 0.0, mirrored: bool = False) -> np.ndarray:
        return crop_matrix(center, size, self.crop_size, degrees, mirrored)

    def _joints(self, view: "_View") -> dict[str, torch.Tensor]:
        """What is known of the joints [K] in a crop."""
        joints, labelled = np.zeros((self.skeleton.num_joints, 3), np.float32), view.record.labelled
        if view.person is not None:
            joints = view.record.keypoints[view.person]
        annotated = joints[:, 2] > 0
        labelled = labelled & annotated.any() | annotated
        points = to_crop(joints[:, :2], view.matrix) / [self.crop_size[1], self.crop_size[0]]
        seen = annotated & ((points > -0.02) & (points < 1.02)).all(1)
        if view.mirrored:
            order = list(self.skeleton.flip_index)
            points, seen, labelled = points[order], seen[order], labelled[order]
        return {
            "keypoints": torch.from_numpy(np.where(seen[:, None], points, 0.5).astype(np.float32)),
            "visible": torch.from_numpy(seen),
            "labelled": torch.from_numpy(labelled),
        }

    def _box(self, view: "_View") -> dict[str, torch.Tensor]:
        """What is known of the person's box in a crop."""
        box = np.array([0.0, 0.0, 1.0, 1.0])
        if view.person is not None:
            corners = view.record.boxes_xyxy[view.person].reshape(2, 2)
            corners = (to_crop(corners, view.matrix) / [self.crop_size[1], self.crop_size[0]]).clip(0, 1)
            box = np.concatenate([corners.min(0), corners.max(0)])
        return {
            "box": xyxy_to_cxcywh(torch.from_numpy(box.astype(np.float32))),
            "box_known": torch.tensor(view.box_known and view.person is not None),
            "nobody": torch.tensor(view.person is None),
        }


@dataclass(frozen=True)
class _View:
    """A crop to be taken: `person` of the record (None: of nobody), by a matrix from crop to image."""

    record: CocoImage
    person: int | None
    matrix: np.ndarray
    mirrored: bool
    box_known: bool


def jointless(person: tuple[CocoImage, int]) -> bool:
    """Whether no joint of a person is annotated."""
    image, index = person
    return not (image.keypoints[index, :, 2] > 0).any()
