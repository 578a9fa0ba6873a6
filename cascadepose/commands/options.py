"""What the commands share: exit statuses, the values that options take, and the person that they name."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cascadepose.errors import InputError

if TYPE_CHECKING:
    from cascadepose.types import Track, VideoResult

BAD_INPUT, STOPPED = 2, 130
SMOOTHING = ("butterworth", "savgol", "none")  # smoothing.METHODS; importing them would make --help wait for numpy


def names(text: str) -> list[str]:
    """Names with commas between them."""
    found = [name for part in text.split(",") if (name := part.strip().lower().lstrip("."))]
    if not found:
        raise argparse.ArgumentTypeError("no names given")
    return found


def count(text: str) -> int:
    """A whole number above zero."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not above zero")
    return number


def rate(text: str) -> float:
    """Frames a second."""
    number = float(text)
    if not 0 < number < 1e5:
        raise argparse.ArgumentTypeError(f"{text} is no frame rate")
    return number


def add_device(group: Any) -> None:
    """Declare where the networks run and what runs them: `load`'s device, backend and onnx_folder."""
    add = group.add_argument
    add("--device", help="cpu, cuda, cuda:1, ... (default: a GPU where there is one)")
    add("--backend", choices=("torch", "onnx"), default="torch", help="what runs the networks (default: torch)")
    add("--onnx", metavar="DIR", type=Path, help="folder of `cascadepose onnx` (default: kept in the user's cache)")


def add_smoothing(group: Any, of: str) -> None:
    """Declare how motion is smoothed; `of` what, for the help."""
    group.add_argument("--smooth", choices=SMOOTHING, default=SMOOTHING[0], help=f"{of} (default: %(default)s)")
    group.add_argument("--cutoff", type=float, metavar="HZ", help="faster motion is noise (default: 5)")


def smoothing(args: argparse.Namespace) -> dict[str, Any]:
    """The arguments `smooth` and `cutoff` that the options say. Raises InputError for a cutoff that is no frequency."""
    from cascadepose.smoothing import CUTOFF, check_smoothing

    cutoff = CUTOFF if args.cutoff is None else args.cutoff
    check_smoothing(args.smooth, cutoff)
    return {"smooth": args.smooth, "cutoff": cutoff}


def choose_track(result: VideoResult, number: int | None = None) -> Track:
    """The track with this id, or the one that is seen longest. Raises InputError where there is none."""
    if not result.tracks:
        raise InputError(f"{result.source}: nobody was found in it; a lower --threshold of infer believes more")
    if number is None:
        return max(result.tracks, key=lambda track: int(track.observed.sum()))
    for track in result.tracks:
        if track.track_id == number:
            return track
    known = ", ".join(str(track.track_id) for track in result.tracks)
    raise InputError(f"{result.source}: there is no track {number}; there are {known}")
