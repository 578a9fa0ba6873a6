"""The same as `cascadepose eval lifter`, from a working copy.

python tools/eval_lifter.py --motion val.npz --weights dstformer-small --noise detector --seed 0 --json lifter.json
"""

import sys

from cascadepose.cli import main

if __name__ == "__main__":
    sys.exit(main(["eval", "lifter", *sys.argv[1:]]))
