"""`cascadepose export`: a saved result in other formats."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from cascadepose.commands.options import BAD_INPUT, choose_track, count
from cascadepose.commands.output import add_formats, chosen_formats

_EXPORT = """Write a saved result in other formats, for Blender, OpenSim, Mokka, browsers, spreadsheets and notebooks.

RESULT is what `cascadepose infer` or `lift` wrote: the folder, poses.json or poses.npz. The files are named after it,
poses.bvh and so on. BVH, TRC and C3D hold one person: with several people the id of each ends the name, poses-2.bvh.
docs/exports.md says what each format holds, in which units and axes.
"""
_EXAMPLES = """examples:
  cascadepose export out --formats bvh,glb            for Blender
  cascadepose export out --formats trc,c3d            for OpenSim and Mokka
  cascadepose export out/poses.npz --formats all --out everything
  cascadepose export out --formats csv --track 2      one person only: poses-2.csv

exit status: 0 written, 2 bad input or a file that cannot be written (one line says what and the remedy; the other files
             are written)
"""


def declare(commands: Any) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "export",
        help="a saved result in other formats",
        description=_EXPORT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("result", metavar="RESULT", type=Path, help="folder, poses.json or poses.npz")
    add_formats(parser, default=None)
    add("--out", metavar="DIR", type=Path, help="folder for the files (default: that of the result)")
    add("--track", type=count, metavar="ID", help="one person only (default: everybody)")


def run(args: argparse.Namespace) -> int:
    """Carry it out and return the exit status."""
    from dataclasses import replace

    from cascadepose.export import load_result, save_result
    from cascadepose.files import PartlyWritten

    result = load_result(args.result)
    folder = args.result if args.result.is_dir() else args.result.parent
    stem = "poses" if args.result.is_dir() else args.result.stem
    if args.track is not None:
        result, stem = replace(result, tracks=(choose_track(result, args.track),)), f"{stem}-{args.track}"
    lifted = not result.tracks or any(track.poses3d is not None for track in result.tracks)
    formats = chosen_formats(args.formats, lifted)
    problem = None
    try:
        written = save_result(result, args.out or folder, formats, stem)
    except PartlyWritten as error:
        written, problem = error.written, error
    for path in written:
        print(path)
    if not result.tracks:
        print("note: nobody is in the result, so there are no files of 3D joints", file=sys.stderr)
    if problem is not None:
        print(f"error: {problem}", file=sys.stderr)
    return BAD_INPUT if problem is not None else 0
