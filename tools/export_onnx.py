"""Export a model to ONNX: the command `cascadepose onnx` from a working copy.

python tools/export_onnx.py prtr-mobilenetv2-small --out onnx --time 10
"""

import argparse
import sys


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and write the files."""
    from cascadepose.commands.onnx import add_options, run
    from cascadepose.commands.options import BAD_INPUT
    from cascadepose.errors import InputError

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    try:
        return run(parser.parse_args(argv))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
