"""Pre-train DSTformer on 2D motion with noise and holes (MotionBERT).

python tools/pretrain_lifter.py --config configs/dstformer_pretrain.yaml --train.output_dir runs/pretrain
python tools/train_lifter.py --config configs/dstformer_finetune.yaml --task.weights runs/pretrain/last.safetensors

Stopped by Ctrl-C, SIGTERM or a crash, the same command goes on where it stopped.
"""

import sys


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and train."""
    from cascadepose.tasks.pretrain import PretrainTaskConfig, build_task
    from cascadepose.training.command import run

    run(PretrainTaskConfig, build_task, argv, description=__doc__)


if __name__ == "__main__":
    sys.exit(main())
