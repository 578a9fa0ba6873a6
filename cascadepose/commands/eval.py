"""`cascadepose eval`: how good weights are, by the protocol of a benchmark."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from cascadepose.commands import eval_coco, eval_lifter
from cascadepose.commands.options import STOPPED

_COCO = """COCO keypoint AP of a PRTR, and person box AP with --boxes detector.

Any COCO keypoint file will do; docs/protocols.md says what each number means.
"""
_COCO_EXAMPLES = """examples:
  cascadepose eval coco --images coco/val --annotations coco/person_keypoints_val.json --weights prtr-mobilenetv2-small
  cascadepose eval coco --images coco/val --annotations coco/person_keypoints_val.json \\
      --weights runs/keypoints/best.safetensors --boxes detector --json out/coco.json
"""
_LIFTER = """Joint errors of a lifter: on motion capture seen by virtual cameras, or by the protocol of a benchmark.

Every number is printed with its protocol; docs/protocols.md says what each means and how files are laid out.
"""
_LIFTER_EXAMPLES = """examples:
  cascadepose eval lifter --motion val.npz --weights dstformer-small --noise detector --seed 0 --json out/lifter.json
  cascadepose eval lifter --dataset h36m --motion data_3d_h36m.npz --keypoints data_2d_h36m_cpn_ft_h36m_dbb.npz \\
      --weights poseformer-81 --checkpoint detected81f.bin --root kept
  cascadepose eval lifter --dataset 3dhp --motion data_test_3dhp.npz --weights lifter.safetensors
"""
_STATUS = """
exit status: 0 evaluated, 2 bad input (one line says what and the remedy), 130 Ctrl-C
"""
KINDS = {
    "coco": (eval_coco, "keypoint and box AP on a COCO set", _COCO, _COCO_EXAMPLES),
    "lifter": (eval_lifter, "joint errors on motion capture, Human3.6M, 3DHP, HumanEva", _LIFTER, _LIFTER_EXAMPLES),
}


def declare(commands: Any) -> None:
    """Declare the command, what it evaluates, and the options of each."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = commands.add_parser(
        "eval",
        help="how good weights are",
        description="Evaluate weights by the protocol of a benchmark.",
        epilog=f"examples:\n  cascadepose eval coco --help\n  cascadepose eval lifter --help\n{_STATUS}",
        formatter_class=plain,
    )
    kinds = parser.add_subparsers(title="what", metavar="WHAT", required=True)
    for name, (module, words, description, examples) in KINDS.items():
        kind = kinds.add_parser(
            name, help=words, description=description, epilog=examples + _STATUS, formatter_class=plain
        )
        kind.set_defaults(run=run, module=module)
        module.add_options(kind)


def run(args: argparse.Namespace) -> int:
    """Evaluate, write the report, print the numbers and return the exit status."""
    import json

    from cascadepose.files import atomic_path

    try:
        report = args.module.evaluate(args)
    except KeyboardInterrupt:
        partial = args.json and args.json.with_suffix(".partial.json")
        kept = f"; the results so far are in {partial}" if partial and partial.exists() else ""
        print(f"interrupted{kept}", file=sys.stderr)
        return STOPPED
    if args.json:
        with atomic_path(args.json) as path:
            path.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    print("\n".join(args.module.lines(report)))
    return 0
