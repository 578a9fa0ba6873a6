"""3D joints as C3D, the binary format of motion laboratories: millimetres, z up, one file for each person."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from cascadepose.errors import InputError
from cascadepose.export import schema
from cascadepose.export.motion import Y_UP_TO_Z_UP, Motion, motions, person_paths
from cascadepose.files import atomic_path
from cascadepose.types import VideoResult

_MAX_RESIDUAL = 255  # mm: the format keeps one byte


def require() -> None:
    """Raises InputError, which names the extra, where ezc3d is missing."""
    try:
        import ezc3d  # noqa: F401
    except ImportError:
        raise InputError("C3D files are written by ezc3d, which is missing; pip install 'cascadepose[c3d]'") from None


def write(result: VideoResult, path: str | Path) -> list[Path]:
    """Write each person's joints as points of the same names; returns the files, see motion.person_paths.

    The parameters X_SCREEN and Y_SCREEN of the group POINT state the axes. The residual of a point is the standard
    deviation across the line of sight in whole mm (1..255, see Motion.sigma), and 0, which means interpolated, in
    frames in which the person was not seen. Raises InputError where ezc3d is missing, nobody has 3D joints, a number is
    not finite, or the place cannot be written.
    """
    require()
    schema.check_finite(result)
    people = motions(result)
    paths = person_paths(Path(path), people)
    for person, file in zip(people, paths, strict=True):
        content = _content(person)
        with atomic_path(file) as temporary:
            content.write(str(temporary))
            _check_whole(temporary, content)
    return paths


def _content(person: Motion) -> Any:
    import ezc3d

    content = ezc3d.c3d()
    content["header"]["points"]["first_frame"] = person.frame
    point = content["parameters"]["POINT"]
    point["RATE"]["value"] = np.array([person.rate])
    point["LABELS"]["value"] = list(person.skeleton.names)
    point["UNITS"]["value"] = ["mm"]
    content.add_parameter("POINT", "X_SCREEN", "+X", "to the right as the camera saw it")
    content.add_parameter("POINT", "Y_SCREEN", "+Z", "up")
    content["data"]["points"] = 1000 * (person.joints @ Y_UP_TO_Z_UP.T).transpose(2, 1, 0)
    residuals = np.clip(np.round(1000 * person.sigma), 1, _MAX_RESIDUAL) * person.observed[:, None]
    content["data"]["meta_points"]["residuals"] = residuals.T[None]
    return content


def _check_whole(path: Path, content: Any) -> None:
    """ezc3d does not tell when a disk is full, so the file is read back. Raises OSError where points are missing."""
    import ezc3d

    points = content["data"]["points"]
    try:
        written = ezc3d.c3d(str(path))["data"]["points"][:3]
    except Exception:  # a file that is cut off can fail anywhere
        written = np.empty(0)
    if written.shape != points.shape or not np.allclose(written, points, rtol=1e-5, atol=0.01):
        full = shutil.disk_usage(path.parent).free < 1 << 20
        raise OSError(errno.ENOSPC if full else errno.EIO, "the points were not written whole")
