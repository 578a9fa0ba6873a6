"""Fixed-length training windows over sequences of any length."""

import numpy as np

from cascadepose.errors import InputError
from cascadepose.smoothing import resample


def window_starts(length: int, window: int, stride: int) -> np.ndarray:
    """First frames of windows that cover 0..length: every `stride`, the last one ends with the sequence."""
    last = max(length - window, 0)
    starts = np.arange(0, last + 1, max(stride, 1))
    return starts if starts[-1] == last else np.append(starts, last)


def window_table(lengths: list[int], window: int, stride: int) -> np.ndarray:
    """Every window of every sequence: [N, 2] int, sequence number and first frame."""
    if not lengths:
        raise InputError("no sequences to take windows from; check the motion file")
    starts = [window_starts(length, window, stride) for length in lengths]
    sequence = np.repeat(np.arange(len(lengths)), [len(s) for s in starts])
    return np.stack([sequence, np.concatenate(starts)], -1)


def sample_clip(sequence: np.ndarray, start: float, step: float, num_frames: int) -> np.ndarray:
    """`num_frames` frames of `sequence` [T, ...] from frame `start` on, every `step` frames (both may be fractional).

    Linear between frames; beyond the ends the end frame is repeated.
    """
    return resample(sequence, np.arange(len(sequence)), start + step * np.arange(num_frames))


def whole_clips(lengths: list[int], num_frames: int, stride: int) -> list[tuple[int, np.ndarray]]:
    """Clips that lie within one sequence, as MotionBERT cuts them: (sequence number, its frames [num_frames]).

    A sequence that is too short gives one clip in which frames repeat; what is left behind the last whole clip of a
    longer one is dropped.
    """
    clips = []
    for number, length in enumerate(lengths):
        if length < num_frames:
            clips.append((number, np.arange(num_frames) * length // num_frames))
        for start in range(0, length - num_frames + 1, max(stride, 1)):
            clips.append((number, start + np.arange(num_frames)))
    return clips
