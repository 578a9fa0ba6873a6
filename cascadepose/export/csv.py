"""Results as one tidy table: a row for each track, frame and joint, for spreadsheets, R and pandas."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cascadepose.errors import InputError
from cascadepose.export import schema
from cascadepose.files import atomic_path
from cascadepose.types import Track, VideoResult

if TYPE_CHECKING:
    import pandas

_FLOATS = {  # column -> decimals
    "time_s": 6,
    "x_px": 2,
    "y_px": 2,
    "score": 4,
    "sigma_x_px": 2,
    "sigma_y_px": 2,
    "x_m": 4,
    "y_m": 4,
    "z_m": 4,
    "sigma_x_m": 4,
    "sigma_y_m": 4,
    "sigma_z_m": 4,
    "x_camera_m": 4,
    "y_camera_m": 4,
    "z_camera_m": 4,
    "contact": 0,
}
COLUMNS = ("track_id", "frame", "time_s", "joint", *list(_FLOATS)[1:], "measured", "observed", "joints_frame")
_FEET = ("left_ankle", "right_ankle")


def write(result: VideoResult, path: str | Path) -> list[Path]:
    """Write the table, UTF-8 with a header line and empty cells for what a joint does not have.

    Raises InputError where the place cannot be written or a number is not finite.
    """
    cells = {name: _text(name, column) for name, column in columns(result).items()}
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(zip(*cells.values(), strict=True))
    return [Path(path)]


def to_frame(result: VideoResult) -> pandas.DataFrame:
    """The same table as a pandas frame, unrounded, NaN for what a joint does not have.

    Raises InputError where pandas is missing or a number is not finite.
    """
    try:
        import pandas
    except ImportError:
        raise InputError("pandas is not installed; pip install 'cascadepose[pandas]'") from None
    return pandas.DataFrame(columns(result))


def columns(result: VideoResult) -> dict[str, np.ndarray]:
    """The table by its COLUMNS, each [rows]: tracks, then frames, then joints in the order of their skeletons.

    A joint that both skeletons of a track name (left_hip) is one row with pixels and metres; one that only the 2D
    skeleton has (left_eye) has NaN metres, one that only the 3D skeleton has (pelvis) NaN pixels. Pixels and metres
    have the axes of the result, x right and y down; `joints_frame` names the frame of the metres as Poses3D does, ""
    where there are none. sigma_x_m and so on are one standard deviation of the metres, x_camera_m and so on the place
    in the camera frame, and contact, of ankles, is 1 where the foot stands: NaN where they are not known. `measured` is
    False for 3D joints put together from several keypoints.
    """
    schema.check_finite(result)
    tables = [_track_columns(track) for track in result.tracks]
    empty = {name: np.empty(0, _dtype(name)) for name in COLUMNS}
    return {name: np.concatenate([empty[name], *(table[name] for table in tables)]) for name in COLUMNS}


def _track_columns(track: Track) -> dict[str, np.ndarray]:
    pose, count = track.poses3d, len(track)
    names = list(track.skeleton.names)
    if pose is not None:
        names += [name for name in pose.skeleton.names if name not in names]
    flat = np.full((count, len(names), 5), np.nan)
    flat[:, : track.skeleton.num_joints] = np.concatenate([track.keypoints, track.scores[..., None], track.sigma], -1)
    space = np.full((count, len(names), 10), np.nan)
    measured = np.ones(len(names), bool)
    if pose is not None:
        index = [names.index(name) for name in pose.skeleton.names]
        space[:, index, :3], measured[index] = pose.joints, pose.measured
        if pose.sigma is not None:
            space[:, index, 3:6] = pose.sigma
        if track.root is not None:
            space[:, index, 6:9] = track.in_camera().joints
    feet = [foot for foot in _FEET if foot in names]
    if track.contacts is not None and len(feet) == len(_FEET):
        space[:, [names.index(foot) for foot in feet], 9] = track.contacts
    rows, joints = np.divmod(np.arange(count * len(names)), len(names))
    values = dict(zip(list(_FLOATS)[1:], np.concatenate([flat, space], -1).reshape(-1, 15).T, strict=True))
    values |= {"track_id": np.full(len(rows), track.track_id), "joint": np.array(names)[joints]}
    values |= {"frame": track.frame_index[rows], "time_s": track.timestamp[rows], "observed": track.observed[rows]}
    values |= {"measured": measured[joints], "joints_frame": np.full(len(rows), pose.frame if pose else "")}
    return {name: values[name].astype(_dtype(name)) for name in COLUMNS}


def _dtype(column: str) -> type:
    if column in ("joint", "joints_frame"):
        return object
    return float if column in _FLOATS else bool if column in ("measured", "observed") else np.int64


def _text(name: str, column: np.ndarray) -> list[str]:
    """Rounded numbers, empty for NaN; truth as 1 and 0."""
    if name in _FLOATS:
        pattern = f"%.{_FLOATS[name]}f"
        return ["" if value != value else pattern % value for value in column.tolist()]
    return [str(int(value)) if isinstance(value, bool) else str(value) for value in column.tolist()]
