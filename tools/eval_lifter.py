"""Evaluate a lifter on motion capture seen by virtual cameras, beside the mean pose of its training set.

python tools/eval_lifter.py --motion val.npz --weights dstformer-small --noise detector --seed 0 --json lifter.json
"""

import argparse
import json
import sys
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--motion", required=True, help="npz of [T,17,3] sequences, metres, y up")
    options.add_argument("--weights", required=True, help="packaged name or file of a lifter")
    options.add_argument("--noise", choices=("clean", "detector"), default="clean", help="2D input")
    options.add_argument("--seed", type=int, default=0, help="of cameras and noise")
    options.add_argument("--cameras", type=int, default=2, help="views of each sequence")
    options.add_argument("--source-rate", type=float, default=60.0, help="frames per second of the motion")
    options.add_argument("--no-flip-test", action="store_true", help="do not average with the mirrored input")
    options.add_argument("--train-motion", help="npz whose mean pose is the baseline (default: the one in the weights)")
    options.add_argument("--device", default="cpu", help="torch device")
    options.add_argument("--json", help="file to write the result to")
    return options


def evaluate(args: argparse.Namespace) -> dict:
    """Run the evaluation that the command line asks for."""
    from cascadepose import hub
    from cascadepose.data.motion import MotionDataset, load_motion, mean_pose
    from cascadepose.errors import InputError
    from cascadepose.evaluation.lifter import evaluate_lifter

    sequences = load_motion(args.motion)
    lifter = hub.load_model(args.weights, args.device)
    if not hasattr(lifter, "input_skeleton"):
        raise InputError(f"{args.weights}: holds no lifter")
    baseline = None
    if args.train_motion is not None:
        baseline = mean_pose(MotionDataset(load_motion(args.train_motion), source_rate=args.source_rate), limit=1000)
    result = evaluate_lifter(
        lifter,
        sequences,
        args.noise,
        args.seed,
        args.cameras,
        args.source_rate,
        flip_test=not args.no_flip_test,
        baseline=baseline,
    )
    result["protocol"] |= {"motion": Path(args.motion).name, "weights": Path(args.weights).name}
    return result


def main(argv: list[str] | None = None) -> int:
    """Print the errors and their protocol; exit status 2 for bad input."""
    from cascadepose.errors import InputError

    args = parser().parse_args(argv)
    try:
        result = evaluate(args)
        if args.json:
            from cascadepose.files import atomic_path

            with atomic_path(args.json) as path:
                Path(path).write_text(json.dumps(result, indent=2) + "\n")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for name in ("lifter", "mean_pose"):
        if result[name] is not None:
            print(f"{name:10s}" + "".join(f"  {metric} {value:7.2f} mm" for metric, value in result[name].items()))
    print("\n".join(f"  {key}: {value}" for key, value in result["protocol"].items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
