"""`cascadepose view`: a result in the browser."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cascadepose.commands.options import count

if TYPE_CHECKING:
    from cascadepose.types import VideoResult
    from cascadepose.visualize.small_pictures import SmallPictures
    from cascadepose.visualize.viewer import Viewer

_MEMORY = 200_000_000  # bytes of pictures that the server keeps
_VIEW = """Look at a result in the browser: 3D skeletons to turn, the video frames beside them, a time slider.

RESULT is what `cascadepose infer` wrote: the folder, poses.json or poses.npz. Its video is read again; where that is
not possible, the page goes without. The page is open to this machine only. Ctrl-C ends it.

--html writes a page of one file instead, to send to somebody: it needs no server, no network and no other file.
"""
_EXAMPLES = """examples:
  cascadepose view out                             needs viser: pip install 'cascadepose[view]'
  cascadepose view out --port 9000 --no-browser    the address is printed
  cascadepose view out/poses.npz --video moved/dance.mp4
  cascadepose view out --html dance.html
  cascadepose view out --html dance.html --no-pictures

exit status: 0 ended or written, 2 bad input (one line says what and the remedy)
"""


def declare(commands: Any) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "view",
        help="3D skeletons and video in the browser, or as a page to send",
        description=_VIEW,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("result", metavar="RESULT", type=Path, help="folder, poses.json or poses.npz")
    add("--video", metavar="FILE", help="where the frames are now (default: where the result found them)")
    add("--no-pictures", action="store_true", help="skeletons only")
    add("--width", type=count, metavar="PX", help="longer side of the pictures (default: 640, in --html 480)")
    add("--port", type=int, default=8080, metavar="N", help="where to serve, 0 for any free port (default: 8080)")
    add("--no-browser", action="store_true", help="print the address, open nothing")
    add("--html", metavar="FILE", type=Path, help="write a page of one file, serve nothing")
    add(
        "--megabytes", type=count, default=6, metavar="MB",
        help="what the pictures of --html may take; fewer frames have one where they take more (default: 6)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Carry it out and return the exit status."""
    from cascadepose.export import load_result

    if args.html:
        from cascadepose.visualize.html import write_html

        result = load_result(args.result)
        pictures, note = _pictures(result, args, width=args.width or 480, budget=args.megabytes * 1_000_000)
        print(write_html(result, args.html, pictures, note))
        return 0
    from cascadepose.visualize import viewer
    from cascadepose.visualize.scene import build_scene

    viewer.require()
    viewer.check_port(args.port)
    result = load_result(args.result)
    build_scene(result)  # says at once if there is nothing to show
    pictures, _ = _pictures(result, args, width=args.width or 640, budget=_MEMORY, paint=viewer.painter(result))
    return _serve(viewer.Viewer(result, pictures, args.port), not args.no_browser)


def _serve(view: Viewer, browser: bool) -> int:
    print(f"{view.address} (Ctrl-C ends it)", flush=True)
    if browser:
        import webbrowser

        webbrowser.open(view.address)
    try:
        view.run()
    finally:
        view.close()
    return 0


def _pictures(result: VideoResult, args: argparse.Namespace, **options: Any) -> tuple[SmallPictures | None, str]:
    """The pictures if there are any, and why there are none."""
    from cascadepose.timing import progress_bar
    from cascadepose.visualize.small_pictures import pictures_or_reason, small_pictures

    if args.no_pictures:
        return None, ""
    with progress_bar("pictures", result.num_frames, result.num_frames > 1 and sys.stderr.isatty()) as advance:
        if args.video:
            return small_pictures(result, args.video, progress=advance, **options), ""
        pictures, reason = pictures_or_reason(result, progress=advance, **options)
    if reason:
        print(f"note: {reason}; --video FILE says where they are now", file=sys.stderr)
    return pictures, reason
