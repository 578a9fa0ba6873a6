"""`cascadepose lift`: 2D poses of other programs in, 3D out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from cascadepose.commands.options import BAD_INPUT, STOPPED, add_device, add_smoothing, rate, smoothing
from cascadepose.commands.output import Output, add_drawing, add_formats, chosen_formats, summarize
from cascadepose.commands.space_options import add_space, space_settings

_LIFT = """Lift 2D poses that another program found, or an earlier run, to 3D joints in metres.

FILE is  alphapose    alphapose-results.json: COCO-17, Halpe-26, whole body
         openpose     the folder of --write_json: BODY_25, COCO-18, Halpe-26
         mmpose       JSON of the Inferencer or the demos
         rtmlib       JSON list of frames {"keypoints": [P][K][2], "scores": [P][K]}
         coco         COCO keypoint results, image_id is the frame; or annotations of one video
         npz          keypoints [T,K,2 or 3] or [T,P,K,2 or 3] px, scores, fps, size
         csv          columns frame, joint, x, y and, where there are, person and score
         cascadepose  poses.json, poses.npz or their folder, to lift once more
DIR gets poses.json, poses.npz  as from infer; --formats for others, see docs/exports.md
         overlay.mp4 or .png    where --video gives the frames

Ids of the file are kept; without ids, people are followed by their poses. Frames in which somebody is missing stay in
the track, marked as not observed. docs/lift.md has an example of each format.
"""
_EXAMPLES = """examples:
  cascadepose lift alphapose-results.json --video dance.mp4 --out out
  cascadepose lift openpose_json/ --size 1280x720 --fps 30
  cascadepose lift keypoints.npz --joints h36m17 --size 1000x1000 --fps 50 --formats npz,bvh
  cascadepose lift out/poses.npz --lifter other.safetensors --out again

exit status: 0 all done, 2 bad input or a file that cannot be written (one line says what and the remedy; the other
             files are written), 130 Ctrl-C
"""


def declare(commands: Any) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "lift",
        help="2D poses of other programs in, 3D out",
        description=_LIFT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("file", metavar="FILE", type=Path, help="2D poses: a file, or a folder of OpenPose's")
    add("--out", metavar="DIR", type=Path, default=Path("out"), help="folder for the results (default: out)")
    group = parser.add_argument_group("input")
    add = group.add_argument
    add("--from", dest="format", metavar="FORMAT", help="format of FILE (default: by its name and content)")
    add("--joints", metavar="SET", help="coco17, halpe26, h36m17, ... or a YAML file (default: by number or names)")
    add("--video", metavar="FILE", help="video, image or folder that the poses were found in: size, times, overlay")
    add("--size", type=size, metavar="WxH", help="of the frames in pixels, where neither FILE nor --video says it")
    add("--fps", type=rate, help="frame rate, where neither FILE nor --video says it")
    add("--first-frame", type=int, default=0, metavar="N", help="FILE's number of the first frame (default: 0)")
    group = parser.add_argument_group("model")
    add = group.add_argument
    add(
        "--lifter",
        metavar="NAME",
        default="dstformer-small",
        help="name or path, or none for 2D only (default: %(default)s)",
    )
    add_device(group)
    add("--no-flip-test", action="store_true", help="lift once, not also mirrored: faster, a little less exact")
    add_smoothing(group, "of 3D")
    add_space(parser)
    group = parser.add_argument_group("output")
    add_drawing(group)
    add_formats(group)
    group.add_argument("--quiet", action="store_true", help="no progress, no summary")


def size(text: str) -> tuple[int, int]:
    """Width and height, such as 1280x720."""
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdigit() and int(side) for side in sides):
        raise argparse.ArgumentTypeError(f"{text} is no width and height in pixels, such as 1280x720")
    return int(sides[0]), int(sides[1])


def run(args: argparse.Namespace) -> int:
    """Carry it out and return the exit status."""
    from cascadepose.files import make_folder
    from cascadepose.timing import StageClock

    lifter = None if args.lifter.lower() == "none" else args.lifter
    formats = chosen_formats(args.formats, lifted=lifter is not None)
    settings = {"space": space_settings(args), **smoothing(args), "backend": args.backend, "onnx_folder": args.onnx}
    from cascadepose.lift import lift_result, read_poses  # slow to import, so only once the options are good

    clock, output = StageClock(), Output()
    with clock.stage("read"):
        result = read_poses(
            args.file,
            format=args.format,
            joints=args.joints,
            size=args.size,
            fps=args.fps,
            video=args.video,
            first_frame=args.first_frame,
        )
    make_folder(args.out)
    result = lift_result(result, lifter, args.device, not args.no_flip_test, clock=clock, **settings)
    args.no_overlay = args.no_overlay or args.video is None
    output.write(result, args, formats, clock, args.video)
    if not args.quiet:
        summarize(result, output.written, clock)
    if output.problem:
        print(f"error: {output.problem}", file=sys.stderr)
    return STOPPED if output.interrupted else BAD_INPUT if output.problem else 0
