"""Human3.6M as MotionBERT passes it around: one pickle of frames, detected 2D joints and truth in image space.

The truth is "2.5D": x and y in pixels, depth in pixels too, and a factor that makes millimetres of all three. Models
trained on it answer in image units; see `answers` in `evaluation/recordings.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from cascadepose.data.h36m import FRAME_RATE
from cascadepose.data.h36m_cameras import INTRINSICS
from cascadepose.data.layouts import expects
from cascadepose.data.pickles import read_pickle
from cascadepose.data.recordings import Recording
from cascadepose.errors import InputError

__all__ = ["read_h36m_image", "read_h36m_image_arrays"]

DAMAGED = ("s_09_act_05_subact_02", "s_09_act_10_subact_02", "s_09_act_13_subact_01")  # their truth has drifted
SHAPES = {  # N frames of all videos, one after the other
    "joint_2d": (17, 2),
    "joint3d_image": (17, 3),
    "confidence": (17,),
    "joints_2.5d_image": (17, 3),
    "2.5d_factor": (),
    "camera_name": (),
    "source": (),
    "action": (),
}
NEEDED = ("joint_2d", "joint3d_image", "camera_name", "source")
LAYOUT = "expected MotionBERT's h36m pickle, {'train': {...}, 'test': {...}}"


@expects("MotionBERT's h36m pickle")
def read_h36m_image(path: str | Path, split: str = "test") -> list[Recording]:
    """The videos of a split that has metric truth (`joints_2.5d_image`, mm), here in metres with any origin.

    Raises InputError for files of another layout, and for a split that has no metric truth (the training split of the
    published file: take `read_h36m_image_arrays`).
    """
    arrays = read_h36m_image_arrays(path, split)
    if missing := [name for name in ("joints_2.5d_image", "2.5d_factor", "action") if name not in arrays]:
        raise InputError(f"{path}: its {split!r} has no {', '.join(missing)}, so no truth in millimetres; use 'test'")
    source = arrays["source"]
    starts = np.flatnonzero(np.append(True, source[1:] != source[:-1]))
    bounds = zip(starts, np.append(starts[1:], len(source)), strict=True)
    return [_record(arrays, slice(int(start), int(end))) for start, end in bounds]


@expects("MotionBERT's h36m pickle")
def read_h36m_image_arrays(path: str | Path, split: str) -> dict[str, np.ndarray]:
    """The arrays of a split by the names of the file (see SHAPES), [N, ...] float32 or text; `confidence` is 1 where it
    is not given. `joint_2d` and `joint3d_image` are pixels of images of 1000 x 1000 or 1002.

    Raises InputError for a file of another layout.
    """
    content = read_pickle(path)
    part = content.get(split) if isinstance(content, dict) else None
    if not isinstance(part, dict) or any(name not in part for name in NEEDED):
        raise InputError(f"{path}: has no {split!r} with {', '.join(NEEDED)}; {LAYOUT}")
    arrays = {name: _array(part[name], name) for name in SHAPES if name in part}
    count = len(arrays["source"])
    arrays.setdefault("confidence", np.ones((count, 17), np.float32))
    for name, array in arrays.items():
        if array.shape != (count, *SHAPES[name]):
            raise InputError(f"{path}: {split} {name} has shape {array.shape}, expected {(count, *SHAPES[name])}")
    if count == 0 or (unknown := set(arrays["camera_name"]) - INTRINSICS.keys()):
        raise InputError(f"{path}: {split} has {count} frames of cameras {sorted(unknown) if count else ''}; {LAYOUT}")
    return arrays


def _array(values: Any, name: str) -> np.ndarray:
    if name in ("camera_name", "source", "action"):
        return np.asarray(values).astype(str)
    values = np.asarray(values, np.float32)
    if name == "joint_2d":
        return values[..., :2]
    return values[..., 0] if name == "confidence" and values.ndim == 3 else values


def _record(arrays: dict[str, np.ndarray], frames: slice) -> Recording:
    source, camera, action = (str(arrays[name][frames.start]) for name in ("source", "camera_name", "action"))
    return Recording(
        name=source,
        subject=f"S{int(source[2:4])}" if source[:2] == "s_" and source[2:4].isdigit() else source,
        action=action,
        camera=camera,
        keypoints=arrays["joint_2d"][frames],
        scores=arrays["confidence"][frames],
        joints=arrays["joints_2.5d_image"][frames] / 1000,
        image_size=INTRINSICS[camera][-1],
        frame_rate=FRAME_RATE,
        pixel_scale=arrays["2.5d_factor"][frames] / 1000,
        damaged=source.startswith(DAMAGED),
    )
