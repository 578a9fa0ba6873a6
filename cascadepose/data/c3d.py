"""C3D, the binary format of motion laboratories (c3d.org): labelled points over time."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cascadepose.errors import InputError

__all__ = ["C3d", "read_c3d"]

BLOCK = 512  # bytes
UNITS = {"mm": 0.001, "cm": 0.01, "m": 1.0, "in": 0.0254}
INTEL = 84  # byte order of nearly all files; DEC and SGI ended long ago
TYPES = {-1: "S1", 1: "i1", 2: "<i2", 4: "<f4"}


@dataclass(frozen=True, eq=False)
class C3d:
    """Points [T, N, 3] in the file's unit, NaN where a point was not seen; unit in metres; rate in Hz."""

    labels: tuple[str, ...]
    points: np.ndarray = field(repr=False)
    unit: float
    rate: float


def read_c3d(path: str | Path) -> C3d:
    """Raises InputError for a file that cannot be read, is no C3D, or is cut off."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    try:
        return _parse(content)
    except (struct.error, ValueError, IndexError, KeyError, OverflowError) as error:
        raise InputError(f"{path}: is no whole C3D file ({error}); export or copy it again") from None


def _parse(content: bytes) -> C3d:
    start, key, count, analog, first, last = struct.unpack_from("<BBHHHH", content)
    scale, data, _, rate = struct.unpack_from("<fHHf", content, 12)
    if key != 0x50 or not count or last < first:
        raise ValueError("no C3D header, or no points")
    groups = _parameters(content, BLOCK * (start - 1))
    point = groups.get("POINT", {})
    labels = [label for name in sorted(point) if name.startswith("LABELS") for label in _texts(point[name])]
    frames = last - first + 1
    if "FRAMES" in point:  # for files of more frames than the header can count
        frames = max(frames, int(np.ravel(point["FRAMES"])[0]))
    kind = "<f4" if scale < 0 else "<i2"
    width = 4 * count + analog
    values = np.frombuffer(content, kind, frames * width, BLOCK * (data - 1)).reshape(frames, width)
    points = values[:, : 4 * count].reshape(frames, count, 4).astype(np.float64)
    seen = (points[..., 3] >= 0) & np.isfinite(points[..., :3]).all(-1)
    places = np.where(seen[..., None], points[..., :3] * (1.0 if scale < 0 else scale), np.nan)
    unit = UNITS[(_texts(point["UNITS"]) or ["mm"])[0].lower() if "UNITS" in point else "mm"]
    rate = float(np.ravel(point["RATE"])[0]) if "RATE" in point else rate
    if not (np.isfinite(rate) and 0.1 < rate < 1e5):
        raise ValueError(f"a rate of {rate} Hz")
    if len(labels) < count:
        raise ValueError(f"{len(labels)} labels for {count} points")
    return C3d(tuple(labels[:count]), places, unit, rate)


def _parameters(content: bytes, start: int) -> dict[str, dict[str, np.ndarray]]:
    """The parameters by group and name; text is an array of single characters."""
    if start < 0 or content[start + 3] != INTEL:
        raise ValueError("parameters that are missing or in the byte order of another processor than Intel's")
    names: dict[int, str] = {}
    found: dict[int, dict[str, np.ndarray]] = {}
    place, end = start + 4, start + BLOCK * content[start + 2]
    while place + 2 < min(end, len(content)):
        length, group = struct.unpack_from("<bb", content, place)
        length = abs(length)
        if length == 0:
            break
        name = content[place + 2 : place + 2 + length].decode("latin1").upper()
        following = place + 2 + length
        step = struct.unpack_from("<H", content, following)[0]
        if group < 0:
            names[-group] = name
        else:
            found.setdefault(group, {})[name] = _values(content, following + 2)
        if step == 0:
            break
        place = following + step
    return {names[group]: values for group, values in found.items() if group in names}


def _values(content: bytes, place: int) -> np.ndarray:
    kind, dimensions = struct.unpack_from("<bB", content, place)
    shape = tuple(content[place + 2 : place + 2 + dimensions])
    return np.frombuffer(content, TYPES[kind], int(np.prod(shape)), place + 2 + dimensions).reshape(shape, order="F")


def _texts(characters: np.ndarray) -> list[str]:
    """[length, count] or [length] single characters -> stripped strings."""
    if characters.dtype != "S1":
        raise ValueError("labels that are no text")
    rows = characters.reshape(characters.shape[0], -1).T if characters.size else []
    return [b"".join(c or b" " for c in row.tolist()).decode("latin1").strip() for row in rows]
