"""`cascadepose train`: data and a configuration in, weights out."""

from __future__ import annotations

import argparse
from typing import Any

from cascadepose.training.stages import STAGES

_TRAIN = """Train one stage of the cascade.

{stages}

A configuration is a YAML file with the sections `train` (how) and `task` (what, on which data); configs/ holds one for
every published and every packaged model. Options after it override its keys: --train.lr 1e-4, --task.num_frames 81.
`cascadepose train STAGE --help` lists all keys of a stage with their meaning.
"""
_EXAMPLES = """examples:
  cascadepose train detector --config configs/prtr_detector_small.yaml
  cascadepose train keypoints --config configs/prtr_keypoints_small.yaml --train.output_dir runs/mine
  cascadepose train lifter --config configs/dstformer_small.yaml --train.max_minutes 60
  cascadepose train lifter --config configs/dstformer_small.yaml --print_config    what it comes to
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
    parser.add_argument("stage", metavar="STAGE", choices=list(STAGES), help=f"what to train: {', '.join(STAGES)}")
    parser.add_argument("options", nargs=argparse.REMAINDER, metavar="...", help="of the stage, see its own --help")


def run(args: argparse.Namespace) -> int:
    """Carry it out and return the exit status."""
    from cascadepose.training.stages import train

    train(args.stage, args.options)
    return 0
