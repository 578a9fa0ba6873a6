"""The same as `cascadepose train detector`, `keypoints`, `joint` and `recipe`, from a working copy.

python tools/train_prtr.py --config configs/default_accurate.yaml
python tools/train_prtr.py --stage detector --config configs/prtr_detector_small.yaml
torchrun --nproc_per_node 2 tools/train_prtr.py --stage keypoints --config configs/prtr_keypoints_small.yaml
"""

import argparse
import sys

from cascadepose.cli import main as cascadepose


def main(argv: list[str] | None = None) -> int:
    """Train the stage that `--stage` names, or without it the steps that the configuration lists; the rest goes on."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--stage", choices=("detector", "keypoints", "joint", "recipe"))
    args, options = parser.parse_known_args(argv)
    return cascadepose(["train", args.stage or _told_by(options), *options])


def _told_by(options: list[str]) -> str:
    """A recipe says so itself; any other configuration without a stage is the detector's."""
    from cascadepose.errors import InputError
    from cascadepose.training.recipe import is_recipe

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config")
    config = parser.parse_known_args(options)[0].config
    try:
        return "recipe" if config is not None and is_recipe(config) else "detector"
    except InputError:
        return "detector"  # which says what is wrong with the file


if __name__ == "__main__":
    sys.exit(main())
