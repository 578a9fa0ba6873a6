"""One interface for everything that frames come from: image, folder, video, camera, arrays in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cascadepose.errors import InputError

DEFAULT_FPS = 30.0  # for image sequences, which carry no times


class Frame(NamedTuple):
    """One upright frame: its number from 0, its time in seconds, and image uint8 [H,W,3] RGB."""

    index: int
    timestamp: float
    image: np.ndarray


class FrameSource(ABC):
    """Frames in order, all of one size. Iterating again starts over, except where `live`.

    size (w, h) px of the upright frame; fps average rate or None for a single image; num_frames as far as it is known
    beforehand; is_image for a single picture; live for a camera or network stream; focal_35mm the focal length that the
    file states about itself (mm, as for 36 x 24 mm film), None without one. Iteration raises InputError where
    the source breaks off, is damaged or changes its frame size; the frames given until then are good.
    """

    name: str
    size: tuple[int, int]
    fps: float | None = None
    num_frames: int | None = None
    is_image: bool = False
    loose: bool = False
    live: bool = False
    focal_35mm: float | None = None
    other_remedy: str = ""  # for frames of several sizes

    @abstractmethod
    def _images(self) -> Iterator[tuple[float, np.ndarray]]:
        """(timestamp, image uint8 [H,W,3] RGB) in order."""

    def __iter__(self) -> Iterator[Frame]:
        for index, (timestamp, image) in enumerate(self._images()):
            size = (image.shape[1], image.shape[0])
            if size != self.size:
                old, new = ("x".join(map(str, pair)) for pair in (self.size, size))
                raise InputError(
                    f"{self.name}: the frame size changes from {old} to {new} at frame {index} ({timestamp:.2f} s); "
                    f"bring it to one size, for example ffmpeg -i IN -vf scale={self.size[0]}:{self.size[1]} OUT.mp4"
                    + self.other_remedy
                )
            yield Frame(index, timestamp, image)


class ArraySource(FrameSource):
    """Frames held in memory: uint8 RGB, [H,W,3] for one image, [T,H,W,3] or a list of [H,W,3] for a video at `fps`."""

    def __init__(
        self, frames: np.ndarray | Sequence[np.ndarray], fps: float | None = None, name: str = "array"
    ) -> None:
        self.is_image = isinstance(frames, np.ndarray) and frames.ndim == 3
        self._frames = [frames] if self.is_image else list(frames)
        self.name, self.num_frames = name, len(self._frames)
        for index, frame in enumerate(self._frames):
            if not (
                isinstance(frame, np.ndarray) and frame.ndim == 3 and frame.shape[2] == 3 and frame.dtype == np.uint8
            ):
                found = f"{frame.dtype} {frame.shape}" if isinstance(frame, np.ndarray) else type(frame).__name__
                raise InputError(f"{name}: frame {index} is {found}; give uint8 RGB arrays [H,W,3] or [T,H,W,3]")
        if not self._frames or not self._frames[0].size:
            raise InputError(f"{name}: holds no frames; give at least one uint8 RGB array [H,W,3]")
        self.size = self._frames[0].shape[1::-1]
        self.fps = None if self.is_image else fps or DEFAULT_FPS

    def _images(self) -> Iterator[tuple[float, np.ndarray]]:
        for index, frame in enumerate(self._frames):
            yield index / (self.fps or DEFAULT_FPS), frame


def open_source(source: Any, fps: float | None = None) -> FrameSource:
    """The FrameSource behind `source`.

    A path: image, video, or folder of images (read in natural order as a video at `fps`). A camera: its number (0,
    "0", "webcam", "webcam:1") or device ("/dev/video0"). A network stream: its address ("rtsp://..."). Arrays: see
    ArraySource. A FrameSource passes through. Raises InputError for what is missing, empty or unreadable.
    """
    from cascadepose.data import images, video

    if isinstance(source, FrameSource):
        return source
    if isinstance(source, np.ndarray) or (isinstance(source, list | tuple) and not isinstance(source, str)):
        return ArraySource(source, fps)
    if hasattr(source, "convert") and hasattr(source, "getbands"):
        return ArraySource(images.to_rgb(source))
    camera = video.camera_number(source)
    if camera is not None:
        return video.open_camera(camera, fps)
    if not isinstance(source, str | Path) or not str(source).strip():
        raise InputError(f"{source!r} is no source of frames; give a path, a camera number or arrays")
    if "://" in str(source):
        return video.VideoSource(str(source), live=True)
    path = Path(source)
    images.check_readable(path)
    if path.is_dir():
        return images.FolderSource(path, fps)
    if images.is_image(path):
        return images.open_image(path)
    return video.VideoSource(path)
