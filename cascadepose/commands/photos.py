"""`cascadepose infer --photos`: the pictures of a folder, each by itself, whatever their sizes."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from cascadepose.commands.options import BAD_INPUT, STOPPED
from cascadepose.commands.output import Output
from cascadepose.errors import InputError

if TYPE_CHECKING:
    from cascadepose.pipeline import Pipeline
    from cascadepose.timing import StageClock


def infer_photos(
    pose: Pipeline, paths: list[Path], args: argparse.Namespace, formats: list[str], clock: StageClock
) -> int:
    """Results of every picture in a folder of its name under --out; returns the exit status.

    A picture that cannot be read, or whose files cannot be written, is named in one line and the others go on.
    """
    from cascadepose.files import make_folder
    from cascadepose.pipeline import INTERRUPTED
    from cascadepose.timing import progress_bar

    paths = paths[: args.max_frames]
    people, done, problems, interrupted = 0, 0, [], False
    with progress_bar("photos", len(paths), not args.quiet) as advance:
        try:
            for path, name in zip(paths, folder_names(paths), strict=True):
                place = argparse.Namespace(**vars(args) | {"out": args.out / name, "quiet": True})
                try:
                    result, output = pose(path, progress=False, clock=clock), Output()
                    make_folder(place.out)
                    output.write(result, place, formats, clock)
                    if output.interrupted or result.incomplete.startswith(INTERRUPTED):
                        raise KeyboardInterrupt
                    if problem := output.problem or result.incomplete:
                        raise InputError(problem)
                    people, done = people + len(result.tracks), done + 1
                except InputError as error:
                    problems.append(str(error))
                advance(1)
        except KeyboardInterrupt:
            interrupted = True
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    if interrupted:
        print(f"interrupted after {done} of {len(paths)} photos (their results are in {args.out})", file=sys.stderr)
    elif not args.quiet:
        print(f"{people} people in {done} photos of {args.input}; results in {args.out}")
        print(clock.table(max(done, 1)))
    return STOPPED if interrupted else BAD_INPUT if problems else 0


def folder_names(paths: list[Path]) -> list[str]:
    """A name for each picture's results: its own without the suffix, with it where two would be the same."""
    stems = Counter(path.stem.lower() for path in paths)
    return [path.stem if stems[path.stem.lower()] == 1 else path.name for path in paths]
