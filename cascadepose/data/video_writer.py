"""H.264 in mp4, written to a temporary name and put in place when whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from cascadepose.errors import InputError
from cascadepose.files import atomic_path

_TIME_BASE = Fraction(1, 90000)
_BT709 = 1  # FFmpeg's number for the colour matrix, primaries and transfer curve of HD video


@contextmanager
def open_video_writer(path: str | Path, fps: float = 30.0, crf: int = 20) -> Iterator[VideoWriter]:
    """`with open_video_writer("out.mp4", fps) as video: video.write(image, timestamp)`.

    fps is the nominal rate; each frame keeps its own timestamp. If the block ends with an exception nothing is left
    behind. Raises InputError where the place cannot be written.
    """
    with atomic_path(path) as temporary:
        container = av.open(str(temporary), "w", format="mp4", options={"movflags": "+faststart"})
        with container:
            video = VideoWriter(container, str(path), fps, crf)
            yield video
            video.finish()


class VideoWriter:
    """Encodes frames into an open container; made by open_video_writer."""

    def __init__(self, container: Any, name: str, fps: float, crf: int) -> None:
        self._container, self._name, self._fps, self._crf = container, name, fps, crf
        self._stream: Any = None
        self._last_pts = -1

    def write(self, image: np.ndarray, timestamp: float) -> None:
        """Add a frame: uint8 [H,W,3] RGB, all of one size (odd sides get a repeated row or column); rising seconds."""
        height, width = image.shape[:2]
        if self._stream is None:
            self._stream = self._add_stream(width + width % 2, height + height % 2)
        down, right = self._stream.height - height, self._stream.width - width
        if not (0 <= down <= 1 and 0 <= right <= 1):
            raise InputError(
                f"{self._name}: a frame of {width}x{height} in a video of {self._stream.width}x{self._stream.height}"
            )
        if down or right:
            image = np.pad(image, ((0, down), (0, right), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709")
        frame.pts = self._last_pts = max(round(timestamp / _TIME_BASE), self._last_pts + 1)
        frame.time_base = _TIME_BASE
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write the frames that the encoder still holds."""
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))

    def _add_stream(self, width: int, height: int) -> Any:
        stream = self._container.add_stream("libx264", rate=Fraction(self._fps).limit_denominator(100000))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": str(self._crf), "preset": "veryfast"}
        context = stream.codec_context
        context.time_base = _TIME_BASE
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        return stream
