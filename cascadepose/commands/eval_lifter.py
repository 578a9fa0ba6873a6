"""The options of `cascadepose eval lifter`: which data set, which files, how the lifter is run."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cascadepose.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import nn

    from cascadepose.data.recordings import Recording

__all__ = ["add_options", "evaluate", "lines"]

SUBJECTS = {"h36m": "S9 S11", "3dhp": "TS1 .. TS6", "humaneva": "Validate/S1 .. Validate/S3"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options, in groups: for every data set, for motion capture, for benchmarks."""
    add = parser.add_argument
    add("--dataset", choices=("cmu", *SUBJECTS), default="cmu", help="what --motion holds (default: motion capture)")
    add("--motion", required=True, metavar="FILE", help="3D truth, see docs/protocols.md for the layouts")
    add("--weights", required=True, help="packaged name or file of a lifter, or an official name with --checkpoint")
    add("--checkpoint", metavar="FILE", help="official file to fill --weights with (docs/checkpoints.md)")
    add("--no-flip-test", action="store_true", help="do not average with the mirrored input")
    add("--device", default="auto", help="cpu, cuda, cuda:1, ... (default: a GPU where there is one)")
    add("--json", type=Path, metavar="OUT", help="write the report here")
    add = parser.add_argument_group("motion capture (--dataset cmu)").add_argument
    add("--noise", choices=("clean", "detector"), default="clean", help="2D input")
    add("--seed", type=int, default=0, help="of cameras and noise")
    add("--cameras", type=int, default=2, help="views of each sequence")
    add("--source-rate", type=float, default=60.0, help="frames per second of the motion")
    add("--train-motion", help="npz whose mean pose is the baseline (default: the one in the weights)")
    add = parser.add_argument_group("benchmarks").add_argument
    add("--keypoints", metavar="FILE", help="2D input of h36m and humaneva (h36m without: true joints, projected)")
    add("--subjects", nargs="+", help=f"default: {'; '.join(f'{k}: {v}' for k, v in SUBJECTS.items())}")
    add("--actions", nargs="+", help="first words of actions (default: all)")
    add("--leave-out-damaged", action="store_true", help="h36m: not the three videos of S9 whose truth has drifted")
    add("--root", choices=("subtracted", "zeroed", "kept"), default="subtracted", help="the predicted root")
    add("--answers", choices=("metres", "image"), help="unit of the lifter, if not the one it declares")
    add("--joints", metavar="SKELETON", help="joints that the lifter was trained with, if not those it declares")
    add("--refine", metavar="FILE", help="refine module of the Strided Transformer; reads the TRUE root depth")
    add("--batch-size", type=int, default=64, help="windows at a time")


def evaluate(args: argparse.Namespace) -> dict[str, Any]:
    """Run what the options ask for: {"lifter": {metric: value}, ..., "protocol": {...}}. Raises InputError."""
    from cascadepose import hub

    lifter = hub.load_model(args.weights, args.device, checkpoint=args.checkpoint)
    if not hasattr(lifter, "input_skeleton"):
        raise InputError(f"{args.weights}: holds no lifter")
    result = _motion_capture(args, lifter) if args.dataset == "cmu" else _benchmark(args, lifter)
    result["protocol"] |= {"motion": Path(args.motion).name, "weights": Path(args.weights).name}
    if args.checkpoint:
        result["protocol"]["checkpoint"] = Path(args.checkpoint).name
    return result


def lines(result: dict[str, Any]) -> list[str]:
    """The report as text: the numbers, and the protocol that they belong to."""
    shown = []
    for name in ("lifter", "frame_average", "mean_pose"):
        if result.get(name):
            shown.append(f"{name:13s}" + "".join(f"  {metric} {value:7.2f}" for metric, value in result[name].items()))
    for part in ("per_action", "per_sequence"):
        for name, values in result.get(part, {}).items():
            cells = values.items() if isinstance(next(iter(values.values())), float) else _flat(values)
            shown.append(f"  {name:13s}" + "".join(f"  {metric} {value:7.2f}" for metric, value in cells))
    return shown + [f"  {key}: {value}" for key, value in result["protocol"].items()]


def _flat(table: dict[str, dict[str, float]]) -> list[tuple[str, float]]:
    return [(f"{row} {metric}", value) for row, values in table.items() for metric, value in values.items()]


def _motion_capture(args: argparse.Namespace, lifter: nn.Module) -> dict[str, Any]:
    from cascadepose.data.motion import MotionDataset, mean_pose
    from cascadepose.data.motion_files import read_motion
    from cascadepose.evaluation.lifter import evaluate_lifter

    sequences, baseline = read_motion(args.motion, args.source_rate), None
    if args.train_motion is not None:
        train = read_motion(args.train_motion, args.source_rate)
        baseline = mean_pose(MotionDataset(train, source_rate=args.source_rate), limit=1000)
    flip_test, rest = not args.no_flip_test, (args.noise, args.seed, args.cameras, args.source_rate)
    return evaluate_lifter(lifter, sequences, *rest, flip_test=flip_test, baseline=baseline)


def _benchmark(args: argparse.Namespace, lifter: nn.Module) -> dict[str, Any]:
    from tqdm import tqdm

    from cascadepose import hub
    from cascadepose.evaluation.recordings import Running, describe_running, lift_recording

    running = Running(not args.no_flip_test, args.root, args.answers, args.joints, args.batch_size)
    refine = None if args.refine is None else hub.load_model(args.refine, args.device, kind="strided_refine")
    recordings, source = _recordings(args)
    shown = tqdm(recordings, unit="video", disable=not sys.stderr.isatty())
    result = _score(args, shown, lambda recording: lift_recording(lifter, recording, running, refine))
    result["protocol"] |= {"2d_source": source} | describe_running(lifter, recordings, running, refine is not None)
    return result


def _recordings(args: argparse.Namespace) -> tuple[list[Recording], str]:
    """The recordings of a benchmark, and what their 2D input is called."""
    chosen = {"subjects": tuple(args.subjects)} if args.subjects else {}
    if args.dataset == "3dhp":
        from cascadepose.data.mpi_inf_3dhp import SOURCE_2D, read_3dhp_test

        return read_3dhp_test(args.motion, args.subjects), SOURCE_2D
    if args.dataset == "humaneva":
        from cascadepose.data.humaneva import read_humaneva

        if args.keypoints is None:
            raise InputError("--dataset humaneva needs --keypoints data_2d_humaneva15_*.npz")
        name = Path(args.keypoints).stem.removeprefix("data_2d_humaneva15_")
        return read_humaneva(args.motion, args.keypoints, actions=args.actions, **chosen), name
    if Path(args.motion).suffix in (".pkl", ".pickle"):
        from cascadepose.data.h36m_image import read_h36m_image

        found = [r for r in read_h36m_image(args.motion) if not args.subjects or r.subject in args.subjects]
        found = [r for r in found if not args.actions or r.action.split(" ")[0] in args.actions]
        return found, f"joint_2d of {Path(args.motion).name}"
    from cascadepose.data.h36m import read_h36m, source_2d

    return read_h36m(args.motion, args.keypoints, actions=args.actions, **chosen), source_2d(args.keypoints)


def _score(args: argparse.Namespace, recordings: Iterable[Recording], predict: Callable) -> dict[str, Any]:
    if args.dataset == "3dhp":
        from cascadepose.evaluation.mpi_inf_3dhp import score_3dhp

        return score_3dhp(recordings, predict)
    if args.dataset == "humaneva":
        from cascadepose.evaluation.humaneva import score_humaneva

        return score_humaneva(recordings, predict)
    from cascadepose.evaluation.h36m import score_h36m

    return score_h36m(recordings, predict, args.leave_out_damaged)
