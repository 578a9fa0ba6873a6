"""The same as `cascadepose infer`, from a working copy: python tools/infer_video.py INPUT --out DIR"""

import sys

from cascadepose.cli import main

if __name__ == "__main__":
    sys.exit(main(["infer", *sys.argv[1:]]))
