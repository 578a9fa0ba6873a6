"""Video files, network streams and cameras through PyAV, with the times that the container states."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np

from cascadepose.data.frames import DEFAULT_FPS, FrameSource
from cascadepose.data.lens import video_focal_35mm
from cascadepose.errors import InputError

_CONVERT = "convert it, for example with ffmpeg -i IN OUT.mp4"
_SLACK_SECONDS = 1.0  # by how much a container may overstate its duration before the end counts as missing


class VideoSource(FrameSource):
    """A video file or stream: timestamps are pts * time_base (variable rates kept), rotation metadata is applied.

    Iteration ends with InputError where the file is cut off or parts of it cannot be decoded, after every frame that
    could be.
    """

    def __init__(
        self, path: str | Path, live: bool = False, container: str | None = None, options: dict[str, str] | None = None
    ) -> None:
        self.name, self.live = str(path), live
        self._container, self._options = container, options or {}
        images = self._decode()
        try:
            first = next(images)
        except StopIteration:
            raise InputError(f"{self.name}: holds no frame that can be decoded; {_CONVERT}") from None
        self.size = first[1].shape[1::-1]
        self._opened: Iterator | None = itertools.chain([first], images)

    def _images(self) -> Iterator[tuple[float, np.ndarray]]:
        """The first pass goes on where opening stopped (a camera cannot be opened twice); later ones start over."""
        images, self._opened = self._opened or self._decode(), None
        return images

    def _open(self) -> Any:
        try:
            container = av.open(self.name, format=self._container, options=self._options, metadata_errors="ignore")
        except (av.FFmpegError, OSError) as error:
            raise self._unreadable(error) from None
        if not container.streams.video or container.format.name == "tty":  # FFmpeg would draw a text file as a terminal
            container.close()
            raise InputError(f"{self.name}: holds no video; give a video, an image or a folder of images")
        return container

    def _unreadable(self, error: Exception) -> InputError:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        if self.live:
            return InputError(
                f"{self.name}: cannot be opened or read on ({reason}); check that it is connected and not in use"
            )
        return InputError(
            f"{self.name}: cannot be read as a video ({reason}); the file is damaged or cut off, or {_CONVERT}"
        )

    def _decode(self) -> Iterator[tuple[float, np.ndarray]]:
        with self._open() as container:
            stream = container.streams.best("video")
            stream.thread_type = "AUTO"
            rate = stream.average_rate or stream.guessed_rate
            self.fps = float(rate) if rate else DEFAULT_FPS
            self.focal_35mm = video_focal_35mm(container.metadata, stream.metadata)
            self.num_frames = None if self.live else _count_frames(container, stream, self.fps)
            health = _Health(stream)
            time = start = None
            for frame in health.frames(container):
                time = _frame_time(frame, time, 1.0 / self.fps)
                start = time if start is None else start
                yield time - start if self.live else time, _upright_rgb(frame)
            problem = "" if self.live else health.problem(time, self.fps)
            if problem and time is not None:
                raise InputError(
                    f"{self.name}: {problem}; the frames before are kept, copy or export it again for the rest"
                )
            if problem or health.broken:
                raise self._unreadable(health.broken or ValueError(problem))


class _Health:
    """Decodes a stream past damaged places and afterwards tells what was wrong with it."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._packets, self._damaged = stream, 0, 0
        self.broken: Exception | None = None

    def frames(self, container: Any) -> Iterator[Any]:
        packets = container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.FFmpegError, OSError) as error:
                self.broken = error
                return
            self._packets += packet.size > 0
            self._damaged += packet.is_corrupt
            try:
                frames = packet.decode()
            except av.FFmpegError:
                self._damaged += not packet.is_corrupt
                continue
            yield from frames

    def problem(self, last_time: float | None, fps: float) -> str:
        """Why the end is missing or parts are damaged, "" for a sound file."""
        if self._stream.frames > self._packets:  # the container's own list of frames is longer than what was there
            return f"is cut off after {self._packets} of {self._stream.frames} frames"
        stated = _stated_seconds(self._stream)
        if last_time is not None and stated and last_time + 1.0 / fps < stated - _SLACK_SECONDS:
            return f"is cut off after {last_time:.2f} of {stated:.2f} s"
        if self.broken is not None:
            return f"breaks off ({getattr(self.broken, 'strerror', None) or self.broken})"
        return f"is damaged in {self._damaged} place{'s'[: self._damaged > 1]}" if self._damaged else ""


def _stated_seconds(stream: Any) -> float | None:
    """The end time that the container states for this very stream (Matroska keeps it as a tag)."""
    clock = re.fullmatch(r"(\d+):(\d+):([\d.]+)", stream.metadata.get("DURATION", ""))
    if clock:
        hours, minutes, seconds = map(float, clock.groups())
        return hours * 3600 + minutes * 60 + seconds
    return None


def _count_frames(container: Any, stream: Any, fps: float) -> int | None:
    if stream.frames:
        return stream.frames
    if stream.duration:
        return round(stream.duration * float(stream.time_base) * fps)
    return round(container.duration / av.time_base * fps) if container.duration else None


def _frame_time(frame: Any, previous: float | None, step: float) -> float:
    """Seconds; a frame without a time, or with one that runs backwards, follows at the average rate."""
    time = None if frame.pts is None else float(frame.pts * frame.time_base)
    if previous is None:
        return time or 0.0
    return time if time is not None and time > previous else previous + step


def _upright_rgb(frame: Any) -> np.ndarray:
    image = frame.to_ndarray(format="rgb24")
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def camera_number(source: Any) -> int | str | None:
    """The camera that `source` names: a number, a device path, or None if it names none."""
    if isinstance(source, int | np.integer) and not isinstance(source, bool):
        return int(source)
    text = str(source)
    named = re.fullmatch(r"(?:webcam|camera)?:?(\d*)", text)
    if named and text and not Path(text).exists():
        return int(named[1] or 0)
    return text if text.startswith("/dev/video") else None


def open_camera(camera: int | str, fps: float | None = None) -> FrameSource:
    """The camera's live frames, times counted from the first one. Raises InputError where there is none."""
    if sys.platform.startswith("linux"):
        device = f"/dev/video{camera}" if isinstance(camera, int) else camera
        if not Path(device).exists():
            found = ", ".join(sorted(map(str, Path("/dev").glob("video*")))) or "none"
            raise InputError(
                f"camera {device}: there is no such device (found: {found}); connect one or give its number"
            )
        return VideoSource(device, live=True, container="v4l2", options={"framerate": str(fps)} if fps else None)
    return OpenCVCamera(camera, fps)


class OpenCVCamera(FrameSource):
    """A camera through OpenCV, where FFmpeg's own input devices are not at hand (macOS, Windows)."""

    live = True

    def __init__(self, camera: int | str, fps: float | None = None) -> None:
        import cv2

        self.name = f"camera {camera}"
        self._capture = cv2.VideoCapture(camera)
        if fps:
            self._capture.set(cv2.CAP_PROP_FPS, fps)
        good, image = self._capture.read()
        if not good:
            raise InputError(
                f"{self.name}: gives no picture; connect one, close other programs that use it, or give another number"
            )
        self.size = image.shape[1::-1]
        self.fps = self._capture.get(cv2.CAP_PROP_FPS) or DEFAULT_FPS

    def _images(self) -> Iterator[tuple[float, np.ndarray]]:
        import time

        start = time.monotonic()
        while True:
            good, image = self._capture.read()
            if not good:
                raise InputError(f"{self.name}: stopped giving pictures; check that it is still connected")
            yield time.monotonic() - start, np.ascontiguousarray(image[..., ::-1])
