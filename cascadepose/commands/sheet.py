"""`cascadepose sheet`: a whole video on one page."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from cascadepose.commands.options import count

_SHEET = """Draw frames of a result at even distances on one page, with skeletons, times and ids.

RESULT is what `cascadepose infer` wrote: the folder, poses.json or poses.npz. Its video is read again.
"""
_EXAMPLES = """examples:
  cascadepose sheet out
  cascadepose sheet out --frames 20 --columns 5 --file page.png
  cascadepose sheet poses.npz --source moved/dance.mp4 --no-panel

exit status: 0 written, 2 bad input (one line says what and the remedy)
"""


def declare(commands: Any) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "sheet",
        help="a whole video on one page",
        description=_SHEET,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("result", metavar="RESULT", type=Path, help="folder, poses.json or poses.npz")
    add("--file", metavar="FILE", type=Path, help="picture to write (default: sheet.png beside the result)")
    add("--source", metavar="VIDEO", help="where the frames are now (default: where the result found them)")
    add("--frames", type=count, default=12, metavar="N", help="how many pictures (default: 12)")
    add("--columns", type=count, default=4, metavar="N", help="pictures in a row (default: 4)")
    add("--width", type=count, default=480, metavar="PX", help="width of each picture (default: 480)")
    add("--boxes", action="store_true", help="draw the boxes, too")
    add("--no-panel", action="store_true", help="without the 3D views")


def run(args: argparse.Namespace) -> int:
    """Carry it out and return the exit status."""
    from cascadepose.export import load_result
    from cascadepose.visualize.contact_sheet import contact_sheet

    result = load_result(args.result)
    folder = args.result if args.result.is_dir() else args.result.parent
    style = {"boxes": args.boxes, "panel": not args.no_panel}
    file = args.file or folder / "sheet.png"
    print(contact_sheet(result, file, args.source, args.frames, args.columns, args.width, **style))
    return 0
