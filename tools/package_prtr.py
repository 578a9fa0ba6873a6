"""Put a trained detector and a trained keypoint stage together as one PRTR weights file.

python tools/package_prtr.py --detector runs/detector/best.safetensors --keypoints runs/keypoints/best.safetensors \
    --info card.yaml --out prtr.safetensors
"""

import argparse
import sys


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detector", required=True, help="weights of `cascadepose train detector`, or a PRTR's")
    parser.add_argument(
        "--keypoints", required=True, nargs="+", help="the same of `train keypoints`; of several the mean"
    )
    parser.add_argument("--info", help="YAML with data, recipe, scores and licence, kept in the file")
    parser.add_argument("--out", required=True, help="the file to write")
    parser.add_argument("--side", type=int, default=320, help="longer image side for the detector, in pixels")
    parser.add_argument("--threshold", type=float, default=0.5, help="person score from which a person is believed")
    parser.add_argument("--look-threshold", type=float, help="the detector's, for stages that look again at the box")
    parser.add_argument("--max-people", type=int, default=20, help="the most that are looked at in a picture")
    parser.add_argument("--nms-iou", type=float, help="suppress the worse of two boxes that overlap more than this")
    parser.add_argument("--close-enlarge", type=float, help="crop over box where the box is given or corrected")
    args = parser.parse_args(argv)

    from cascadepose.config import read_yaml
    from cascadepose.errors import InputError
    from cascadepose.packaging import package_prtr

    try:
        info = {} if args.info is None else read_yaml(args.info)
        package_prtr(**vars(args) | {"info": info})
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"wrote {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
