"""The same as `cascadepose train lifter`, from a working copy: python tools/train_lifter.py --config FILE"""

import sys

from cascadepose.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", "lifter", *sys.argv[1:]]))
