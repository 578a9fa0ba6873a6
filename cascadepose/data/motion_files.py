"""Motion of people's own as sequences of Human3.6M joints at one rate: npz, BVH, C3D, MotionBERT's AMASS."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cascadepose.data.bvh import read_bvh
from cascadepose.data.c3d import read_c3d
from cascadepose.data.joint_names import h36m_joints
from cascadepose.data.layouts import expects
from cascadepose.data.motion import load_motion
from cascadepose.data.pickles import read_pickle
from cascadepose.errors import InputError
from cascadepose.smoothing import fill_gaps, resample

__all__ = ["read_amass_joints", "read_motion"]

AMASS_RATE = 60.0


def read_motion(
    path: str | Path, rate: float = 60.0, unit: float | None = None, up: str | None = None
) -> dict[str, np.ndarray]:
    """Sequences [T, 17, 3] float32 (H36M17 order, metres, y up) by name.

    path  an npz (see `load_motion`; its arrays are taken to be at `rate` already), a .bvh or .c3d file, a folder of
          them, or MotionBERT's amass_joints_h36m_60.pkl (see `read_amass_joints`)
    rate  Hz that motion of another rate is brought to
    unit  metres of a BVH file's unit (default: by the size of the legs); up: "y" or "z" (default: y in BVH, z in C3D)
    Raises InputError for files that cannot be read, folders without any, and files without the joints.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in (".bvh", ".c3d"))
        if not files:
            raise InputError(f"{path}: holds no .bvh or .c3d files; give a folder of them, one of them or an npz")
        return {file.stem: _named(file, rate, unit, up) for file in files}
    if path.suffix.lower() in (".bvh", ".c3d"):
        return {path.stem: _named(path, rate, unit, up)}
    if path.suffix.lower() in (".pkl", ".pickle"):
        return {name: _at_rate(joints, AMASS_RATE, rate) for name, joints in read_amass_joints(path).items()}
    return load_motion(path)


@expects("MotionBERT's amass_joints_h36m_60.pkl")
def read_amass_joints(path: str | Path) -> dict[str, np.ndarray]:
    """AMASS after MotionBERT's regression: a pickled list of [17, T, 3] metres, z up, 60 Hz -> [T, 17, 3], y up.

    Read without running anything that the file may carry. Raises InputError for another layout.
    """
    content = read_pickle(path)
    sequences = {}
    for number, joints in enumerate(content if isinstance(content, list | np.ndarray) else ()):
        joints = np.asarray(joints, np.float32)
        if joints.ndim != 3 or joints.shape[::2] != (17, 3) or not np.isfinite(joints).all():
            raise InputError(f"{path}: sequence {number} has shape {joints.shape} or NaN; expected [17,T,3] metres")
        if joints.shape[1]:
            x, y, z = np.moveaxis(joints, -1, 0)
            sequences[f"{Path(path).stem}_{number:05d}"] = np.stack([x, z, -y], -1).swapaxes(0, 1).copy()
    if not sequences:
        raise InputError(f"{path}: is no list of sequences; expected MotionBERT's amass_joints_h36m_60.pkl")
    return sequences


def _named(path: Path, rate: float, unit: float | None, up: str | None) -> np.ndarray:
    if path.suffix.lower() == ".bvh":
        bvh = read_bvh(path)
        return _at_rate(h36m_joints(bvh.names, bvh.positions, unit, up or "y", str(path)), bvh.rate, rate)
    c3d = read_c3d(path)
    joints = h36m_joints(c3d.labels, c3d.points, c3d.unit, up or "z", str(path))
    seen = np.isfinite(joints).all(2)
    if not seen.any(0).all():
        raise InputError(f"{path}: a joint is seen in no frame; fill it in where the file was made")
    return _at_rate(fill_gaps(joints, seen), c3d.rate, rate)


def _at_rate(joints: np.ndarray, old: float, new: float) -> np.ndarray:
    if abs(old / new - 1) < 1e-3 or len(joints) == 1:
        return joints
    times = np.arange(len(joints)) / old
    return resample(joints, times, np.arange(int(times[-1] * new + 1e-2) + 1) / new)
