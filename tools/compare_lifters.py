"""Compare lifters: parameters, multiply-accumulates a frame, frames a second on this device, errors on motion capture.

python tools/compare_lifters.py TCN=runs/tcn_27/best.safetensors dstformer-small --motion val.npz --json compared.json
"""

import argparse
import json
import sys

from cascadepose.errors import InputError
from cascadepose.evaluation.comparison import add_options, compare, markdown
from cascadepose.files import atomic_path


def main(argv: list[str] | None = None) -> int:
    """Print the table and what its numbers mean; exit status 2 for bad input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    args = parser.parse_args(argv)
    try:
        result = compare(args, lambda line: print(line, file=sys.stderr, flush=True))
        if args.json:
            with atomic_path(args.json) as path:
                path.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(markdown(result["rows"]) + "\n")
    print("\n".join(f"- {key}: {value}" for part in ("protocol", "timing") for key, value in result[part].items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
