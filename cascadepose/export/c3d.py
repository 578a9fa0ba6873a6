"""3D joints as C3D, the binary format of motion laboratories: millimetres, z up, one file for each person."""

from __future__ import annotations

import errno
import struct
from pathlib import Path
from typing import Any

import numpy as np

from cascadepose.errors import InputError
from cascadepose.export import schema
from cascadepose.export.motion import Y_UP_TO_Z_UP, Motion, motions, write_people
from cascadepose.types import VideoResult

_MAX_FRAMES = 65535  # the header has 16 bits for the number of the last one
_MAX_RESIDUAL = 127  # mm: seven bits, in either place


def require() -> None:
    """Raises InputError, which names the extra, where ezc3d is missing."""
    try:
        import ezc3d  # noqa: F401
    except ImportError:
        raise InputError("C3D files are written by ezc3d, which is missing; pip install 'cascadepose[c3d]'") from None


def write(result: VideoResult, path: str | Path) -> list[Path]:
    """Write each person's joints as points of the same names; returns the files, see motion.person_paths.

    The parameters X_SCREEN and Y_SCREEN of the group POINT state the axes. The residual of a point is its standard
    deviation relative to the pelvis in whole mm (1..127, see Motion.sigma), and 0, which means interpolated, in
    frames in which the person was not seen. Raises InputError where ezc3d is missing, nobody has 3D joints, a number is
    not finite, somebody has more than 65535 frames, or the place cannot be written.
    """
    require()
    schema.check_finite(result)
    people = motions(result)
    longest = max(map(len, people))
    if longest > _MAX_FRAMES:
        raise InputError(f"{path}: C3D counts {_MAX_FRAMES} frames, not {longest}; write trc, or slices of the track")
    return write_people(Path(path), people, _write_person)


def _write_person(person: Motion, path: Path, name: str) -> None:
    content = _content(person)
    content.write(str(path))
    _check_whole(path, content)


def _content(person: Motion) -> Any:
    import ezc3d

    content = ezc3d.c3d()
    content["header"]["points"]["first_frame"] = person.frame if person.frame + len(person) <= _MAX_FRAMES else 0
    point = content["parameters"]["POINT"]
    point["RATE"]["value"] = np.array([person.rate])
    point["LABELS"]["value"] = list(person.skeleton.names)
    point["UNITS"]["value"] = ["mm"]
    content.add_parameter("POINT", "X_SCREEN", "+X", "to the right as the camera saw it")
    content.add_parameter("POINT", "Y_SCREEN", "+Z", "up")
    content["data"]["points"] = 1000 * (person.joints @ Y_UP_TO_Z_UP.T).transpose(2, 1, 0)
    residuals = np.clip(np.round(1000 * person.sigma), 1, _MAX_RESIDUAL) * person.observed[:, None]
    # The format has the residual in the low byte of a point's fourth word and a mask of cameras in the high byte
    # (c3d.org, floating-point 3D data); ezc3d 1.7 has them the other way round. So both hold the residual.
    bits = residuals.astype(int) >> np.arange(7)[:, None, None] & 1
    content["data"]["meta_points"]["residuals"] = residuals.T[None]
    content["data"]["meta_points"]["camera_masks"] = bits.astype(bool).swapaxes(1, 2)
    return content


def _check_whole(path: Path, content: Any) -> None:
    """ezc3d does not tell when a disk is full, and crashes on a file that is cut off: the points are read here.

    The ninth 16-bit word of the file is the number of the 512-byte block, from one, in which the points begin; each is
    four floats. Raises OSError where some are missing.
    """
    points = content["data"]["points"].T
    data = path.read_bytes()
    start = 512 * (struct.unpack_from("<H", data, 16)[0] - 1) if len(data) >= 512 else 0
    whole = 512 <= start <= len(data) - 16 * points[..., 0].size
    if whole:
        written = np.frombuffer(data, "<f4", 4 * points[..., 0].size, start).reshape(*points.shape[:2], 4)
        whole = np.allclose(written[..., :3], points, rtol=1e-5, atol=0.01)
    if not whole:
        raise OSError(errno.EIO, "the points were not written whole")
