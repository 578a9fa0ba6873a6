"""People in labelled pictures, with the 3D pose that a lifter sees in their labelled 2D joints."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch.utils.data import Dataset

from cascadepose.data.coco import CocoImage, CocoSource, ImageStore, read_coco
from cascadepose.data.motion import EVAL_SEED
from cascadepose.data.warp import crop_matrix, to_crop, warp
from cascadepose.errors import InputError
from cascadepose.geometry import flip_horizontal
from cascadepose.skeletons import COCO17, H36M17

FACE, BODY = slice(0, 5), slice(5, 17)
FACE_SCORE = 0.3  # of a joint of the face that is not labelled, and lies in the middle of those that are

PART = 1.6  # side of the part of a picture that is shown, relative to the longer side of the person's box

# keypoints [N, 17, 2] px of square parts and scores [N, 17], a picture each -> root-relative joints [N, 17, 3], metres
Teacher = Callable[[np.ndarray, np.ndarray], np.ndarray]


class PosedPictures(Dataset):
    """Annotated people of a COCO-format file, each in a square part of its picture.

    An item: `frames` uint8 [1, 3, S, S]; `boxes` [1, 4] cxcywh and `keypoints` [1, 17, 2] relative to it; `visible` and
    `labelled` [1, 17] bool; `joints` [1, 17, 3] root-relative camera-frame joints in metres, by the teacher; `taught`
    bool, whether they are known: only where all twelve joints of the body and one of the face are labelled.
    `dataset[(index, seed)]` varies the part and mirrors it, by the seed alone.

    side: S, pixels. teacher: None leaves 3D out. min_keypoints, min_size: people with fewer labelled joints, or whose
    box is smaller than so many pixels, are left out. Raises InputError where nobody is left.
    """

    def __init__(
        self, source: CocoSource, side: int, teacher: Teacher | None, min_keypoints: int = 8, min_size: float = 64.0
    ):
        self.side = side
        people = [(image, row) for image in read_coco(source) for row in range(len(image.boxes_xyxy))]
        self.people = [person for person in people if _usable(*person, min_keypoints, min_size)]
        if not self.people:
            raise InputError(
                f"{source.annotations}: nobody has {min_keypoints} labelled joints and {min_size:.0f} pixels; "
                "give another file"
            )
        labels = np.stack([image.keypoints[row] for image, row in self.people])
        self.taught = whole(labels) & (teacher is not None)
        self.joints = np.zeros((len(labels), H36M17.num_joints, 3), np.float32)
        if teacher is not None and self.taught.any():
            points, scores = with_faces(labels[self.taught])
            boxes = np.stack([image.boxes_xyxy[row] for image, row in self.people])[self.taught]
            middle, size = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).max(1)
            self.joints[self.taught] = teacher(((points - middle) / (PART * size[:, None, None]) + 0.5) * side, scores)
        self.images = ImageStore([image.path for image, _ in self.people], cache=False)

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, item: int | tuple[int, int]) -> dict[str, np.ndarray]:
        index, seed = item if isinstance(item, tuple) else (item, None)
        rng = np.random.default_rng([EVAL_SEED if seed is None else seed, index])
        record, row = self.people[index]
        box, labels, joints = record.boxes_xyxy[row], record.keypoints[row], self.joints[index]
        middle, size = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]).max()
        mirrored = False
        part = size * PART
        if seed is not None:
            part = size * rng.uniform(1.3, 2.2)
            middle = middle + rng.uniform(-0.1, 0.1, 2) * size
            mirrored = bool(rng.random() < 0.5)
        out = (self.side, self.side)
        matrix = crop_matrix(middle, np.array([part, part]), out, mirrored=mirrored)
        points = to_crop(labels[:, :2], matrix) / self.side
        corners = to_crop(box.reshape(2, 2), matrix) / self.side
        low, high = corners.min(0).clip(0, 1), corners.max(0).clip(0, 1)
        visible = (labels[:, 2] > 0) & ((points > 0) & (points < 1)).all(-1)
        labelled = record.labelled | visible
        if mirrored:
            order = list(COCO17.flip_index)
            points, visible, labelled = points[order], visible[order], labelled[order]
            joints = flip_horizontal(joints, H36M17.flip_index)
        image = warp(self.images(record.path), matrix, out)
        return {
            "frames": np.ascontiguousarray(image.transpose(2, 0, 1))[None],
            "boxes": np.concatenate([(low + high) / 2, high - low]).astype(np.float32)[None],
            "keypoints": np.where(visible[:, None], points, 0.5).astype(np.float32)[None],
            "visible": visible[None],
            "labelled": labelled[None],
            "joints": joints[None],
            "taught": self.taught[index],
        }


def _usable(image: CocoImage, row: int, min_keypoints: int, min_size: float) -> bool:
    box = image.boxes_xyxy[row]
    return (image.keypoints[row, :, 2] > 0).sum() >= min_keypoints and (box[2:] - box[:2]).max() >= min_size


def whole(labels: np.ndarray) -> np.ndarray:
    """Labels [N, 17, 3] (x, y, v) -> [N] bool: all joints of the body and at least one of the face are labelled."""
    seen = labels[..., 2] > 0
    return seen[:, BODY].all(1) & seen[:, FACE].any(1)


def with_faces(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels [N, 17, 3] of whole people -> keypoints [N, 17, 2] and scores [N, 17], as a detector would answer.

    A joint of the face that is not labelled (an ear behind the head) lies in the middle of those that are.
    """
    seen = labels[..., 2] > 0
    weight = seen[:, FACE, None]
    middle = (labels[:, FACE, :2] * weight).sum(1, keepdims=True) / np.maximum(weight.sum(1, keepdims=True), 1)
    points = labels[..., :2].copy()
    points[:, FACE] = np.where(weight, points[:, FACE], middle)
    return points.astype(np.float32), np.where(seen, 1.0, FACE_SCORE).astype(np.float32)
