"""Measure what a 2D stage gets wrong, for `data/noise.py` to make lifters learn from it.

python tools/measure_errors.py --images DIR --annotations person_keypoints.json --weights prtr-mobilenetv2-small \
    --out errors.json
"""

import argparse
import sys
from pathlib import Path


def main(argv: list[str] | None = None) -> int:
    """Parse the command line, run the 2D stage in the annotated boxes and write the error model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", required=True, metavar="DIR", help="folder of the images")
    parser.add_argument("--annotations", required=True, metavar="FILE", help="COCO keypoint file; never one trained on")
    parser.add_argument("--weights", metavar="NAME", help="2D stage: name or path (default: the preset accurate's)")
    parser.add_argument("--min-joints", type=int, default=12, metavar="N", help="people with fewer are left out")
    parser.add_argument("--min-size", type=float, default=64, metavar="PX", help="smaller people are left out")
    parser.add_argument("--device", help="cpu, cuda, ... (default: a GPU where there is one)")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="the JSON file to write")
    args = parser.parse_args(argv)

    from cascadepose.data.coco import CocoSource, read_coco
    from cascadepose.devices import pick_device
    from cascadepose.errors import InputError
    from cascadepose.evaluation.errors2d import measure_errors
    from cascadepose.hub import load_model
    from cascadepose.loading import PRESETS
    from cascadepose.predictor import PosePredictor

    try:
        images = read_coco(CocoSource(args.annotations, args.images))
        device, weights = pick_device(args.device), args.weights or PRESETS["accurate"].weights
        predictor = PosePredictor(load_model(weights, device=device, kind="prtr"), device)
        model = measure_errors(predictor, images, args.min_joints, args.min_size, f"{args.annotations}, {weights}")
        model.save(args.out)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"wrote {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
