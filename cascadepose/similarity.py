"""How alike poses are: overlap of boxes, closeness of joints, and which of several are the same person twice."""

from __future__ import annotations

import numpy as np
import torch

from cascadepose import boxes
from cascadepose.types import Poses2D

USUAL_SIGMA = 0.08  # about the mean of COCO's joints below the face


def pairwise_iou(a_xyxy: np.ndarray, b_xyxy: np.ndarray) -> np.ndarray:
    """Boxes [M,4] and [P,4] -> intersection over union [M,P]."""
    return boxes.iou(torch.from_numpy(a_xyxy)[:, None], torch.from_numpy(b_xyxy)[None]).numpy()


def contained(a: Poses2D, b: Poses2D) -> np.ndarray:
    """Share [M,P] of the smaller box that lies within the other."""
    shared = boxes.intersection(torch.from_numpy(a.boxes_xyxy)[:, None], torch.from_numpy(b.boxes_xyxy)[None]).numpy()
    return shared / np.maximum(np.minimum(areas(a)[:, None], areas(b)[None]), 1.0)


def pairwise_oks(a: Poses2D, b: Poses2D) -> tuple[np.ndarray, np.ndarray]:
    """Object keypoint similarity [M,P] of every pose in a with every pose in b, and the weight of evidence [M,P].

    The mean of exp(-d^2 / (2 area (2 sigma)^2)), as COCO defines it, over the joints weighted by the lower of both
    scores; area is the mean of both boxes. The weight is the sum of those scores: near zero, nothing is known. Joints
    without sigmas are all taken for USUAL_SIGMA.
    """
    sigmas = a.skeleton.sigmas or (USUAL_SIGMA,) * a.skeleton.num_joints
    spread = (2 * np.asarray(sigmas, np.float32)) ** 2
    area = (areas(a)[:, None] + areas(b)[None]) / 2
    squared = ((a.keypoints[:, None] - b.keypoints[None]) ** 2).sum(-1)  # [M,P,K]
    closeness = np.exp(-squared / (2 * spread * np.maximum(area, 1.0)[..., None]))
    weights = np.minimum(a.scores[:, None], b.scores[None])
    total = weights.sum(-1)
    return (closeness * weights).sum(-1) / np.maximum(total, 1e-6), total


def similarity(a: Poses2D, b: Poses2D) -> np.ndarray:
    """Mean of OKS and IoU [M,P] in 0..1; IoU alone where no joint is visible in both."""
    overlap = pairwise_iou(a.boxes_xyxy, b.boxes_xyxy)
    oks, evidence = pairwise_oks(a, b)
    return np.where(evidence > 0.5, (oks + overlap) / 2, overlap)


def suppress_duplicates(
    poses: Poses2D, max_oks: float = 0.75, max_iou: float = 0.85, max_oks_inside: float = 0.4
) -> np.ndarray:
    """Indices [P'] of the poses to keep, rising: of two that agree this far, the one with the higher box score.

    max_oks_inside: limit where a small box lies within a large one, as a head's does in its person's.
    """
    oks, evidence = pairwise_oks(poses, poses)
    iou, ratio = pairwise_iou(poses.boxes_xyxy, poses.boxes_xyxy), areas(poses)[:, None] / np.maximum(areas(poses), 1.0)
    inside = (contained(poses, poses) > 0.8) & (np.minimum(ratio, 1 / np.maximum(ratio, 1e-6)) < 0.5)
    same = (iou > max_iou) | ((oks > np.where(inside, max_oks_inside, max_oks)) & (evidence > 2.0))
    kept: list[int] = []
    for index in np.argsort(-poses.box_scores, kind="stable"):
        if not same[index, kept].any():
            kept.append(int(index))
    return np.array(sorted(kept), np.int64)


def laid_at_origin(poses: Poses2D) -> Poses2D:
    """The poses moved and scaled so that every box is centred at the origin and covers 100 x 100 pixels."""
    scale = (100.0 / np.maximum(np.sqrt(areas(poses)), 1.0))[:, None]
    center = centers(poses)
    return Poses2D(
        (poses.keypoints - center[:, None]) * scale[..., None],
        poses.scores,
        poses.sigma * scale[..., None],
        (poses.boxes_xyxy - np.tile(center, 2)) * scale,
        poses.box_scores,
        poses.skeleton,
    )


def areas(poses: Poses2D) -> np.ndarray:
    """Area of each box [P] px."""
    return boxes.area(torch.from_numpy(poses.boxes_xyxy)).numpy()


def centers(poses: Poses2D) -> np.ndarray:
    """Centre of each box [P,2] px."""
    return (poses.boxes_xyxy[:, :2] + poses.boxes_xyxy[:, 2:]) / 2
