"""A whole video on one page: frames at even distances with their skeletons, times and ids."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cascadepose.errors import InputError
from cascadepose.types import VideoResult
from cascadepose.visualize.overlay import OverlayPainter, reopen_source, write_picture
from cascadepose.visualize.style import MIDDLE, draw_text

_PAPER, _GAP, _CAPTION = (24, 26, 32), 10, 22  # RGB, px between pictures, px of text under each


def contact_sheet(
    result: VideoResult,
    path: str | Path,
    source: Any = None,
    count: int = 12,
    columns: int = 4,
    width: int = 480,
    **style: Any,
) -> Path:
    """Draw `count` frames at even distances, first and last among them, `columns` in a row, each `width` px wide.

    source: what to draw on, by default what the result was made from; style: arguments of OverlayPainter (boxes, panel,
    min_score). A video with fewer frames gives fewer pictures. The file is .png, .jpg or .webp.

    Raises InputError where there is no frame, the source does not fit the result or ends too soon, the suffix is not
    one of a picture, and the place cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise InputError(f"{path}: a contact sheet is written as .png, .jpg or .webp; change the suffix")
    if not result.num_frames:
        raise InputError(f"{path}: no frame was processed, so there is nothing to draw")
    wanted = np.unique(np.linspace(0, result.num_frames - 1, count).round().astype(int))
    pictures = _pictures(result, source, wanted.tolist(), width, style)
    write_picture(path, _arrange(pictures, min(columns, len(pictures))))
    return path


def _pictures(
    result: VideoResult, source: Any, wanted: list[int], width: int, style: dict[str, Any]
) -> list[np.ndarray]:
    """The wanted frames, painted, scaled and captioned; no other frame is kept in memory."""
    frames = reopen_source(result, source)
    painter = OverlayPainter(result, **style)
    chosen = (frame for frame in islice(frames, wanted[-1] + 1) if frame.index in wanted)
    pictures = [_captioned(painter.paint(frame.index, frame.image), width, _caption(result, frame)) for frame in chosen]
    if len(pictures) < len(wanted):
        raise InputError(f"{frames.name}: has fewer frames than the result ({result.num_frames}); give its own video")
    return pictures


def _caption(result: VideoResult, frame: Any) -> str:
    if result.fps is None:
        return Path(result.source).name
    people = ", ".join(str(track.track_id) for track, row in result.people(frame.index) if track.observed[row])
    seconds = result.timestamps[frame.index] - result.timestamps[0]
    return f"{seconds:.2f} s   frame {frame.index}   " + (f"id {people}" if people else "nobody")


def _captioned(picture: np.ndarray, width: int, caption: str) -> np.ndarray:
    height = max(round(picture.shape[0] * width / picture.shape[1]), 1)
    smaller = width < picture.shape[1]
    scaled = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
    cell = np.full((height + _CAPTION, width, 3), _PAPER, np.uint8)
    cell[:height] = scaled
    draw_text(cell, caption, (2, height + 5), MIDDLE, 13)
    return cell


def _arrange(cells: list[np.ndarray], columns: int) -> np.ndarray:
    """Cells of one size on one page, row by row."""
    height, width = cells[0].shape[:2]
    rows = -(-len(cells) // columns)
    page = np.full((rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP, 3), _PAPER, np.uint8)
    for slot, cell in enumerate(cells):
        row, column = divmod(slot, columns)
        y, x = _GAP + row * (height + _GAP), _GAP + column * (width + _GAP)
        page[y : y + height, x : x + width] = cell
    return page
