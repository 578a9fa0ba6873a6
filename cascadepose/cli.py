"""The command line: which commands there are, and what becomes of bad input and Ctrl-C."""

from __future__ import annotations

import argparse
import importlib
import sys

from cascadepose import __version__
from cascadepose.commands.options import BAD_INPUT, STOPPED
from cascadepose.errors import InputError

# in the order of help; each is a module of cascadepose.commands
COMMANDS = (
    "infer",
    "lift",
    "view",
    "export",
    "sheet",
    "angles",
    "attention",
    "train",
    "eval",
    "benchmark",
    "convert",
    "onnx",
    "doctor",
)


def main(argv: list[str] | None = None) -> int:
    """Run a command and return its exit status."""
    args = _parser().parse_args(argv)
    try:
        return args.run(args)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("interrupted before anything was finished", file=sys.stderr)
        return STOPPED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cascadepose", description="Multi-person 2D and 3D human pose from images and video."
    )
    parser.add_argument("--version", action="version", version=f"cascadepose {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in COMMANDS:
        importlib.import_module(f"cascadepose.commands.{name}").declare(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
