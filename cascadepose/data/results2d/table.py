"""Tables: a CSV with a row for each frame, person and joint, such as this package writes."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from cascadepose.data.results2d.people import LAYOUTS, People2D, sighting
from cascadepose.errors import InputError
from cascadepose.skeletons import SKELETONS, Skeleton

__all__ = ["read"]

NAMES = {  # column -> what else it may be called
    "frame": ("frame", "frame_index", "frame_id", "image_id"),
    "person": ("person", "track_id", "person_id", "id"),
    "joint": ("joint", "keypoint", "joint_name", "part"),
    "x": ("x", "x_px"),
    "y": ("y", "y_px"),
    "score": ("score", "confidence", "likelihood"),
}


def read(path: Path, skeleton: Skeleton | None = None) -> People2D:
    """Columns frame, joint (name or number), x, y in pixels, and, where there are, person and score.

    Rows without x and y, such as 3D joints, are passed over; joints that a person lacks count as not found. Without
    names the number of joints says whose they are. Raises InputError for missing columns and unknown joints.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            columns = {name: next((c for c in rows.fieldnames or () if c.strip() in known), None)
                       for name, known in NAMES.items()}  # fmt: skip
            if missing := [name for name in ("frame", "joint", "x", "y") if columns[name] is None]:
                raise InputError(f"{path}: has no column {', '.join(missing)}; its header is {rows.fieldnames}")
            cells = [_row(row, columns) for row in rows if (row[columns["x"]] or "").strip()]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except (ValueError, csv.Error, AttributeError) as error:
        raise InputError(f"{path}: is no table of numbers ({error}); expected {', '.join(NAMES)}") from None
    if not cells:
        raise InputError(f"{path}: has no row with x and y; is it the right file?")
    skeleton = skeleton or _skeleton(path, list(dict.fromkeys(joint for _, _, joint, _ in cells)))
    people: dict[tuple[int, int], np.ndarray] = {}
    for frame, person, joint, values in cells:
        index = int(joint) if joint.isdigit() else skeleton.index(joint)
        if index >= skeleton.num_joints:
            raise InputError(f"{path}: joint {index} is none of the {skeleton.num_joints} of {skeleton.name}")
        people.setdefault((frame, person), np.zeros((skeleton.num_joints, 3), np.float32))[index] = values
    found = [
        sighting(frame, rows[:, :2], rows[:, 2].clip(0, 1), track_id=person if columns["person"] else None)
        for (frame, person), rows in sorted(people.items(), key=lambda item: item[0])
        if (rows[:, 2] > 0).any()
    ]
    return People2D(tuple(found), skeleton, max((frame for frame, _ in people), default=-1) + 1)


def _row(row: dict[str, str], columns: dict[str, str | None]) -> tuple[int, int, str, tuple[float, float, float]]:
    score = float(row[columns["score"]] or 0) if columns["score"] else 1.0
    person = int(float(row[columns["person"]])) if columns["person"] else 1
    values = float(row[columns["x"]]), float(row[columns["y"]]), score
    if not np.isfinite(values).all():
        values = (0.0, 0.0, 0.0)
    return int(float(row[columns["frame"]])), person, row[columns["joint"]].strip(), values


def _skeleton(path: Path, joints: list[str]) -> Skeleton:
    if all(joint.isdigit() for joint in joints):
        count = max(map(int, joints), default=-1) + 1
        if count not in LAYOUTS:
            raise InputError(f"{path}: numbers {count} joints; name the skeleton (--joints): {', '.join(SKELETONS)}")
        return LAYOUTS[count]
    for skeleton in SKELETONS.values():
        if set(joints) <= set(skeleton.names):
            return skeleton
    raise InputError(
        f"{path}: joints {', '.join(joints[:4])}, ... are those of no known skeleton: {', '.join(SKELETONS)}"
    )
