"""The options of `infer` and `lift` about camera, body height and floor."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cascadepose.space import SpaceSettings


def add_space(parser: Any) -> None:
    """Declare them in a group of their own."""
    add = parser.add_argument_group("space (see docs/space.md)").add_argument
    add("--focal", type=float, metavar="PX", help="focal length in pixels (default: as the file states, or assumed)")
    add("--fov", type=float, metavar="DEG", help="field of view over the longer side of the frame, instead")
    add("--camera", type=Path, metavar="FILE", help="JSON or YAML file of a calibrated camera, instead")
    add(
        "--height",
        type=heights,
        metavar="M",
        help="body height in metres, of everybody or by id such as 1:1.75,2:1.20 (default: adults of ordinary size)",
    )
    add("--no-ground", action="store_true", help="look for no floor and hold no feet")


def heights(text: str) -> float | dict[int, float]:
    """Metres, or ID:METRES with commas between them."""
    if ":" not in text:
        return float(text)
    return {int(number): float(height) for number, height in (part.split(":") for part in text.split(","))}


def space_settings(args: argparse.Namespace) -> SpaceSettings:
    """What the options say. Raises InputError where they contradict each other or are impossible."""
    from cascadepose.space import SpaceSettings

    return SpaceSettings(args.camera, args.focal, args.fov, args.height, not args.no_ground)
