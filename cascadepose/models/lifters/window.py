"""Running a lifter over sequences of any length: resampling, overlapped windows, blending.

    joints = lift_sequence(lifter, keypoints, scores, image_size, timestamps)   # [T, 17, 3] metres, root-relative

Any lifter will do that declares `num_frames`, `frames_out`, `causal`, `in_channels`, `input_skeleton`, `skeleton`,
`normalization` and `frame_rate`; `seen_skeleton`, `style` and `unit` where they are not the usual ones. The answers of
a causal lifter depend on no later frame, see models/lifters/causal.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from cascadepose.errors import InputError
from cascadepose.models.lifters.causal import Layout, causal_windows, grid_places
from cascadepose.models.lifters.feeding import answers, inputs
from cascadepose.normalization import presented_skeleton
from cascadepose.skeletons import SKELETONS, Skeleton
from cascadepose.smoothing import fill_gaps, resample

RATE_TOLERANCE = 0.1  # frame intervals this close to the lifter's own are taken as they are


@dataclass(frozen=True)
class Sequence2D:
    """One person over time, as `lift_sequences` takes it.

    keypoints   [T, K, 2] pixels of the original frame
    scores      [T, K] in 0..1
    image_size  (width, height)
    timestamps  [T] ascending seconds; None: the frames are taken to be at the lifter's rate
    observed    [T] bool; frames that are not observed are interpolated, or held for a causal lifter, and get score 0
    skeleton    of the keypoints; None: the lifter's input skeleton (COCO-17)
    """

    keypoints: np.ndarray
    scores: np.ndarray
    image_size: tuple[int, int]
    timestamps: np.ndarray | None = None
    observed: np.ndarray | None = None
    skeleton: Skeleton | None = None


def lift_sequence(
    lifter: nn.Module,
    keypoints: np.ndarray,
    scores: np.ndarray,
    image_size: tuple[int, int],
    timestamps: np.ndarray | None = None,
    observed: np.ndarray | None = None,
    batch_size: int = 16,
    flip_test: bool = True,
) -> np.ndarray:
    """Lift one person of any number of frames (see Sequence2D): float32 [T, J, 3] metres, root-relative, camera axes.

    Answers of a lifter whose unit is not metres are scaled to an adult of ordinary size, window by window.

    flip_test  average with the prediction for the mirrored input
    Raises InputError for shapes that do not agree, non-finite keypoints or scores, no frames, times that do not ascend,
    joints that cannot be made those of the lifter.
    """
    sequence = Sequence2D(keypoints, scores, image_size, timestamps, observed)
    return lift_sequences(lifter, [sequence], batch_size, flip_test)[0]


@torch.no_grad()
def lift_sequences(
    lifter: nn.Module, sequences: list[Sequence2D], batch_size: int = 16, flip_test: bool = True
) -> list[np.ndarray]:
    """Like `lift_sequence` for several people; their windows share batches. Returns one array [T, J, 3] a sequence."""
    prepare = _prepare_causal if lifter.causal else _prepare
    clips = [prepare(lifter, _checked(lifter, sequence)) for sequence in sequences]
    if not clips:
        return []
    clips = _of_one_width(clips)
    joints = _run(lifter, clips, batch_size, flip_test)
    parts = np.split(joints, np.cumsum([len(clip.index) for clip in clips])[:-1])
    return [_assemble(clip, part) for clip, part in zip(clips, parts, strict=True)]


@dataclass(frozen=True)
class _Clip:
    """A sequence cut into windows: their frames, the frame that every output stands for and how much it counts."""

    keypoints: np.ndarray  # [T', K, 2] px
    scores: np.ndarray  # [T', K]
    skeleton: str  # of the keypoints
    image_size: tuple[int, int]
    index: np.ndarray  # [N, W] frames to feed
    frames: np.ndarray  # [N, F] indices into times, -1 where the output is padding
    weights: np.ndarray  # [F]
    times: np.ndarray  # [T'] of the frames that the lifter sees
    wanted: np.ndarray  # [T] times to answer at
    positions: np.ndarray | None = None  # [N, F] places of the outputs in windows of a causal lifter, see causal.py


def _checked(lifter: nn.Module, sequence: Sequence2D) -> Sequence2D:
    keypoints, scores = np.asarray(sequence.keypoints, np.float32), np.asarray(sequence.scores, np.float32)
    skeleton = sequence.skeleton or SKELETONS[lifter.input_skeleton]
    count = skeleton.num_joints
    if keypoints.ndim != 3 or keypoints.shape[1:] != (count, 2) or scores.shape != keypoints.shape[:2]:
        raise InputError(
            f"keypoints {keypoints.shape} and scores {scores.shape} do not fit: give [T,{count},2] and [T,{count}]"
        )
    if len(keypoints) == 0:
        raise InputError("no frames to lift; give at least one")
    observed = np.ones(len(keypoints), bool) if sequence.observed is None else np.asarray(sequence.observed, bool)
    if not observed.any():
        raise InputError("no frame is observed; nothing to lift")
    if not (np.isfinite(keypoints[observed]).all() and np.isfinite(scores[observed]).all()):
        raise InputError("keypoints or scores hold NaN or infinity; mark such frames as not observed, or repair them")
    times = sequence.timestamps
    if times is not None:
        times = np.asarray(times, np.float64)
        if times.shape != (len(keypoints),) or not (np.diff(times) > 0).all():
            raise InputError(f"timestamps must be {len(keypoints)} ascending seconds, one a frame")
    if not observed.all():
        keypoints = fill_gaps(keypoints, observed, times, hold=lifter.causal)
        scores = np.where(observed[:, None], scores, 0).astype(np.float32)
    presented = presented_skeleton(lifter, skeleton)
    if presented != skeleton:
        keypoints, scores, _ = skeleton.convert(keypoints, scores, to=presented)
    return Sequence2D(keypoints, scores, sequence.image_size, times, observed, presented)


def _prepare(lifter: nn.Module, sequence: Sequence2D) -> _Clip:
    keypoints, scores, wanted = sequence.keypoints, sequence.scores, _wanted(lifter, sequence)
    times = _lifter_times(wanted, lifter.frame_rate)
    if times is not wanted:
        keypoints, scores = resample(keypoints, wanted, times), resample(scores, wanted, times)
    index, frames, weights = _windows(len(times), lifter)
    return _Clip(keypoints, scores, sequence.skeleton.name, sequence.image_size, index, frames, weights, times, wanted)


def _prepare_causal(lifter: nn.Module, sequence: Sequence2D) -> _Clip:
    wanted, layout = _wanted(lifter, sequence), Layout.of(lifter)
    times = np.arange(len(wanted)) if lifter.frame_rate is None else wanted
    places = grid_places(times, times[0], lifter.frame_rate)
    windows = causal_windows(layout, places, sequence.keypoints, sequence.scores)
    positions = windows.positions if layout.tips else None
    ones = np.ones(windows.frames.shape[1])
    facts = (sequence.skeleton.name, sequence.image_size, windows.index, windows.frames)
    return _Clip(*windows.poses, *facts, ones, wanted, wanted, positions)


def _wanted(lifter: nn.Module, sequence: Sequence2D) -> np.ndarray:
    if sequence.timestamps is None:
        return np.arange(len(sequence.keypoints)) / (lifter.frame_rate or 1.0)
    return sequence.timestamps


def _of_one_width(clips: list[_Clip]) -> list[_Clip]:
    """Clips whose windows can share a batch: with as many outputs each, the last one repeated where there are fewer."""
    width = max(clip.frames.shape[1] for clip in clips)
    return [_widened(clip, width - clip.frames.shape[1]) for clip in clips]


def _widened(clip: _Clip, more: int) -> _Clip:
    if not more:
        return clip
    index, positions = (np.pad(array, ((0, 0), (0, more)), "edge") for array in (clip.index, clip.positions))
    frames = np.pad(clip.frames, ((0, 0), (0, more)), constant_values=-1)
    weights = np.pad(clip.weights, (0, more), "edge")
    return replace(clip, index=index, positions=positions, frames=frames, weights=weights)


def _lifter_times(times: np.ndarray, rate: float | None) -> np.ndarray:
    """`times` themselves where they are near enough to `rate`, else an even grid of that rate over the same span."""
    if rate is None or len(times) == 1 or (np.abs(np.diff(times) * rate - 1) < RATE_TOLERANCE).all():
        return times
    steps = max(int(np.ceil((times[-1] - times[0]) * rate - 1e-6)), 1)
    return times[0] + np.arange(steps + 1) / rate


def _windows(count: int, lifter: nn.Module) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames [N, W] to feed, frames [N, F] that the outputs stand for (-1: padding), and blending weights [F]."""
    size = lifter.num_frames
    if lifter.frames_out == "center":
        index = np.arange(count)[:, None] - output_frame(lifter) + np.arange(size)
        return np.clip(index, 0, count - 1), np.arange(count)[:, None], np.ones(1)
    last = max(count - size, 0)
    starts = np.unique(np.append(np.arange(0, last, max(size // 2, 1)), last))
    index = starts[:, None] + np.arange(size)
    weights = np.sin(np.pi * (np.arange(size) + 0.5) / size) ** 2 + 1e-3
    return np.minimum(index, count - 1), np.where(index < count, index, -1), weights


def output_frame(lifter: nn.Module) -> int:
    """Index in a window of the one frame that a lifter with `frames_out` "center" answers for."""
    return lifter.num_frames - 1 if lifter.causal else lifter.num_frames // 2


def _run(lifter: nn.Module, clips: list[_Clip], batch_size: int, flip_test: bool) -> np.ndarray:
    training = lifter.training
    lifter.eval()
    try:
        batches = _batches(lifter, clips, batch_size)
        joints = [answers(lifter, *batch, flip_test).cpu().numpy() for batch in batches]
    finally:
        lifter.train(training)
    return np.concatenate(joints)


def _batches(lifter: nn.Module, clips: list[_Clip], batch_size: int) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """The windows of all clips in order, [n, W, J, C] with n up to `batch_size`, and their `positions`, if any.

    Made one batch at a time: a lifter that answers for one frame a window sees every frame many times over.
    """
    bounds = np.cumsum([0, *(len(clip.index) for clip in clips)])
    for start in range(0, bounds[-1], batch_size):
        x, positions = [], []
        for clip, first in zip(clips, bounds[:-1], strict=True):
            rows = slice(max(start - first, 0), max(start + batch_size - first, 0))
            index = clip.index[rows]
            if len(index):
                x.append(inputs(lifter, clip.keypoints[index], clip.scores[index], clip.image_size, clip.skeleton))
                positions.append(clip.positions[rows] if clip.positions is not None else None)
        yield np.concatenate(x), None if positions[0] is None else np.concatenate(positions)


def _assemble(clip: _Clip, joints: np.ndarray) -> np.ndarray:
    """Blend the windows' outputs [N, F, J, 3] and answer at the wanted times."""
    real = clip.frames >= 0
    weights = np.broadcast_to(clip.weights, clip.frames.shape)[real]
    total = np.zeros((len(clip.times), *joints.shape[2:]))
    np.add.at(total, clip.frames[real], joints[real] * weights[:, None, None])
    norm = np.bincount(clip.frames[real], weights, minlength=len(clip.times))
    blended = total / norm[:, None, None]
    if clip.times is not clip.wanted:
        blended = resample(blended, clip.times, clip.wanted)
    return blended.astype(np.float32)
