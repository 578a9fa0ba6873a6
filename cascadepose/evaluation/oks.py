"""Object keypoint similarity (COCO), pairwise and batched, and the suppression of doubles with it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cascadepose.errors import InputError
from cascadepose.skeletons import COCO17, Skeleton


def oks(
    keypoints: np.ndarray,
    reference: np.ndarray,
    visible: np.ndarray | None = None,
    area: np.ndarray | float = 1.0,
    sigmas: Sequence[float] = COCO17.sigmas,
) -> np.ndarray:
    """Similarity in 0..1 of every pose to every reference pose: [..., P, G].

    keypoints [..., P, K, 2] and reference [..., G, K, 2] in one unit; area [..., G], or [..., P, G] where it depends on
    the pair, in that unit squared; visible [..., G, K] marks the labelled joints (None: all), only these count, and a
    reference without any has similarity 0.

    The mean over joints of exp(-d^2 / (2 area (2 sigma)^2)), as the COCO keypoint challenge defines it.
    """
    keypoints, reference = np.asarray(keypoints, np.float64), np.asarray(reference, np.float64)
    area = np.asarray(area, np.float64)
    if area.ndim < reference.ndim - 1:  # [..., G], the same for every pose
        area = area[..., None, :] if area.ndim else area[None, None]
    distance = ((keypoints[..., :, None, :, :] - reference[..., None, :, :, :]) ** 2).sum(-1)
    similarity = joint_similarity(distance, area, sigmas)
    if visible is None:
        return similarity.mean(-1)
    counts = np.asarray(visible, bool)[..., None, :, :]
    return (similarity * counts).sum(-1) / np.maximum(counts.sum(-1), 1)


def joint_similarity(
    squared_distance: np.ndarray, area: np.ndarray, sigmas: Sequence[float] = COCO17.sigmas
) -> np.ndarray:
    """What OKS is the mean of, [..., K], of squared distances [..., K] and areas [...] in one unit."""
    tolerance = (2 * np.asarray(sigmas, np.float64)) ** 2
    return np.exp(-squared_distance / (2 * tolerance * (np.asarray(area)[..., None] + np.spacing(1))))


def expected_oks(
    scores: np.ndarray, spread: np.ndarray, areas: np.ndarray, sigmas: Sequence[float] = COCO17.sigmas
) -> np.ndarray:
    """The OKS in 0..1 that poses themselves promise: [P].

    scores [P,K]: probability of each joint; spread [P,K,2] px: one standard deviation of its error in x and in y; areas
    [P] px^2 of the people. The mean of exp(-d^2 / (2 area (2 sigma)^2)) over a Gaussian d, times the score, over the
    joints, each as heavy as its score: joints that are not there are not annotated either.
    """
    tolerance = np.asarray(areas, np.float64)[:, None] * (2 * np.asarray(sigmas, np.float64)) ** 2
    similarity = (1 + np.asarray(spread, np.float64) ** 2 / (tolerance + np.spacing(1))[..., None]).prod(-1) ** -0.5
    return (similarity * scores**2).sum(-1) / np.maximum(scores.sum(-1), np.spacing(1))


def needed_sigmas(skeleton: Skeleton) -> np.ndarray:
    """The sigmas [K] of a skeleton. Raises InputError where it has none."""
    if skeleton.sigmas is None:
        raise InputError(
            f"{skeleton.name}: has no sigmas, so that OKS is not defined; declare it with some (docs/custom_data.md)"
        )
    return np.array(skeleton.sigmas)


def oks_nms(
    keypoints: np.ndarray,
    scores: np.ndarray,
    areas: np.ndarray,
    threshold: float = 0.9,
    sigmas: Sequence[float] = COCO17.sigmas,
) -> np.ndarray:
    """Indices of the people to keep, best first: no kept one is more similar than `threshold` to a better one.

    keypoints [P,K,2] px, scores [P], areas [P] px^2. The area of a pair is the mean of the two, as in the evaluation of
    HRNet and PRTR (there the area of the enlarged crop, with threshold 0.9).
    """
    order = np.argsort(-np.asarray(scores), kind="stable")
    if not len(order):
        return order
    points, areas = np.asarray(keypoints)[order], np.asarray(areas, np.float64)[order]
    doubles = oks(points, points, area=(areas[:, None] + areas) / 2, sigmas=sigmas) > threshold
    keep = np.ones(len(order), bool)
    for row in range(len(order)):
        if keep[row]:
            keep[row + 1 :] &= ~doubles[row, row + 1 :]
    return order[keep]
