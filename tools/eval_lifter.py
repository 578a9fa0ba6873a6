"""Evaluate a lifter: on motion capture seen by virtual cameras, or by the protocol of a benchmark.

python tools/eval_lifter.py --motion val.npz --weights dstformer-small --noise detector --seed 0 --json lifter.json
python tools/eval_lifter.py --dataset h36m --motion data_3d_h36m.npz --keypoints data_2d_h36m_cpn_ft_h36m_dbb.npz \
    --weights poseformer-81 --checkpoint detected81f.bin --root kept
python tools/eval_lifter.py --dataset 3dhp --motion data_test_3dhp.npz --weights lifter.safetensors
"""

import argparse
import json
import sys

from cascadepose.errors import InputError
from cascadepose.evaluation.lifter_command import add_options, evaluate, lines
from cascadepose.files import atomic_path


def main(argv: list[str] | None = None) -> int:
    """Print the errors and their protocol; exit status 2 for bad input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    args = parser.parse_args(argv)
    try:
        result = evaluate(args)
        if args.json:
            with atomic_path(args.json) as path:
                path.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("\n".join(lines(result)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
