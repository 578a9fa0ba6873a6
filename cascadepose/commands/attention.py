"""`cascadepose attention`: where the networks look, as pictures."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from cascadepose.commands.options import choose_track, count
from cascadepose.errors import InputError

_ATTENTION = """Draw where the networks look.

Of an image, DIR gets
  scene.png              self-attention of a point in the person detector
  people.png             where each person's query looked: sampling points, or heat maps of a detector without them
  person_N_joints.png    cross-attention of the joints' queries over the person's crop
  person_N_image.png     the same over the whole image, every joint in its colour
  person_N_crop.png      self-attention of the places of some joints in the crop
  person_N_heatmaps.png  what the joints are read from
Of a result of `cascadepose infer` (the folder, poses.json or poses.npz), DIR gets, for one person and frame,
  lifter_joints.png      which joints the lifter's joints attend to, every layer and head
  lifter_frames.png      which frames its frames attend to
"""
_EXAMPLES = """examples:
  cascadepose attention photo.jpg --out out
  cascadepose attention photo.jpg --out out --point 320 180 --head 2 --people 1
  cascadepose attention out --lifter poseformer.safetensors --track 1 --frame 40 --out out

exit status: 0 pictures written, 2 bad input (one line says what and the remedy)
"""


def declare(commands: Any) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "attention",
        help="where the networks look, as pictures",
        description=_ATTENTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("input", metavar="INPUT", type=Path, help="an image, or a result that `cascadepose infer` wrote")
    add("--out", metavar="DIR", type=Path, default=Path("out"), help="folder for the pictures (default: out)")
    add("--device", help="cpu, cuda, cuda:1, ... (default: a GPU where there is one)")
    group = parser.add_argument_group("of an image")
    add = group.add_argument
    add("--weights", metavar="NAME", help="2D stage: name or path (default: that of the preset accurate)")
    add("--threshold", type=float, metavar="SCORE", help="show people from this score on (default: the weights' own)")
    add("--people", type=count, default=3, metavar="N", help="show the N best people (default: 3)")
    add("--point", type=float, nargs=2, metavar=("X", "Y"), help="pixel for scene.png (default: middle of a person)")
    add("--layer", type=count, metavar="N", help="decoder layer of the keypoint stage, from 1 (default: the last)")
    add("--head", type=count, metavar="N", help="one attention head, from 1 (default: mean of all)")
    group = parser.add_argument_group("of a result")
    add = group.add_argument
    add("--lifter", metavar="NAME", default="dstformer-small", help="3D stage: name or path (default: %(default)s)")
    add("--track", type=count, metavar="ID", help="person (default: who is seen longest)")
    add("--frame", type=int, metavar="N", help="frame of the video, from 0 (default: the middle of the track)")


def run(args: argparse.Namespace) -> int:
    """Carry it out and return the exit status."""
    from cascadepose.data.images import check_readable
    from cascadepose.files import make_folder

    check_readable(args.input)
    make_folder(args.out)
    is_result = args.input.is_dir() or args.input.suffix.lower() in (".json", ".npz")
    for path in _lifter(args) if is_result else _image(args):
        print(path)
    return 0


def _image(args: argparse.Namespace) -> list[Path]:
    from cascadepose.data.images import read_image

    image = read_image(args.input)
    from cascadepose.devices import pick_device
    from cascadepose.hub import load_model
    from cascadepose.loading import PRESETS
    from cascadepose.visualize.attention import look_inside
    from cascadepose.visualize.attention_plots import write_pictures

    weights = args.weights or PRESETS["accurate"].weights
    prtr = load_model(weights, device=pick_device(args.device), kind="prtr")
    point = None if args.point is None else tuple(args.point)
    head = None if args.head is None else args.head - 1
    found = look_inside(prtr, image, args.threshold, args.people, point, head)
    if not found.people:
        print("note: nobody was found; a lower --threshold believes weaker sightings")
    return write_pictures(found, args.out, None if args.layer is None else args.layer - 1)


def _lifter(args: argparse.Namespace) -> list[Path]:
    from cascadepose.export import load_result

    result = load_result(args.input)
    track = choose_track(result, args.track)
    row = None if args.frame is None else track.row(args.frame)
    if args.frame is not None and row is None:
        first, last = track.frame_index[[0, -1]]
        raise InputError(f"track {track.track_id} is not in frame {args.frame}; it reaches from {first} to {last}")
    from cascadepose.devices import pick_device
    from cascadepose.hub import load_model
    from cascadepose.visualize.lifter_attention import look_inside_lifter, write_lifter_pictures

    lifter = load_model(args.lifter, device=pick_device(args.device))
    if not hasattr(lifter, "input_skeleton"):
        raise InputError(f"{args.lifter}: holds no lifter; use dstformer-small, or give an image to look at a 2D stage")
    return write_lifter_pictures(look_inside_lifter(lifter, track, result.frame_size, row), args.out)
