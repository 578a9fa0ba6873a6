"""`cascadepose convert`: official checkpoint in, weights file out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

_CONVERT = """Make a weights file of an official checkpoint. Nothing that the checkpoint carries besides tensors is run.

FILE is a PyTorch or safetensors file of DETR, PRTR, PoseFormer, PoseFormerV2, Strided Transformer, MotionBERT or
VideoPose3D, as their authors' code writes it. Known files and what to say of others: docs/checkpoints.md
"""
_CONVERT_EXAMPLES = """examples:
  cascadepose convert detr-r50-e632da11.pth --from detr
  cascadepose convert epoch_80.pth --from strided --hint stride_num=3,9,3 --out strided-81.safetensors

exit status: 0 written, 2 bad input (one line says what and the remedy; nothing is written)
"""


def declare(commands: Any) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "convert",
        help="official checkpoint in, weights file out",
        description=_CONVERT,
        epilog=_CONVERT_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("file", metavar="FILE", type=Path, help="the official checkpoint")
    add("--from", dest="family", metavar="NAME", help="family or known file (default: recognised by its tensors)")
    add("--out", metavar="FILE", type=Path, help="file to write (default: FILE with the suffix .safetensors)")
    add(
        "--hint",
        action="append",
        default=[],
        type=_setting,
        metavar="KEY=VALUE",
        help="what the tensors cannot tell, under its official name; may be given several times",
    )


def _setting(text: str) -> tuple[str, Any]:
    import yaml

    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError:
        return key, value


def run(args: argparse.Namespace) -> int:
    """Carry it out and return the exit status."""
    from cascadepose.conversion import convert

    out, done = convert(args.file, args.family, args.out, dict(args.hint))
    checkpoint, parameters = done.checkpoint, sum(tensor.numel() for tensor in done.tensors.values())
    where = f"under {checkpoint.container!r}" if checkpoint.container else "at the top"
    print(f"{checkpoint.path}: {done.family.name}, {len(checkpoint.tensors)} tensors {where}")
    if checkpoint.left_out:
        print(f"left out: {', '.join(checkpoint.left_out)}")
    licence = done.known.licence if done.known else "unknown: not a known official file"
    print(f"{out}: {done.kind}, {len(done.tensors)} tensors, {parameters:,} values; licence {licence}")
    return 0
