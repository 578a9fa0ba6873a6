"""The focal length that photographs and videos state about themselves."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

# EXIF 2.32 (CIPA DC-008): sub-directory and tags.
_EXIF, _FOCAL_35MM, _FOCAL, _ZOOM = 0x8769, 0xA405, 0x920A, 0xA404
_PLANE_X, _PLANE_Y, _PLANE_UNIT = 0xA20E, 0xA20F, 0xA210
_WIDTH, _HEIGHT = 0xA002, 0xA003
_UNIT_MM = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}  # inch, cm, mm, um
_FILM_DIAGONAL = math.hypot(36.0, 24.0)  # mm
_PLAUSIBLE = 5.0, 2000.0  # mm
# Such as com.apple.quicktime.camera.focal_length.35mm_equivalent; most cameras state none in videos.
_VIDEO_KEY = re.compile(r"focal.?length.*35.?mm", re.IGNORECASE)


def photo_focal_35mm(path: str | Path) -> float | None:
    """The focal length in mm, as for 36 x 24 mm film, that the EXIF data of an image state; None without any.

    Where only the true length is stated, the sensor's size follows from its pixels per length, if they are.
    """
    tags: Mapping[int, Any] = {}
    size = (0, 0)
    with contextlib.suppress(Exception), Image.open(path) as image:  # damaged EXIF data must not stop anything
        tags = image.getexif().get_ifd(_EXIF)
        size = tags.get(_WIDTH, image.width), tags.get(_HEIGHT, image.height)  # as it was taken; it may be scaled now
    with contextlib.suppress(TypeError, ValueError, ZeroDivisionError, LookupError):
        stated = _plausible(float(tags.get(_FOCAL_35MM) or 0))
        if stated is not None:
            return stated
        millimetres = _UNIT_MM[int(tags.get(_PLANE_UNIT, 2))]
        sensor = [side * millimetres / float(tags[tag]) for side, tag in zip(size, (_PLANE_X, _PLANE_Y), strict=True)]
        return _plausible(float(tags[_FOCAL]) * float(tags.get(_ZOOM) or 1) * _FILM_DIAGONAL / math.hypot(*sensor))
    return None


def video_focal_35mm(*metadata: Mapping[str, str]) -> float | None:
    """The same from the metadata of a video's container and stream."""
    for key, value in (item for tags in metadata for item in tags.items()):
        number = re.match(r"\s*[\d.]+", str(value)) if _VIDEO_KEY.search(key) else None
        if number:
            with contextlib.suppress(ValueError):
                return _plausible(float(number[0]))
    return None


def _plausible(focal: float) -> float | None:
    return focal if _PLAUSIBLE[0] <= focal <= _PLAUSIBLE[1] else None
