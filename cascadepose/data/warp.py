"""One affine warp from image to crop, the same geometry as `models.crop` takes its samples in."""

import numpy as np


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
