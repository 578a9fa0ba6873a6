"""Errors of 3D poses. Joints in, millimetres out: pred and target [..., J, 3] in metres, one error [...] per frame.

Averaging over frames, sequences or actions is the caller's, who names it: see `protocol` in `evaluation/lifter.py`.
"""

import numpy as np

MILLIMETRES = 1000.0


def mpjpe(pred: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Mean distance over the joints of each frame (protocol 1 when both are root-relative)."""
    return MILLIMETRES * np.linalg.norm(pred - target, axis=-1).mean(-1)


def n_mpjpe(pred: np.ndarray, target: np.ndarray) -> np.ndarray:
    """MPJPE after the best scale about the origin, frame by frame (protocol 3)."""
    scale = (target * pred).sum((-2, -1), keepdims=True) / np.maximum((pred * pred).sum((-2, -1), keepdims=True), 1e-12)
    return mpjpe(scale * pred, target)


def p_mpjpe(pred: np.ndarray, target: np.ndarray) -> np.ndarray:
    """MPJPE after the best similarity transform of each frame (protocol 2)."""
    return mpjpe(procrustes(pred, target), target)


def procrustes(pred: np.ndarray, target: np.ndarray) -> np.ndarray:
    """pred [..., J, 3] moved, rotated and scaled onto target, frame by frame; never mirrored."""
    mean_pred, mean_target = pred.mean(-2, keepdims=True), target.mean(-2, keepdims=True)
    x, y = pred - mean_pred, target - mean_target
    u, s, vt = np.linalg.svd(np.swapaxes(x, -1, -2) @ y)
    sign = np.where(np.linalg.det(u @ vt) < 0, -1.0, 1.0)
    s[..., -1] *= sign
    u[..., -1] *= sign[..., None]
    scale = s.sum(-1)[..., None, None] / np.maximum((x * x).sum((-2, -1)), 1e-12)[..., None, None]
    return scale * (x @ (u @ vt)) + mean_target


def mpjve(pred: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Mean error of the frame-to-frame displacement, mm a frame: sequences [..., T, J, 3] -> [..., T - 1]."""
    return MILLIMETRES * np.linalg.norm(np.diff(pred - target, axis=-3), axis=-1).mean(-1)
