"""Train one stage of the pose estimator.

python tools/train_prtr.py --stage detector --config configs/prtr_detector.yaml --train.output_dir runs/detector
torchrun --nproc_per_node 2 tools/train_prtr.py --stage keypoints --config configs/prtr_keypoints.yaml
python tools/train_prtr.py --stage joint --config configs/prtr_joint_small.yaml

Stopped by Ctrl-C, SIGTERM or a crash, the same command goes on where it stopped.
"""

import argparse
import sys
from importlib import import_module

STAGES = {
    "detector": ("cascadepose.tasks.detector", "DetectorTaskConfig"),
    "keypoints": ("cascadepose.tasks.keypoints", "KeypointTaskConfig"),
    "joint": ("cascadepose.tasks.joint", "JointTaskConfig"),
}


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and train."""
    chooser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    chooser.add_argument("--stage", nargs="?", default="detector")
    stage = chooser.parse_known_args(argv)[0].stage  # first, for the other options depend on it
    stage = stage if stage in STAGES else "detector"  # a wrong one is refused below, with the rest

    from cascadepose.training.command import run

    module, config_class = STAGES[stage]
    task_module = import_module(module)
    run(
        getattr(task_module, config_class),
        task_module.build_task,
        argv,
        description=__doc__,
        options=lambda parser: parser.add_argument(
            "--stage", choices=list(STAGES), default=stage, help="what to train; the --task options below are its own"
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
