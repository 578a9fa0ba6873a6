"""`cascadepose angles`: joint angles over time."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from cascadepose.commands.options import choose_track, count

_ANGLES = """Joint angles of the people in a result: hips, knees, shoulders, elbows and trunk, in degrees over time.

RESULT is what `cascadepose infer` wrote: the folder, poses.json or poses.npz.
DIR gets  angles_ID.png  curves of every person, left and right together
          angles.csv     the numbers, one row a frame and person; docs/angles.md says how each angle is defined
"""
_EXAMPLES = """examples:
  cascadepose angles out
  cascadepose angles out/poses.npz --track 2 --out gait

exit status: 0 written, 2 bad input (one line says what and the remedy)
"""


def declare(commands: Any) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "angles",
        help="joint angles over time, as curves and as a table",
        description=_ANGLES,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("result", metavar="RESULT", type=Path, help="folder, poses.json or poses.npz")
    add("--out", metavar="DIR", type=Path, help="folder for the files (default: that of the result)")
    add("--track", type=count, metavar="ID", help="one person only (default: everybody)")


def run(args: argparse.Namespace) -> int:
    """Carry it out and return the exit status."""
    from cascadepose.export import load_result
    from cascadepose.visualize.angle_plots import write_angles

    result = load_result(args.result)
    first = choose_track(result, args.track)
    tracks = result.tracks if args.track is None else [first]
    folder = args.result if args.result.is_dir() else args.result.parent
    for path in write_angles(tracks, args.out or folder):
        print(path)
    return 0
