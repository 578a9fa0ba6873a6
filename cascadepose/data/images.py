"""Images of any Pillow format as upright RGB, one by one or as a numbered folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, ImageSequence, UnidentifiedImageError

from cascadepose.data.frames import DEFAULT_FPS, FrameSource
from cascadepose.data.lens import photo_focal_35mm
from cascadepose.errors import InputError

_NOT_PICTURES = {
    ".mpg",
    ".mpeg",
    ".pdf",
    ".ps",
    ".eps",
    ".h5",
    ".hdf",
    ".grib",
}  # Pillow lists them, but only names or writes them


def to_rgb(image: Image.Image) -> np.ndarray:
    """Any Pillow image as upright uint8 [H,W,3] RGB: turned by EXIF, transparency on white, 16 bits scaled down."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        values = np.nan_to_num(np.asarray(image, np.float64))
        peak = values.max(initial=0.0)
        full = (
            1.0
            if peak <= 1 and image.mode == "F"
            else 255.0
            if peak <= 255 and image.mode != "I;16"
            else max(peak, 65535.0)
        )
        grey = np.clip(values * (255.0 / full), 0, 255).round().astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image)
    return np.array(image.convert("RGB"))


def read_image(path: str | Path) -> np.ndarray:
    """uint8 [H,W,3] RGB, upright. Raises InputError where the file is missing, empty, truncated or no image."""
    path = Path(path)
    check_readable(path)
    try:
        with Image.open(path) as image:
            return to_rgb(image)
    except UnidentifiedImageError:
        raise InputError(f"{path}: is no image in a known format; convert it to .png or .jpg") from None
    except Image.DecompressionBombError:
        raise InputError(f"{path}: is larger than {2 * Image.MAX_IMAGE_PIXELS:,} pixels; scale it down first") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise InputError(
            f"{path}: cannot be decoded ({error}); the file is damaged or cut off, copy or export it again"
        ) from None


def check_readable(path: Path) -> None:
    """Raise InputError unless `path` is a folder or a file with content that may be read."""
    try:
        if not path.exists():
            raise InputError(f"{path}: no such file or folder; check the path")
        if not os.access(path, os.R_OK):
            raise InputError(f"{path}: no permission to read it; change its permissions or copy it")
        if path.is_file() and path.stat().st_size == 0:
            raise InputError(f"{path}: the file is empty (0 bytes); copy or record it again")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from None


def is_image(path: Path) -> bool:
    """Whether the name says picture."""
    suffix = path.suffix.lower()
    return suffix in Image.registered_extensions() and suffix not in _NOT_PICTURES


def open_image(path: Path) -> FrameSource:
    """A single picture, or a video where the file is an animation (GIF, WebP, PNG)."""
    try:
        with Image.open(path) as image:
            moving = image.format in ("GIF", "WEBP", "PNG") and getattr(image, "is_animated", False)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        moving = False  # ImageSource says what is wrong
    return AnimationSource(path) if moving else ImageSource(path)


def natural_key(path: Path) -> list[tuple[int, int | str]]:
    """Sort key under which frame_2 comes before frame_10."""
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", path.name.lower()) if part]


def list_images(folder: str | Path) -> list[Path]:
    """The images in a folder in natural order. Raises InputError where it is none, cannot be read or has none."""
    folder = Path(folder)
    check_readable(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder of images; give a folder")
    entries = [path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file() and is_image(path)]
    if not entries:
        raise InputError(f"{folder}: holds no images; expected files such as .jpg, .png, .webp or .tiff")
    return sorted(entries, key=natural_key)


class ImageSource(FrameSource):
    """A single picture."""

    is_image, num_frames = True, 1

    def __init__(self, path: str | Path) -> None:
        self.name = str(path)
        self._image = read_image(path)
        self.size, self.focal_35mm = self._image.shape[1::-1], photo_focal_35mm(path)

    def _images(self) -> Iterator[tuple[float, np.ndarray]]:
        yield 0.0, self._image


class AnimationSource(FrameSource):
    """The frames of an animated picture with the durations that it states."""

    def __init__(self, path: str | Path) -> None:
        self.name = str(path)
        with Image.open(path) as image:
            self.size, self.num_frames = image.size, image.n_frames
        times = [time for time, _ in self._images()]
        self.fps = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else DEFAULT_FPS

    def _images(self) -> Iterator[tuple[float, np.ndarray]]:
        time = 0.0
        try:
            with Image.open(self.name) as image:
                for frame in ImageSequence.Iterator(image):
                    yield time, to_rgb(frame)
                    time += (frame.info.get("duration") or 100) / 1000  # as browsers do where nothing is stated
        except (OSError, SyntaxError, ValueError, EOFError) as error:
            raise InputError(f"{self.name}: is damaged or cut off ({error}); copy or export it again") from None


class FolderSource(FrameSource):
    """The images of a folder in natural order (frame_2 before frame_10), as a video at `fps` (default 30)."""

    loose = True
    other_remedy = "; or take the images as photographs, each by itself (--photos)"

    def __init__(self, folder: str | Path, fps: float | None = None) -> None:
        self.name, self.fps = str(folder), fps or DEFAULT_FPS
        self.paths = list_images(folder)
        self.num_frames = len(self.paths)
        self.size, self.focal_35mm = read_image(self.paths[0]).shape[1::-1], photo_focal_35mm(self.paths[0])

    def _images(self) -> Iterator[tuple[float, np.ndarray]]:
        for index, path in enumerate(self.paths):
            yield index / self.fps, read_image(path)
