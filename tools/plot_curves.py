"""Draw what training runs logged as curves.

python tools/plot_curves.py frozen=runs/joint_frozen joint=runs/joint_both --metric train/loss_keypoints val/AP \
    --out docs/images/joint_training.png
"""

import argparse
import sys
from pathlib import Path


def main(argv: list[str] | None = None) -> int:
    """Parse the command line, draw, and return the exit status: 0, or 2 for bad input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="[LABEL=]RUN", help="output folder of a run, or its metrics.jsonl")
    parser.add_argument("--metric", nargs="+", default=["train/loss"], help="one panel each: train/NAME or val/NAME")
    parser.add_argument("--smooth", type=float, default=10.0, help="smoothing of training values, in log entries")
    parser.add_argument("--start", type=float, default=0.0, help="leave out the steps before this one")
    parser.add_argument("--columns", type=int, default=2, help="panels side by side")
    parser.add_argument("--out", required=True, help="the picture, .png")
    args = parser.parse_args(argv)

    from cascadepose.errors import InputError
    from cascadepose.visualize.attention_plots import save_figure
    from cascadepose.visualize.training_curves import curves_figure, read_log

    labels = [run.rpartition("=")[0] or Path(run).name for run in args.runs]
    try:
        runs = {label: read_log(run.rpartition("=")[2]) for label, run in zip(labels, args.runs, strict=True)}
        figure = curves_figure(runs, args.metric, args.smooth, args.start, args.columns)
        print(save_figure(figure, Path(args.out)))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
