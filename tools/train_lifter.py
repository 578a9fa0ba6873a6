"""Train a lifter from 2D to 3D joints.

python tools/train_lifter.py --config configs/dstformer_small.yaml --train.output_dir runs/lifter
torchrun --nproc_per_node 2 tools/train_lifter.py --config configs/dstformer_small.yaml

Stopped by Ctrl-C, SIGTERM or a crash, the same command goes on where it stopped.
"""

import sys


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and train."""
    from cascadepose.tasks.lifter import LifterTaskConfig, build_task
    from cascadepose.training.command import run

    run(LifterTaskConfig, build_task, argv, description=__doc__)


if __name__ == "__main__":
    sys.exit(main())
