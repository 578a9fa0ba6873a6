"""2D results of other programs as tracks, for lifting and comparing: one module a format, each with `read(path)`.

people = read_people("alphapose-results.json")      # sightings, frame by frame, in the file's own joints
tracks = convert_tracks(people.tracks(fps=25), COCO17)
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from cascadepose.data.layouts import expects
from cascadepose.data.results2d.people import People2D, Sighting, convert_tracks
from cascadepose.errors import InputError
from cascadepose.files import read_json
from cascadepose.skeletons import Skeleton, find_skeleton

__all__ = ["FORMATS", "People2D", "Sighting", "convert_tracks", "read_people"]

FORMATS = {
    "alphapose": "alphapose:read",
    "openpose": "openpose:read",
    "mmpose": "mmpose:read",
    "coco": "coco_results:read",
    "rtmlib": "arrays:read_rtmlib",
    "npz": "arrays:read",
    "csv": "table:read",
}
MOST_FRAMES = 10_000_000  # some days of video
_GUESSES = {
    "alphapose": "alphapose",
    "rtmlib": "arrays",
    "mmpose": "mmpose",
    "coco": "coco_results",
    "openpose": "openpose",
}


@expects("2D results of a known program; see docs/protocols.md")
def read_people(path: str | Path, format: str | None = None, skeleton: str | None = None) -> People2D:
    """The people that another program found in a video.

    format    one of FORMATS; None: by the file's suffix and content
    skeleton  name of the joint set, or a file that declares one (see skeletons.find_skeleton), where the number of
              joints does not say it, such as 17 joints in Human3.6M's order
    Raises InputError for unknown formats, unknown joints and files of another layout.
    """
    path, known = Path(path), None if skeleton is None else find_skeleton(skeleton)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; check the path")
    format = format or _guess(path)
    if format not in FORMATS:
        raise InputError(f"unknown format {format!r}; use one of: {', '.join(FORMATS)}")
    people = _reader(format)(path, known)
    if any(not 0 <= entry.frame < MOST_FRAMES for entry in people.sightings):
        raise InputError(f"{path}: has frame numbers below 0 or beyond {MOST_FRAMES}; number the frames from 0 on")
    # somebody of whom not one joint was found was not seen
    return replace(people, sightings=tuple(entry for entry in people.sightings if (entry.scores > 0).any()))


def _reader(format: str) -> Callable[[Path, Skeleton | None], People2D]:
    module, name = FORMATS[format].split(":")
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)


def _guess(path: Path) -> str:
    if path.is_dir():
        return "openpose"
    if path.suffix in (".npz", ".csv"):
        return path.suffix[1:]
    content = read_json(path, "result file")
    for format, module in _GUESSES.items():
        if importlib.import_module(f"{__name__}.{module}").fits(content):
            return format
    raise InputError(f"{path}: is of no format known here; name one: {', '.join(FORMATS)}")
