"""The same as `cascadepose benchmark`, from a working copy: python tools/benchmark.py --json out/benchmark.json"""

import sys

from cascadepose.cli import main

if __name__ == "__main__":
    sys.exit(main(["benchmark", *sys.argv[1:]]))
