"""The options of `cascadepose eval coco`: which images, which boxes, how the model is run."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from cascadepose.evaluation.coco_run import Predictor
    from cascadepose.skeletons import Skeleton

__all__ = ["add_options", "evaluate", "lines"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options; all but the first three have a default."""
    add = parser.add_argument
    add("--images", type=Path, required=True, metavar="DIR", help="folder of the images")
    add("--annotations", type=Path, required=True, metavar="JSON", help="COCO keypoints with the model's joints")
    add("--weights", required=True, metavar="NAME_OR_PATH", help="packaged name, file, hub address, or MoveNet.tflite")
    add("--boxes", default="gt", metavar="gt|detector|FILE", help="annotated, the model's own, or COCO box results")
    add("--json", type=Path, metavar="OUT", help="write the report here (OUT.partial.json while it runs)")
    add("--flip-test", action="store_true", help="average with the mirrored image")
    add("--looks", type=int, default=1, metavar="N", help="times that weights which correct boxes do so (default: 1)")
    add("--side", type=int, metavar="PX", help="longer side that the detector sees (default: the weights' own)")
    add("--threshold", type=float, help="lowest box score (default: 0.05 with --boxes detector, 0 with a file)")
    add("--oks-nms", type=float, metavar="OKS", help="drop people more similar than this to a better one (PRTR: 0.9)")
    add(
        "--rank",
        choices=("joints", "oks"),
        default="joints",
        help="people by the scores or the spreads of their joints",
    )
    add("--joints", choices=("all", "labelled"), default="all", help="labelled: those that the set labels at all")
    add("--device", default="auto", help="cpu, cuda, cuda:1, ... (default: a GPU where there is one)")
    add("--batch-size", type=int, default=16, metavar="N", help="images at a time (default: 16)")


def evaluate(args: argparse.Namespace) -> dict[str, Any]:
    """Load the weights, run them over the set and return `run_coco`'s report. Raises InputError."""
    from cascadepose.devices import pick_device
    from cascadepose.evaluation.coco_run import choose_boxes, run_coco
    from cascadepose.parallel import workers_on

    boxes, threshold = choose_boxes(args.boxes, args.threshold)
    peer = Path(args.weights).suffix == ".tflite"
    device = pick_device("cpu" if peer else args.device)
    predictor, skeleton, protocol = _movenet(args) if peer else _prtr(args, device, threshold)
    protocol |= {"box_source": Path(args.boxes).name, "box_threshold": threshold, "device": str(device)}
    return run_coco(
        predictor, args.images, args.annotations, boxes, args.batch_size, sys.stderr.isatty(), joints=args.joints,
        nms_threshold=args.oks_nms, partial=args.json and args.json.with_suffix(".partial.json"), protocol=protocol,
        skeleton=skeleton, workers=1 if peer else workers_on(device), rank=args.rank,
    )  # fmt: skip


def _prtr(
    args: argparse.Namespace, device: torch.device, threshold: float | None
) -> tuple[Predictor, Skeleton, dict[str, Any]]:
    from cascadepose.hub import load_model, weights_info
    from cascadepose.predictor import PosePredictor

    prtr = load_model(args.weights, device=device, kind="prtr")
    prtr.detector_side = args.side or prtr.detector_side
    predictor = PosePredictor(prtr, device=device, threshold=threshold, flip_test=args.flip_test, looks=args.looks)
    facts = {
        "weights": args.weights,
        "weights_sha256": weights_info(args.weights).sha256,
        "flip_test": args.flip_test,
        "looks": args.looks,
        "detector_side": prtr.detector_side,
    }
    return predictor, prtr.skeleton, facts


def _movenet(args: argparse.Namespace) -> tuple[Predictor, Skeleton, dict[str, Any]]:
    """A peer, in boxes that are given."""
    from cascadepose.errors import InputError
    from cascadepose.evaluation.movenet import MoveNet
    from cascadepose.skeletons import COCO17

    if args.boxes == "detector" or args.flip_test or args.side or args.looks != 1 or args.rank != "joints":
        raise InputError(
            f"{args.weights}: MoveNet is run in given boxes only, without flip test, looks, sides and spreads; give it "
            "--boxes gt or a file, and --rank joints"
        )
    return MoveNet(args.weights, threads=4), COCO17, {"weights": args.weights, "flip_test": False}


def lines(report: dict[str, Any]) -> list[str]:
    """The report as text: ten numbers of keypoints and, where boxes were found, twelve of boxes."""
    parts = ((part, report[part]) for part in ("keypoints", "bbox") if report[part])
    return [
        " ".join([f"{part:9s}", *(f"{name} {value:.3f}" for name, value in found.items())]) for part, found in parts
    ]
