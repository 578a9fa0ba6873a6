"""The same as `cascadepose train pretrain`, from a working copy: python tools/pretrain_lifter.py --config FILE"""

import sys

from cascadepose.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", "pretrain", *sys.argv[1:]]))
