"""Measure how well people are placed in space: root trajectory, floor, feet, standard deviations. See docs/space.md."""

import argparse
import json
import sys

from cascadepose.data.motion import load_motion
from cascadepose.errors import InputError
from cascadepose.evaluation.space import evaluate_space
from cascadepose.files import atomic_path
from cascadepose.hub import load_model


def main(argv: list[str] | None = None) -> int:
    """Carry it out and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--motion", required=True, metavar="NPZ", help="motion capture: arrays [T,17,3] m, y up, 60 Hz")
    add("--names", default="", metavar="PREFIX", help="only sequences whose names begin like this")
    add("--weights", default="dstformer-small", help="lifter: name or path (default: %(default)s)")
    add("--level", type=float, default=0.0, help="of detector-like errors in 2D (default: 0, none)")
    add("--cameras", type=int, default=2, help="views of each sequence (default: 2)")
    add("--fixed", action="store_true", help="one camera 5 m away instead of random ones")
    add("--seed", type=int, default=0, help="draws cameras and errors (default: 0)")
    add("--json", metavar="FILE", help="write the figures there, too")
    args = parser.parse_args(argv)
    try:
        motion = load_motion(args.motion)
        chosen = {name: joints for name, joints in motion.items() if name.startswith(args.names)}
        if not chosen:
            raise InputError(f"{args.motion}: has no sequence named {args.names}...; there are {', '.join(motion)}")
        lifter = load_model(args.weights)
        found = evaluate_space(lifter, chosen, args.level, args.seed, args.cameras, fixed=args.fixed)
        if args.json:
            with atomic_path(args.json) as path:
                path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{found['films']} films, root RMS below 100 mm in {found['root RMS below 100 mm']:.0%}")
    print(f"{'':<28}{'mean':>10}{'median':>10}")
    for name, value in found["mean"].items():
        print(f"{name:<28}{value:>10.3f}{found['median'][name]:>10.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
