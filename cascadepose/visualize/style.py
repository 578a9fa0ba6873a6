"""Colours and lettering that every picture shares. All colours are RGB."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cascadepose.skeletons import COCO17, Skeleton

Color = tuple[int, int, int]
_SHIFT = 4  # fractional bits of a drawn coordinate

LEFT, RIGHT, MIDDLE = (255, 146, 48), (56, 182, 255), (240, 240, 240)
OUTLINE = (20, 22, 26)
_PEOPLE = (
    (94, 214, 140), (255, 110, 122), (178, 136, 255), (255, 209, 74),
    (64, 210, 214), (255, 140, 210), (150, 190, 90), (120, 150, 255),
)  # fmt: skip


def person_color(track_id: int) -> Color:
    """The colour of a person's tag, the same wherever the person appears."""
    return _PEOPLE[(track_id - 1) % len(_PEOPLE)]


@lru_cache(maxsize=16)
def edge_colors(skeleton: Skeleton) -> tuple[Color, ...]:
    """A colour for each edge: the person's left, right, or neither."""
    return tuple(_side(*(skeleton.names[joint] for joint in edge)) for edge in skeleton.edges)


@lru_cache(maxsize=16)
def drawn_edges(skeleton: Skeleton) -> tuple[tuple[int, int, int, Color], ...]:
    """What is drawn in a picture: (a, b, c, colour) is a line from joint a to the middle between b and c.

    b and c are the same joint, except in COCO's neck: one line from the nose to the middle of the shoulders stands for
    the two from the ears to the shoulders.
    """
    lines = []
    for (a, b), color in zip(skeleton.edges, edge_colors(skeleton), strict=True):
        if not (skeleton.names[a].endswith("_ear") and skeleton.names[b].endswith("_shoulder")):
            lines.append((a, b, b, color))
    if skeleton.name == COCO17.name:
        lines.append((*map(COCO17.index, ("nose", "left_shoulder", "right_shoulder")), MIDDLE))
    return tuple(lines)


def _side(*names: str) -> Color:
    left, right = (any(name.startswith(side) for name in names) for side in ("left", "right"))
    return MIDDLE if left == right else LEFT if left else RIGHT


def draw_line(image: np.ndarray, a: np.ndarray, b: np.ndarray, color: Color, width: float) -> None:
    """An anti-aliased line between sub-pixel points (x, y), in place."""
    cv2.line(image, _fixed_point(a), _fixed_point(b), color, max(round(width), 1), cv2.LINE_AA, shift=_SHIFT)


def draw_dot(image: np.ndarray, center: np.ndarray, color: Color, radius: float) -> None:
    """An anti-aliased disc at a sub-pixel point (x, y), in place."""
    fine = max(round(radius * (1 << _SHIFT)), 8)
    cv2.circle(image, _fixed_point(center), fine, color, -1, cv2.LINE_AA, shift=_SHIFT)


def _fixed_point(point: np.ndarray) -> tuple[int, int]:
    """(x, y) in the sixteenths of a pixel that OpenCV draws with; far points are brought within its range."""
    x, y = float(point[0]), float(point[1])
    return round(min(max(x, -1e4), 1e4) * (1 << _SHIFT)), round(min(max(y, -1e4), 1e4) * (1 << _SHIFT))


@lru_cache(maxsize=256)
def _letters(text: str, size: int) -> np.ndarray:
    """The text as a mask [h,w] of 0..1."""
    font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(text)
    image = Image.new("L", (int(right - left) + 2, int(bottom - top) + 2))
    ImageDraw.Draw(image).text((1 - left, 1 - top), text, fill=255, font=font)
    return np.asarray(image, np.float32) / 255


def draw_text(image: np.ndarray, text: str, corner: tuple[float, float], color: Color, size: float) -> None:
    """Letters with their top left corner at (x, y), cut at the border, in place."""
    _blend(image, _letters(text, max(round(size), 8)), corner, color)


def draw_tag(image: np.ndarray, text: str, anchor: tuple[float, float], color: Color, size: float) -> None:
    """Dark letters on a coloured plate whose bottom left corner is at (x, y), kept inside the image, in place."""
    mask = _letters(text, max(round(size), 8))
    pad = max(round(size * 0.3), 2)
    height, width = mask.shape[0] + 2 * pad, mask.shape[1] + 2 * pad
    x = int(np.clip(round(anchor[0]), 0, max(image.shape[1] - width, 0)))
    y = int(np.clip(round(anchor[1]) - height, 0, max(image.shape[0] - height, 0)))
    _blend(image, _plate(height, width, pad), (x, y), color)
    _blend(image, mask, (x + pad, y + pad), OUTLINE)


@lru_cache(maxsize=256)
def _plate(height: int, width: int, radius: int) -> np.ndarray:
    """A rectangle with round corners as a mask [height,width] of 0..1, smooth at the edge."""
    scale = 4
    image = Image.new("L", (width * scale, height * scale))
    box = (0, 0, width * scale - 1, height * scale - 1)
    ImageDraw.Draw(image).rounded_rectangle(box, radius * scale, fill=235)
    return np.asarray(image.resize((width, height), Image.Resampling.BOX), np.float32) / 255


def _blend(image: np.ndarray, mask: np.ndarray, corner: tuple[float, float], color: Color) -> None:
    x, y = round(corner[0]), round(corner[1])
    top, left = max(y, 0), max(x, 0)
    bottom, right = min(y + mask.shape[0], image.shape[0]), min(x + mask.shape[1], image.shape[1])
    if bottom <= top or right <= left:
        return
    weight = mask[top - y : bottom - y, left - x : right - x, None]
    patch = image[top:bottom, left:right]
    patch[:] = (patch * (1 - weight) + np.array(color, np.float32) * weight + 0.5).astype(np.uint8)
