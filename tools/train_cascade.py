"""The same as `cascadepose train cascade`, from a working copy: python tools/train_cascade.py --config FILE"""

import sys

from cascadepose.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", "cascade", *sys.argv[1:]]))
