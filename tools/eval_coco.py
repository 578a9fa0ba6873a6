"""The same as `cascadepose eval coco`, from a working copy.

python tools/eval_coco.py --images coco/val --annotations coco/person_keypoints_val.json \
    --weights prtr-mobilenetv2-small --boxes detector --json out/coco.json
"""

import sys

from cascadepose.cli import main

if __name__ == "__main__":
    sys.exit(main(["eval", "coco", *sys.argv[1:]]))
