"""Motion of people's own: npz or BVH files, as sequences of Human3.6M joints at one rate."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cascadepose.data.bvh import h36m_joints, read_bvh
from cascadepose.data.motion import load_motion
from cascadepose.errors import InputError
from cascadepose.smoothing import resample

__all__ = ["read_motion"]


def read_motion(
    path: str | Path, rate: float = 60.0, unit: float | None = None, up: str = "y"
) -> dict[str, np.ndarray]:
    """Sequences [T, 17, 3] float32 (H36M17 order, metres, y up) by name.

    path  an npz (see `load_motion`; its arrays are taken to be at `rate` already), a .bvh file or a folder of them
    rate  Hz that BVH motion is brought to; unit, up: see `h36m_joints`
    Raises InputError for files that cannot be read and folders without any.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() == ".bvh")
        if not files:
            raise InputError(f"{path}: holds no .bvh files; give a folder of them, a .bvh or an npz")
        return {file.stem: _bvh(file, rate, unit, up) for file in files}
    if path.suffix.lower() == ".bvh":
        return {path.stem: _bvh(path, rate, unit, up)}
    return load_motion(path)


def _bvh(path: Path, rate: float, unit: float | None, up: str) -> np.ndarray:
    bvh = read_bvh(path)
    joints = h36m_joints(bvh, unit, up, str(path))
    if abs(bvh.rate / rate - 1) < 1e-3 or len(joints) == 1:
        return joints
    times = np.arange(len(joints)) / bvh.rate
    return resample(joints, times, np.arange(int(times[-1] * rate + 1e-2) + 1) / rate)
