"""The same as `cascadepose train detector`, `keypoints` and `joint`, from a working copy.

python tools/train_prtr.py --stage detector --config configs/prtr_detector_small.yaml
torchrun --nproc_per_node 2 tools/train_prtr.py --stage keypoints --config configs/prtr_keypoints_small.yaml
"""

import argparse
import sys

from cascadepose.cli import main as cascadepose


def main(argv: list[str] | None = None) -> int:
    """Train the stage that `--stage` names; the other options are the stage's own."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--stage", choices=("detector", "keypoints", "joint"), default="detector")
    args, options = parser.parse_known_args(argv)
    return cascadepose(["train", args.stage, *options])


if __name__ == "__main__":
    sys.exit(main())
