"""Part a fine-tuned cascade into the two weights files that `cascadepose infer` takes.

python tools/split_cascade.py runs/cascade_small/best.safetensors --out runs/cascade_small/parts
"""

import argparse
import sys
from pathlib import Path


def main(argv: list[str] | None = None) -> int:
    """Parse the command line, write prtr.safetensors and lifter.safetensors, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", help="weights file of `cascadepose train cascade`")
    parser.add_argument("--out", required=True, help="folder for prtr.safetensors and lifter.safetensors")
    args = parser.parse_args(argv)

    from cascadepose.errors import InputError
    from cascadepose.files import make_folder
    from cascadepose.hub import load_model, save_model, weights_info
    from cascadepose.models import kind_of

    try:
        cascade, info = load_model(args.weights, kind="cascade"), weights_info(args.weights).info
        folder = make_folder(args.out)
        for part, name in ((cascade.prtr, "prtr"), (cascade.lifter, "lifter")):
            print(save_model(part, Path(folder) / f"{name}.safetensors", kind_of(part), info))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
