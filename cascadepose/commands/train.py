"""`cascadepose train`: data and a configuration in, weights out."""

from __future__ import annotations

import argparse
from typing import Any

from cascadepose.training.stages import STAGES

_TRAIN = """Train one stage of the cascade.

{stages}
  recipe     several of these, one after another, and what is packaged of them: a file with `steps`

A configuration is a YAML file with the sections `train` (how) and `task` (what, on which data); configs/ holds one for
every published and every packaged model. Options after it override its keys: --train.lr 1e-4, --task.num_frames 81.
`cascadepose train STAGE --help` lists all keys of a stage with their meaning.
"""
_EXAMPLES = """examples:
  cascadepose train detector --config configs/prtr_detector_small.yaml
  cascadepose train keypoints --config configs/prtr_keypoints_small.yaml --train.output_dir runs/mine
  cascadepose train lifter --config configs/dstformer_small.yaml --train.max_minutes 60
  cascadepose train lifter --config configs/dstformer_small.yaml --print_config    what it comes to
  cascadepose train recipe --config configs/default_accurate.yaml           everything that is packaged
  torchrun --nproc_per_node 2 -m cascadepose train lifter --config configs/dstformer_small.yaml

exit status: 0 trained, 2 bad input (one line says what and the remedy), 130 Ctrl-C and 143 SIGTERM (the state is
             written; the same command goes on from it)
"""


def declare(commands: Any) -> None:
    """Declare the command; the options of a stage are its own and are declared when it is chosen."""
    stages = "\n".join(f"  {name:<10} {stage.what}" for name, stage in STAGES.items())
    parser = commands.add_parser(
        "train",
        help="data and a configuration in, weights out",
        usage="cascadepose train STAGE --config FILE [--SECTION.KEY VALUE ...]",
        description=_TRAIN.format(stages=stages),
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "stage", metavar="STAGE", choices=[*STAGES, "recipe"], help=f"what to train: {', '.join(STAGES)}, recipe"
    )
    parser.add_argument("options", nargs=argparse.REMAINDER, metavar="...", help="of the stage, see its own --help")


def run(args: argparse.Namespace) -> int:
    """Carry it out and return the exit status."""
    if args.stage == "recipe":
        return _recipe(args.options)
    from cascadepose.training.stages import train

    train(args.stage, args.options)
    return 0


def _recipe(options: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="cascadepose train recipe", description="Train the steps of a recipe in order.", allow_abbrev=False
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="the recipe: a YAML file with `steps`")
    parser.epilog = "Further options are laid over every step's configuration: --train.max_minutes 60"
    args, others = parser.parse_known_args(options)
    from cascadepose.training.recipe import follow

    follow(args.config, others)
    return 0
