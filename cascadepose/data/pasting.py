"""Other people laid over a person's crop: their bodies, cut out along the limbs that are annotated.

Few pictures show few people behind others. Bin et al. ("Adversarial Semantic Data Augmentation for Human Pose
Estimation", ECCV 2020) paste segmented body parts; here the joints do, where nothing is segmented.
"""

from collections.abc import Sequence

import numpy as np

from cascadepose.data.coco import CocoImage
from cascadepose.data.warp import crop_matrix, to_crop, warp
from cascadepose.skeletons import COCO17, Skeleton

MIN_JOINTS = 9  # of a person who is cut out
THICKNESS = 0.4  # of a limb, over the median length of the limbs
TORSO = ("left_shoulder", "right_shoulder", "right_hip", "left_hip")


def donors(people: Sequence[tuple[CocoImage, int]]) -> np.ndarray:
    """Indices of the people [P] with joints enough to be cut out by."""
    count = np.array([(image.keypoints[person, :, 2] > 0).sum() for image, person in people])
    return np.flatnonzero(count >= MIN_JOINTS)


def paste(
    crop: np.ndarray, image: np.ndarray, joints: np.ndarray, rng: np.random.Generator, skeleton: Skeleton = COCO17
) -> np.ndarray:
    """A crop uint8 [h, w, 3] with a person of another image [H, W, 3] laid over it, whose joints are [K, 3] there."""
    size = crop.shape[:2]
    matrix = place_beside(joints, size, rng)
    other = warp(image, matrix, size).astype(np.float32)
    moved = np.concatenate([to_crop(joints[:, :2], matrix), joints[:, 2:]], axis=1)
    mask = silhouette(moved, size, skeleton)[..., None] / np.float32(255)
    return (crop + mask * (other - crop)).round().astype(np.uint8)


def silhouette(joints: np.ndarray, size: tuple[int, int], skeleton: Skeleton = COCO17) -> np.ndarray:
    """Mask uint8 [h, w], 0 to 255 with soft edges, of the torso and the limbs between joints [K, 3] (x, y in pixels,
    v > 0); size: (height, width). Limbs with an end that is not annotated are left out.
    """
    import cv2

    mask = np.zeros(size, np.uint8)
    limbs = [edge for edge in skeleton.edges if (joints[list(edge), 2] > 0).all()]
    if not limbs:
        return mask
    ends = joints[np.array(limbs), :2]
    width = int(np.clip(THICKNESS * np.median(np.linalg.norm(ends[:, 0] - ends[:, 1], axis=-1)), 1, max(size)))
    for start, end in ends.round().astype(int).tolist():
        cv2.line(mask, start, end, 255, width)
    torso = [skeleton.index(name) for name in TORSO if name in skeleton.names]
    corners = joints[torso][joints[torso, 2] > 0, :2]
    if len(corners) >= 3:
        cv2.fillConvexPoly(mask, cv2.convexHull(corners.round().astype(np.int32)), 255)
    return cv2.GaussianBlur(mask, (5, 5), 0)


def place_beside(joints: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Affine [2, 3] from a crop of `size` (height, width) to the image of another person with joints [K, 3].

    That person is 0.3 to 0.8 of the crop long, turned a little, perhaps mirrored, and has their middle where that of
    the crop's person is not: 0.3 to 0.6 of the crop beside its middle.
    """
    points = joints[joints[:, 2] > 0, :2]
    low, high = points.min(0), points.max(0)
    scale = (high - low).max() / (rng.uniform(0.3, 0.8) * size[0])
    matrix = crop_matrix(
        (low + high) / 2, scale * np.array([size[1], size[0]]), size, float(rng.normal(0, 20)), rng.random() < 0.5
    )
    around, away = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 0.6)
    matrix[:, 2] -= matrix[:, :2] @ (away * np.array([np.cos(around) * size[1], np.sin(around) * size[0]]))
    return matrix
