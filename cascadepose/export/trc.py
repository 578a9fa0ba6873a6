"""3D joints as TRC, the marker trajectories that OpenSim reads: metres, y up, one file for each person."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cascadepose.export import schema
from cascadepose.export.motion import Motion, motions, write_people
from cascadepose.types import VideoResult

_HEAD = (
    "DataRate",
    "CameraRate",
    "NumFrames",
    "NumMarkers",
    "Units",
    "OrigDataRate",
    "OrigDataStartFrame",
    "OrigNumFrames",
)


def write(result: VideoResult, path: str | Path) -> list[Path]:
    """Write each person's joints as markers of the same names; returns the files, see motion.person_paths.

    Times are those of the video. Frames in which a person was not seen hold the interpolated pose: the format has no
    mask. Raises InputError where nobody has 3D joints, a number is not finite, or the place cannot be written.
    """
    schema.check_finite(result)
    return write_people(Path(path), motions(result), _write_person)


def _write_person(person: Motion, path: Path, name: str) -> None:
    count, names = len(person), person.skeleton.names
    rate = f"{person.rate:.6f}"
    facts = (rate, rate, count, len(names), "m", rate, 1, count)
    lines = [
        f"PathFileType\t4\t(X/Y/Z)\t{name}",
        "\t".join(_HEAD),
        "\t".join(map(str, facts)),
        "Frame#\tTime\t" + "\t\t\t".join(names) + "\t\t",
        "\t\t" + "\t".join(f"{axis}{number}" for number in range(1, len(names) + 1) for axis in "XYZ"),
        "",
    ]
    rows = np.column_stack([np.arange(1, count + 1), person.times, person.joints.reshape(count, -1)])
    formats = ["%d", "%.6f"] + ["%.6f"] * (3 * len(names))
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("\n".join(lines) + "\n")
        np.savetxt(file, rows, formats, delimiter="\t")
