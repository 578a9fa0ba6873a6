"""COCO keypoint AP, and person box AP with --boxes detector, of one set of weights.

python tools/eval_coco.py --images coco/val --annotations coco/person_keypoints_val.json \
    --weights prtr-mobilenetv2-small --boxes detector --json out/coco.json
"""

import argparse
import json
import sys
from pathlib import Path


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The options, all but the first three with a default."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--images", type=Path, required=True, metavar="DIR", help="folder of the images")
    add("--annotations", type=Path, required=True, metavar="JSON", help="COCO person keypoint annotations")
    add("--weights", required=True, metavar="NAME_OR_PATH", help="packaged name, file or hub address")
    add("--boxes", default="gt", metavar="gt|detector|FILE", help="annotated, the model's own, or COCO box results")
    add("--json", type=Path, metavar="OUT", help="write the report here (OUT.partial.json while it runs)")
    add("--flip-test", action="store_true", help="average with the mirrored image")
    add("--threshold", type=float, help="lowest box score (default: 0.05 with --boxes detector, 0 with a file)")
    add("--oks-nms", type=float, metavar="OKS", help="drop people more similar than this to a better one (PRTR: 0.9)")
    add("--joints", choices=("all", "labelled"), default="all", help="labelled: those that the set labels at all")
    add("--device", default="auto", help="cpu, cuda, cuda:1, ... (default: a GPU where there is one)")
    add("--batch-size", type=int, default=16)
    return parser.parse_args(argv)


def evaluate(args: argparse.Namespace) -> dict:
    """Load the weights, run them over the set and return the report."""
    from cascadepose.devices import pick_device
    from cascadepose.evaluation.coco_run import choose_boxes, run_coco
    from cascadepose.hub import load_model, weights_info
    from cascadepose.predictor import PosePredictor

    device = pick_device(args.device)
    boxes, threshold = choose_boxes(args.boxes, args.threshold)
    prtr = load_model(args.weights, device=device, kind="prtr")
    predictor = PosePredictor(prtr, device=device, threshold=threshold, flip_test=args.flip_test)
    protocol = {
        "weights": args.weights,
        "weights_sha256": weights_info(args.weights).sha256,
        "flip_test": args.flip_test,
    }
    protocol |= {"box_source": Path(args.boxes).name, "box_threshold": threshold, "device": str(device)}
    return run_coco(
        predictor, args.images, args.annotations, boxes, args.batch_size, sys.stderr.isatty(), joints=args.joints,
        nms_threshold=args.oks_nms, partial=args.json and args.json.with_suffix(".partial.json"), protocol=protocol,
    )  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Evaluate, print the numbers, write the report."""
    args = parse(argv)
    from cascadepose.errors import InputError
    from cascadepose.files import atomic_path

    try:
        report = evaluate(args)
        if args.json:
            with atomic_path(args.json) as path:
                path.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; with --json the results so far are in OUT.partial.json", file=sys.stderr)
        return 130
    for part in ("keypoints", "bbox"):
        if report[part]:
            print(f"{part:9s}", *(f"{name} {value:.3f}" for name, value in report[part].items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
