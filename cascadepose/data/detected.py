"""Boxes as a detector would give them: beside the person, over the next person, and around nobody."""

import numpy as np
import torch

from cascadepose.boxes import intersection, iou

TRIES = 8


def as_detected(
    boxes_xyxy: np.ndarray, person: int, size: tuple[int, int], rng: np.random.Generator
) -> tuple[np.ndarray, int]:
    """A box about where a person is, and whose it is: of the people [P, 4] of an image of `size` (width, height) the
    one that it overlaps most.

    Edges are off by an eighth of the box or so, which is an IoU of 0.3 to 0.9, and lie inside the image.
    """
    box = boxes_xyxy[person]
    for _ in range(TRIES):
        sides = box[2:] - box[:2]
        center = (box[:2] + box[2:]) / 2 + rng.normal(0, 0.1, 2) * sides
        half = sides * np.exp(rng.normal(0, 0.2, 2)) / 2
        moved = np.concatenate([center - half, center + half]).clip(0, [*size, *size])
        overlaps = overlap(moved, boxes_xyxy)
        if overlaps.max() > 0.3:
            return moved, int(overlaps.argmax())
    return box, person


def around_nobody(
    boxes_xyxy: np.ndarray, crowds_xyxy: np.ndarray, size: tuple[int, int], rng: np.random.Generator
) -> np.ndarray | None:
    """A box [4] in an image of `size` (width, height) that overlaps no person and no crowd by much; None if a few tries
    find none.
    """
    limits = np.array(size, np.float64)
    for _ in range(TRIES):
        height = limits[1] * np.exp(rng.uniform(np.log(0.1), 0.0))
        sides = np.minimum([height * np.exp(rng.normal(-0.8, 0.4)), height], limits)
        corner = rng.uniform(0, 1, 2) * (limits - sides)
        box = np.concatenate([corner, corner + sides])
        within = shared_area(box, crowds_xyxy) / sides.prod()
        if overlap(box, boxes_xyxy).max(initial=0) < 0.25 and within.max(initial=0) < 0.5:
            return box
    return None


def overlap(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """IoU of one box [4] with others [P, 4], corners -> [P]."""
    return iou(torch.from_numpy(box), torch.from_numpy(boxes)).numpy()


def shared_area(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Area that one box [4] shares with others [P, 4], corners -> [P]."""
    return intersection(torch.from_numpy(box), torch.from_numpy(boxes)).numpy()
