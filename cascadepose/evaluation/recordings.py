"""Lifters on benchmark recordings, run as the published codes run them, with the choices named that change numbers.

`lift_sequences` answers for a video as well as it can: windows overlap and are blended. Published numbers come from
plainer runs: a lifter that answers for one frame of a window gets a window for every frame, its ends repeated; one that
answers for all gets windows that do not overlap, and what is left at the end of a video is not evaluated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from cascadepose.data.recordings import Recording
from cascadepose.errors import InputError
from cascadepose.geometry import flip_horizontal
from cascadepose.models.lifters.units import adult_size
from cascadepose.models.lifters.window import RATE_TOLERANCE, output_frame
from cascadepose.models.refine import on_rays
from cascadepose.normalization import declared_input, lifter_input
from cascadepose.skeletons import SKELETONS, Skeleton
from cascadepose.smoothing import resample

__all__ = ["Running", "describe_running", "lift_recording"]

ROOTS = {
    "subtracted": "of the prediction moved to the origin",
    "zeroed": "of the prediction set to the origin, other joints as predicted (Strided Transformer, MotionBERT)",
    "kept": "of the prediction where the network put it (VideoPose3D, PoseFormer)",
}
UNITS = {
    "metres": "metres",
    "image": "image units of input over the whole image, made metric by the TRUE scale of each frame",
    "adult": "image units, scaled to an adult of ordinary size: only P-MPJPE and N-MPJPE are comparable",
}


@dataclass(frozen=True)
class Running:
    """How a lifter is run.

    flip_test  average with the prediction for the mirrored input
    root       what is done with the predicted root, see ROOTS; the truth is root-relative in any case
    answers    unit of the lifter (default: as it declares): "metres", or "image" for models such as MotionBERT's, whose
               unit is half an image width; the recording's `pixel_scale`, which is ground truth, makes that metric
    joints     name of the skeleton that the lifter was trained with, where it is not the one that it declares
    """

    flip_test: bool = True
    root: str = "subtracted"
    answers: str | None = None
    joints: str | None = None
    batch_size: int = 64

    def __post_init__(self) -> None:
        for name, known in (("root", tuple(ROOTS)), ("answers", (None, *UNITS)), ("joints", (None, *SKELETONS))):
            if getattr(self, name) not in known:
                choice = ", ".join(str(value) for value in known if value is not None)
                raise InputError(f"{name} is {getattr(self, name)!r}, expected one of {choice}")


@torch.no_grad()
def lift_recording(
    lifter: nn.Module, recording: Recording, running: Running | None = None, refine: nn.Module | None = None
) -> np.ndarray:
    """Joints [T, J, 3] metres in the recording's skeleton, NaN in frames that are not answered.

    refine: a refine module (models/refine.py), which reads the TRUE root depth and the intrinsics of the recording.

    Raises InputError where the recording's joints cannot be converted to the lifter's or back, and where refinement
    needs intrinsics that the recording does not have.
    """
    running = running or Running()
    skeleton, unit = SKELETONS[running.joints or lifter.skeleton], _unit(lifter, recording, running)
    times, keypoints, scores = _at_rate(lifter, recording)
    joints = _run(lifter, recording, keypoints, scores, running)
    if times is not None:
        joints = resample(joints, times, np.arange(len(recording)) / recording.frame_rate)
    joints = _in_metres(_place_root(joints, skeleton, running.root), recording, unit)
    if refine is not None:
        joints = _place_root(_refined(refine, joints, recording, skeleton), skeleton, running.root)
    return skeleton.convert(joints, to=recording.skeleton)[0].astype(np.float32)


def describe_running(
    lifter: nn.Module, recordings: Sequence[Recording], running: Running, refine: bool
) -> dict[str, Any]:
    """The part of a protocol that says how the lifter was run."""
    rates = sorted({recording.frame_rate for recording in recordings if recording.frame_rate is not None})
    units = dict.fromkeys(_unit(lifter, recording, running) for recording in recordings)
    norms = dict.fromkeys(_input(lifter, recording, running)["normalization"] for recording in recordings)
    every = lifter.frames_out == "all"
    return {
        "frames": lifter.num_frames,
        "windows": "side by side, the rest of a video left out" if every else "one a frame, end frames repeated",
        "video_rate_hz": rates[0] if len(rates) == 1 else rates,
        "lifter_rate_hz": lifter.frame_rate,
        "normalization": ", ".join(norms),
        "flip_test": running.flip_test,
        "root": ROOTS[running.root],
        "answers": "; ".join(UNITS[unit] for unit in units),
        "refine": "with the TRUE root depth and intrinsics" if refine else "none",
    }


def _unit(lifter: nn.Module, recording: Recording, running: Running) -> str:
    """Which of UNITS."""
    unit = running.answers or getattr(lifter, "unit", "metres")
    return "adult" if unit == "image" and recording.pixel_scale is None else unit


def _input(lifter: nn.Module, recording: Recording, running: Running) -> dict[str, Any]:
    """The last arguments of `lifter_input`. Image units have the true scale only where the input is the whole image."""
    given = declared_input(lifter) | {"input_skeleton": recording.keypoint_skeleton.name}
    if running.joints is not None:
        given["skeleton"] = running.joints
    if _unit(lifter, recording, running) == "image":
        given["normalization"] = "screen"
    return given


def _in_metres(joints: np.ndarray, recording: Recording, unit: str) -> np.ndarray:
    if unit == "image":
        return joints * (recording.image_size[0] / 2 * recording.pixel_scale)[:, None, None]
    if unit == "adult":
        answered = ~np.isnan(joints).any((1, 2))
        joints = joints.copy()
        joints[answered] = adult_size(torch.from_numpy(joints[answered])[None])[0].numpy()
    return joints


def _at_rate(lifter: nn.Module, recording: Recording) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """Times [T'] (None: the recording's own), keypoints and scores at the rate that the lifter was trained for."""
    rate, own = lifter.frame_rate, recording.frame_rate
    if rate is None or own is None or abs(rate / own - 1) < RATE_TOLERANCE:
        return None, recording.keypoints, recording.scores
    old = np.arange(len(recording)) / own
    times = np.arange(int(np.ceil(old[-1] * rate - 1e-6)) + 1) / rate
    return times, resample(recording.keypoints, old, times), resample(recording.scores, old, times)


def _windows(count: int, lifter: nn.Module) -> tuple[np.ndarray, np.ndarray]:
    """Frames [N, W] to feed and frames [N, F] that the outputs stand for, after the context of a causal one."""
    size, context = lifter.num_frames, getattr(lifter, "context", 0)
    if lifter.frames_out == "center":
        index = np.arange(count)[:, None] - output_frame(lifter) + np.arange(size)
        return index.clip(0, count - 1), np.arange(count)[:, None]
    if context:
        last = max(count - (size - context), 0)
        starts = np.unique(np.append(np.arange(0, last, size - context), last)) - context
        index = (starts[:, None] + np.arange(size)).clip(0, count - 1)
        return index, index[:, context:]
    if count < size:  # a short video is stretched, as MotionBERT does
        index = np.linspace(0, count, size, endpoint=False).astype(int)[None]
    else:
        index = np.arange(0, count - size + 1, size)[:, None] + np.arange(size)
    return index, index


def _run(
    lifter: nn.Module, recording: Recording, keypoints: np.ndarray, scores: np.ndarray, running: Running
) -> np.ndarray:
    """Joints [T', J, 3] in the lifter's unit; answers for the same frame are averaged."""
    index, frames = _windows(len(keypoints), lifter)
    settings = _input(lifter, recording, running)
    flips = [SKELETONS[name].flip_index for name in (settings["skeleton"], running.joints or lifter.skeleton)]
    device, training = next(lifter.parameters()).device, lifter.training
    total, counts = np.zeros((len(keypoints), len(flips[1]), 3)), np.zeros(len(keypoints))
    lifter.eval()
    for start in range(0, len(index), running.batch_size):
        rows = slice(start, start + running.batch_size)
        x = lifter_input(keypoints[index[rows]], scores[index[rows]], recording.image_size, **settings)
        x = torch.from_numpy(np.asarray(x, np.float32)).to(device)
        joints = lifter(x)
        if running.flip_test:
            joints = (joints + flip_horizontal(lifter(flip_horizontal(x, flips[0])), flips[1])) / 2
        np.add.at(total, frames[rows], joints[:, -frames.shape[1] :].float().cpu().numpy())
        np.add.at(counts, frames[rows], 1)
    lifter.train(training)
    return total / np.where(counts, counts, np.nan)[:, None, None]


def _place_root(joints: np.ndarray, skeleton: Skeleton, root: str) -> np.ndarray:
    index = skeleton.parents.index(-1)
    if root == "subtracted":
        return joints - joints[:, index : index + 1]
    if root == "zeroed":
        joints = joints.copy()
        joints[:, index] = 0
    return joints


def _refined(refine: nn.Module, joints: np.ndarray, recording: Recording, skeleton: Skeleton) -> np.ndarray:
    if recording.intrinsics is None or skeleton.parents[0] != -1:
        raise InputError(
            f"{recording.name}: refinement needs the camera's intrinsics and joints that begin at the root"
        )
    keypoints = recording.keypoint_skeleton.convert(recording.keypoints, to=skeleton)[0]
    truth = recording.skeleton.convert(recording.joints, to=skeleton)[0]
    device = next(refine.parameters()).device
    arrays = (joints[:, None], keypoints[:, None], truth[:, None, :1], recording.intrinsics[None])
    pred, keypoints, root, intrinsics = (torch.from_numpy(np.float32(array)).to(device) for array in arrays)
    rays = on_rays(keypoints, pred, root, intrinsics.expand(len(pred), -1))
    return refine(pred, rays)[:, 0].cpu().numpy()
