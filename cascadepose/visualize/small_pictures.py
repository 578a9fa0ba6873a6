"""The frames of a result as small JPEG pictures that together stay within a given size."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from cascadepose.errors import InputError
from cascadepose.types import VideoResult
from cascadepose.visualize.overlay import reopen_source

WIDTH, QUALITY = 480, 72  # px of the longer side, JPEG quality
BUDGET = 6_000_000  # bytes of all pictures together


@dataclass(frozen=True)
class SmallPictures:
    """Every `step`-th frame: JPEG files of `size` (w, h) px, and the numbers of the frames."""

    size: tuple[int, int]
    step: int
    frames: list[int]
    files: list[bytes]

    @property
    def num_bytes(self) -> int:
        """What they take together."""
        return sum(map(len, self.files))


def small_pictures(
    result: VideoResult,
    source: Any = None,
    width: int = WIDTH,
    budget: int = BUDGET,
    paint: Callable[[int, np.ndarray], np.ndarray] | None = None,
    progress: Callable[[int], Any] | None = None,
) -> SmallPictures:
    """Read the frames again and keep as many of them, at even distances, as fit into `budget` bytes.

    source: by default what the result was made from; width: px of the longer side, never more than the frame has;
    paint: turns (frame number, image uint8 [H,W,3] RGB) into the picture to keep, of the same size; progress: called
    with the number of frames each time some are read. No frame is kept as an array, so memory stays within the budget.

    Raises InputError where there is no frame, or the source cannot be read again or does not fit the result.
    """
    if not result.num_frames:
        raise InputError(f"{result.source}: no frame was processed, so there is nothing to show")
    source = reopen_source(result, source)
    scale = min(width / max(result.frame_size), 1.0)
    size = tuple(max(round(side * scale), 1) for side in result.frame_size)
    step, total, kept = 1, 0, {}
    last = -1
    for frame in source:
        last = frame.index
        if frame.index % step == 0:
            image = frame.image if paint is None else paint(frame.index, frame.image)
            kept[frame.index] = _encode(image, size)
            total += len(kept[frame.index])
        while total > budget and len(kept) > 1:
            step *= 2
            kept = {index: file for index, file in kept.items() if index % step == 0}
            total = sum(map(len, kept.values()))
        if progress is not None:
            progress(1)
        if frame.index + 1 == result.num_frames:
            break
    if last + 1 < result.num_frames:
        raise InputError(f"{source.name}: has fewer frames than the result ({result.num_frames}); give its own video")
    return SmallPictures(size, step, list(kept), list(kept.values()))


def pictures_or_reason(result: VideoResult, **options: Any) -> tuple[SmallPictures | None, str]:
    """The pictures of a result, or none and why: its frames cannot be read again. Options as of `small_pictures`."""
    try:
        return small_pictures(result, **options), ""
    except InputError as error:
        return None, f"no pictures: {error}"


def _encode(image: np.ndarray, size: tuple[int, int]) -> bytes:
    from PIL import Image

    if (image.shape[1], image.shape[0]) != size:
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=QUALITY, optimize=True)
    return file.getvalue()
