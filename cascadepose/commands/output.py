"""What `infer`, `lift` and `export` leave behind, and how they say so: result files, the overlay, a summary."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cascadepose.commands.options import names
from cascadepose.errors import InputError
from cascadepose.export import ALL, FORMATS, check_formats, save_result

if TYPE_CHECKING:
    from cascadepose.timing import StageClock
    from cascadepose.types import VideoResult


def add_formats(group: Any, default: Iterable[str] | None = ("json", "npz")) -> None:
    """Declare --formats; it is required where there is no default."""
    known = ",".join(suffix[1:] for suffix in FORMATS)
    usual = f" (default: {','.join(default)})" if default else ""
    group.add_argument(
        "--formats",
        type=names,
        default=list(default or ()),
        required=not default,
        metavar="LIST",
        help=f"files to write, of {known}, or {ALL}{usual}",
    )


def add_drawing(group: Any) -> None:
    """Declare how the overlay is drawn."""
    add = group.add_argument
    add("--no-overlay", action="store_true", help="write the numbers only")
    add("--no-panel", action="store_true", help="overlay without the 3D views")
    add("--boxes", action="store_true", help="draw the boxes, too")
    add("--min-score", type=float, default=0.3, metavar="SCORE", help="draw joints from this score on (default: 0.3)")


def chosen_formats(wanted: list[str], lifted: bool) -> list[str]:
    """The formats to write, once a note has named those that `all` would mean but for a missing package.

    Raises InputError for what is unknown or not possible.
    """
    formats = check_formats(wanted, lifted)
    if ALL in wanted and lifted:
        for name in (suffix[1:] for suffix in FORMATS if suffix[1:] not in formats):
            try:
                check_formats([name])
            except InputError as error:
                print(f"note: {name} is left out: {error}", file=sys.stderr)
    return formats


class Output:
    """Collects what was written and what could not be: nothing that fails keeps the rest from being written.

    written      the files there are
    problem      one line about the files that could not be written, "" if all were
    interrupted  Ctrl-C ended it
    """

    def __init__(self) -> None:
        self.written: list[Path] = []
        self.problem, self.interrupted = "", False

    def write(
        self, result: VideoResult, args: argparse.Namespace, formats: list[str], clock: StageClock, source: Any = None
    ) -> None:
        """Save the result and, unless --no-overlay, draw it over `source` (default: where it was found)."""
        from cascadepose.files import PartlyWritten, write_each

        lifted = not result.tracks or any(track.poses3d is not None for track in result.tracks)
        possible = formats if lifted else [name for name in formats if name in check_formats([ALL], lifted=False)]
        if len(possible) < len(formats):
            missing = ", ".join(name for name in formats if name not in possible)
            print(f"note: the result has no 3D joints, so there is no {missing}", file=sys.stderr)

        def save() -> list[Path]:
            with clock.stage("write"):
                return save_result(result, args.out, possible)

        def draw() -> list[Path]:
            try:
                return [_overlay(result, args, clock, source)]
            except KeyboardInterrupt:
                self.interrupted = True
                print("interrupted: the overlay is not written", file=sys.stderr)
                return []

        try:
            self.written = write_each([save] if args.no_overlay else [save, draw])
        except InputError as error:
            self.problem = str(error)
            self.written = error.written if isinstance(error, PartlyWritten) else []


def _overlay(result: VideoResult, args: argparse.Namespace, clock: StageClock, source: Any) -> Path:
    from cascadepose.timing import progress_bar

    image = result.fps is None
    path = args.out / ("overlay.png" if image else "overlay.mp4")
    style = {"boxes": args.boxes, "panel": not args.no_panel, "min_score": args.min_score}
    with progress_bar("overlay", result.num_frames, not (args.quiet or image)) as advance:
        return result.overlay(path, source, progress=advance, clock=clock, **style)


def summarize(result: VideoResult, written: list[Path], clock: StageClock, hint: str = "") -> None:
    """Print who was found, the notes, the files and the time of each stage; `hint` where nobody was found."""
    count = len(result.tracks)
    print(f"{count or 'no'} {'person' if count == 1 else 'people'} in {result.num_frames} frames of {result.source}")
    for track in result.tracks:
        seen = int(track.observed.sum())
        print(f"  id {track.track_id}: frames {track.frame_index[0]}-{track.frame_index[-1]}, seen in {seen}")
    for note in result.notes:
        print(f"note: {note}")
    if not count and hint:
        print(f"note: {hint}")
    for path in written:
        print(path)
    print(clock.table(result.num_frames))
