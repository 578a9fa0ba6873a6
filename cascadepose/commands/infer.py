"""`cascadepose infer`: images and video in, poses and overlay out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from cascadepose.commands.options import BAD_INPUT, STOPPED, add_device, add_smoothing, count, rate, smoothing
from cascadepose.commands.output import Output, add_drawing, add_formats, chosen_formats, summarize
from cascadepose.commands.photos import infer_photos
from cascadepose.commands.space_options import add_space, space_settings

_INFER = """Find the people in an image, a video, a folder of images or a camera: 2D joints, ids, 3D joints in metres.

DIR gets  poses.json, poses.npz  everything found, see docs/schema.md; --formats for others, see docs/exports.md
          overlay.mp4 or .png    the input with skeletons, ids and 3D views
"""
_EXAMPLES = """examples:
  cascadepose infer dance.mp4 --out out
  cascadepose infer photo.jpg --out out --threshold 0.3
  cascadepose infer dance.mp4 --preset fast            about three times as many frames a second
  cascadepose infer frames/ --fps 25 --out out         a folder of images is a video in the order of their names
  cascadepose infer album/ --photos --out out          a folder of photographs, each by itself, of any sizes
  cascadepose infer dance.mp4 --formats npz,bvh,trc    for Blender and OpenSim; all for everything there is
  cascadepose infer walk.mp4 --fov 68 --height 1.75    true metres, of people who walk through the room
  cascadepose infer webcam --max-frames 300 --out out  or 0, 1, /dev/video0; Ctrl-C ends it and writes the results

exit status: 0 all done, 2 bad input or a file that cannot be written (one line says what and the remedy; frames
             processed before and the other files are written), 130 Ctrl-C (what was processed is written)
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
    add("--weights", metavar="NAME", help="2D stage: name or path (default: the preset's)")
    add(
        "--lifter",
        metavar="NAME",
        default="dstformer-small",
        help="3D stage, or none for 2D only (default: %(default)s)",
    )
    add(
        "--preset",
        choices=("accurate", "fast"),
        default="accurate",
        help="fast: smaller crops and pictures, every third frame for the detector, one look (default: %(default)s)",
    )
    add_device(group)
    add(
        "--threshold", type=float, metavar="SCORE", help="believe people from this score on (default: the weights' own)"
    )
    add("--batch-size", type=count, metavar="N", help="frames at a time (default: 9 on a GPU, else 3)")
    add("--no-flip-test", action="store_true", help="lift once, not also mirrored: faster, a little less exact")
    add_smoothing(group, "of videos, 2D and 3D")
    group = parser.add_argument_group("input")
    group.add_argument("--fps", type=rate, help="frame rate of a folder of images or a camera (default: 30)")
    group.add_argument("--max-frames", type=count, metavar="N", help="stop after N frames")
    group.add_argument(
        "--photos", action="store_true", help="a folder of images is no video: each by itself, in DIR/NAME"
    )
    add_space(parser)
    group = parser.add_argument_group("output")
    add_drawing(group)
    add_formats(group)
    group.add_argument("--quiet", action="store_true", help="no progress, no summary")


def run(args: argparse.Namespace) -> int:
    """Carry it out and return the exit status."""
    from cascadepose.data.frames import open_source
    from cascadepose.data.images import list_images
    from cascadepose.files import make_folder
    from cascadepose.timing import StageClock

    formats = chosen_formats(args.formats, lifted=args.lifter.lower() != "none")
    settings = {"space": space_settings(args), **smoothing(args)}
    make_folder(args.out)
    source = list_images(args.input) if args.photos else open_source(args.input, args.fps)
    from cascadepose.loading import load
    from cascadepose.pipeline import INTERRUPTED  # slow to import, so only once the input is known to be good

    lifter = None if args.lifter.lower() == "none" else args.lifter
    flip_test = False if args.no_flip_test else None
    settings |= {"preset": args.preset, "backend": args.backend, "onnx_folder": args.onnx}
    pose = load(args.weights, lifter, args.device, args.threshold, args.batch_size, flip_test, **settings)
    if args.photos:
        return infer_photos(pose, source, args, formats, StageClock())
    clock, output = StageClock(), Output()
    record = args.out / "recording.mp4" if source.live and not args.no_overlay else None
    result = pose(source, max_frames=args.max_frames, record=record, progress=not args.quiet, clock=clock)
    output.write(result, args, formats, clock)
    if not args.quiet:
        summarize(result, output.written, clock, "a lower --threshold believes weaker sightings")
    interrupted = output.interrupted or result.incomplete.startswith(INTERRUPTED)
    if result.incomplete:
        kind = "" if interrupted else "error: "
        print(f"{kind}{result.incomplete} (results until there are in {args.out})", file=sys.stderr)
    if output.problem:
        print(f"error: {output.problem}", file=sys.stderr)
    return STOPPED if interrupted else BAD_INPUT if result.incomplete or output.problem else 0
