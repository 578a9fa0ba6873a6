"""`cascadepose infer`: images and video in, poses and overlay out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cascadepose.commands.options import BAD_INPUT, STOPPED, count, names, rate

if TYPE_CHECKING:
    from cascadepose.timing import StageClock
    from cascadepose.types import VideoResult

_INFER = """Find the people in an image, a video, a folder of images or a camera: 2D joints, ids, 3D joints in metres.

DIR gets  poses.json, poses.npz  everything found, see docs/schema.md; --formats for others, see docs/exports.md
          overlay.mp4 or .png    the input with skeletons, ids and 3D views
"""
_EXAMPLES = """examples:
  cascadepose infer dance.mp4 --out out
  cascadepose infer photo.jpg --out out --threshold 0.3
  cascadepose infer frames/ --fps 25 --out out         a folder of images is a video in the order of their names
  cascadepose infer dance.mp4 --formats npz,bvh,trc    for Blender and OpenSim
  cascadepose infer webcam --max-frames 300 --out out  or 0, 1, /dev/video0; Ctrl-C ends it and writes the results

exit status: 0 all done, 2 bad input (one line says what and the remedy; frames processed before are written),
             130 Ctrl-C (what was processed is written)
"""


def declare(commands: Any) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "infer",
        help="images or video in, poses and overlay out",
        description=_INFER,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("input", metavar="INPUT", help="image, video, folder of images, camera (webcam, 0, 1, ...) or stream address")
    add("--out", metavar="DIR", type=Path, default=Path("out"), help="folder for the results (default: out)")
    group = parser.add_argument_group("models")
    add = group.add_argument
    add(
        "--weights",
        metavar="NAME",
        default="prtr-mobilenetv2-small",
        help="2D stage: name or path (default: %(default)s)",
    )
    add(
        "--lifter",
        metavar="NAME",
        default="dstformer-small",
        help="3D stage, or none for 2D only (default: %(default)s)",
    )
    add("--device", help="cpu, cuda, cuda:1, ... (default: a GPU where there is one)")
    add(
        "--threshold", type=float, metavar="SCORE", help="believe people from this score on (default: the weights' own)"
    )
    add("--batch-size", type=count, default=8, metavar="N", help="frames at a time (default: 8)")
    add("--no-flip-test", action="store_true", help="lift once, not also mirrored: faster, a little less exact")
    group = parser.add_argument_group("input")
    group.add_argument("--fps", type=rate, help="frame rate of a folder of images or a camera (default: 30)")
    group.add_argument("--max-frames", type=count, metavar="N", help="stop after N frames")
    group = parser.add_argument_group("output")
    add = group.add_argument
    add("--no-overlay", action="store_true", help="write the numbers only")
    add("--no-panel", action="store_true", help="overlay without the 3D views")
    add("--boxes", action="store_true", help="draw the boxes, too")
    add("--min-score", type=float, default=0.3, metavar="SCORE", help="draw joints from this score on (default: 0.3)")
    add(
        "--formats",
        type=names,
        default=["json", "npz"],
        metavar="LIST",
        help="files to write, of json,npz,csv,bvh,trc,c3d,glb,html (default: json,npz)",
    )
    add("--quiet", action="store_true", help="no progress, no summary")


def run(args: argparse.Namespace) -> int:
    """Carry it out and return the exit status."""
    from cascadepose.data.frames import open_source
    from cascadepose.export import check_formats
    from cascadepose.files import make_folder
    from cascadepose.timing import StageClock

    check_formats(args.formats, lifted=args.lifter.lower() != "none")
    make_folder(args.out)
    source = open_source(args.input, args.fps)
    from cascadepose.pipeline import INTERRUPTED, load  # slow to import, so only once the input is known to be good

    lifter = None if args.lifter.lower() == "none" else args.lifter
    pose = load(args.weights, lifter, args.device, args.threshold, args.batch_size, not args.no_flip_test)
    clock = StageClock()
    record = args.out / "recording.mp4" if source.live and not args.no_overlay else None
    result = pose(source, max_frames=args.max_frames, record=record, progress=not args.quiet, clock=clock)
    with clock.stage("write"):
        written = result.save(args.out, args.formats)
    interrupted = result.incomplete.startswith(INTERRUPTED)
    if not args.no_overlay:
        try:
            written.append(_overlay(result, args, clock))
        except KeyboardInterrupt:
            interrupted = True
            print("interrupted: the overlay is not written", file=sys.stderr)
    if not args.quiet:
        _summarize(result, written, clock)
    if result.incomplete:
        kind = "" if interrupted else "error: "
        print(f"{kind}{result.incomplete} (results until there are in {args.out})", file=sys.stderr)
    return STOPPED if interrupted else BAD_INPUT if result.incomplete else 0


def _overlay(result: VideoResult, args: argparse.Namespace, clock: StageClock) -> Path:
    from cascadepose.timing import progress_bar

    image = result.fps is None
    path = args.out / ("overlay.png" if image else "overlay.mp4")
    with progress_bar("overlay", result.num_frames, not (args.quiet or image)) as advance:
        return result.overlay(
            path, progress=advance, clock=clock, boxes=args.boxes, panel=not args.no_panel, min_score=args.min_score
        )


def _summarize(result: VideoResult, written: list[Path], clock: StageClock) -> None:
    count = len(result.tracks)
    print(f"{count or 'no'} {'person' if count == 1 else 'people'} in {result.num_frames} frames of {result.source}")
    for track in result.tracks:
        seen = int(track.observed.sum())
        print(f"  id {track.track_id}: frames {track.frame_index[0]}-{track.frame_index[-1]}, seen in {seen}")
    for note in result.notes:
        print(f"note: {note}")
    if not count:
        print("note: a lower --threshold believes weaker sightings")
    for path in written:
        print(path)
    print(clock.table(result.num_frames))
