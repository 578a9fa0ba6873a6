"""Lifters side by side: what each costs, how fast it is here, how far off it is on the same motion capture."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["add_options", "compare", "markdown"]

COLUMNS: tuple[tuple[str, Callable[[dict[str, Any]], str]], ...] = (
    ("lifter", lambda row: row["name"]),
    ("parameters", lambda row: f"{row['parameters']:,}"),
    ("MACs a frame", lambda row: _millions(row["macs_per_frame"])),
    ("as run", lambda row: _millions(row["macs_per_frame_as_run"])),
    ("frames/s", lambda row: f"{row['frames_per_second']:.0f}"),
    ("frames/CPU s", lambda row: f"{row['frames_per_cpu_second']:.0f}"),
    ("MPJPE", lambda row: f"{row['MPJPE']:.1f}"),
    ("P-MPJPE", lambda row: f"{row['P-MPJPE']:.1f}"),
    ("MPJVE", lambda row: f"{row['MPJVE']:.2f}"),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """What is compared, on what, and how it is timed."""
    add = parser.add_argument
    add("weights", nargs="+", metavar="[LABEL=]WEIGHTS", help="packaged name or file of a lifter, and what to call it")
    add("--motion", required=True, metavar="FILE", help="3D truth, as for `cascadepose eval lifter`")
    add("--noise", choices=("clean", "detector"), default="detector", help="2D input (default: detector)")
    add("--seed", type=int, default=0, help="of cameras and noise, the same for all (default: 0)")
    add("--cameras", type=int, default=2, help="views of each sequence (default: 2)")
    add("--source-rate", type=float, default=60.0, help="frames per second of the motion (default: 60)")
    add("--no-flip-test", action="store_true", help="do not average with the mirrored input")
    add("--device", default="cpu", help="torch device (default: cpu)")
    add("--threads", type=int, help="threads of torch on CPU")
    add("--frames", type=int, default=1000, help="length of the sequence that is timed (default: 1000)")
    add("--repeats", type=int, default=5, help="timed runs, the median counts (default: 5)")
    add("--json", metavar="OUT", help="file to write the table and its protocol to")


def compare(args: argparse.Namespace, told: Callable[[str], Any] = print) -> dict[str, Any]:
    """{"rows": [{name, kind, parameters, ..., MPJPE, P-MPJPE, MPJVE}], "protocol": {...}, "timing": {...}}.

    told: hears a line about each lifter as it is done. Raises InputError.
    """
    import torch

    from cascadepose.data.motion_files import read_motion
    from cascadepose.evaluation.cost import COUNTED

    if args.threads:
        torch.set_num_threads(args.threads)
    sequences = read_motion(args.motion, args.source_rate)
    rows, protocol = [], {}
    for label, weights in _labelled(args.weights):
        row, protocol = _row(args, label, weights, sequences)
        rows.append(row)
        told(f"{label}: {row['frames_per_second']:.0f} frames/s, MPJPE {row['MPJPE']:.1f} mm")
    for own in ("window", "lifter_rate_hz"):
        del protocol[own]
    timing = {
        "device": torch.cuda.get_device_name(args.device) if args.device.startswith("cuda") else "cpu",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "frames_per_second": f"lift_sequence of one person, {args.frames} frames at the lifter's own rate, windows in "
        f"batches of 16, flip test {'off' if args.no_flip_test else 'on'}, median of {args.repeats}",
        "frames_per_cpu_second": "the same by the time that processors spent on it, whatever else ran meanwhile",
        "macs": COUNTED,
        "macs_per_frame": "one forward pass divided by the frames it answers for, no flip test",
        "macs_per_frame_as_run": "what lift_sequence spends on a frame of that sequence, overlap of windows and flip "
        "test included",
    }
    return {"rows": rows, "protocol": protocol | {"motion": Path(args.motion).name}, "timing": timing}


def _row(
    args: argparse.Namespace, label: str, weights: str, sequences: dict[str, np.ndarray]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """One lifter and the protocol that its errors belong to."""
    from cascadepose import hub
    from cascadepose.errors import InputError
    from cascadepose.evaluation.cost import lifter_cost, lifting_speed
    from cascadepose.evaluation.lifter import evaluate_lifter

    info = hub.weights_info(weights)
    lifter = hub.load_model(weights, args.device)
    if not hasattr(lifter, "input_skeleton"):
        raise InputError(f"{weights}: holds no lifter")
    flip_test, rest = not args.no_flip_test, (args.noise, args.seed, args.cameras, args.source_rate)
    row = {"name": label, "kind": info.kind, "sha256": info.sha256, "steps": info.info.get("step")}
    row |= {"window": lifter.num_frames, "frames_out": lifter.frames_out, "rate_hz": lifter.frame_rate}
    row |= vars(lifter_cost(lifter, flip_test, args.frames))
    row |= vars(lifting_speed(lifter, args.frames, args.repeats, flip_test))
    found = evaluate_lifter(lifter, sequences, *rest, flip_test=flip_test)
    return row | found["lifter"], found["protocol"]


def _labelled(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """LABEL=WEIGHTS or WEIGHTS, which then gives its own label; a training run's `best` is called like its folder."""
    for name in names:
        label, found, weights = name.partition("=")
        if found and not Path(name).exists():
            yield label, weights
        else:
            path = Path(name)
            yield (path.parent.name if path.stem in ("best", "last") else path.stem) or name, name


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a table; numbers are right-aligned, errors in mm (MPJVE: mm a frame)."""
    lines = [[name for name, _ in COLUMNS], ["---"] + ["---:"] * (len(COLUMNS) - 1)]
    lines += [[show(row) for _, show in COLUMNS] for row in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _millions(macs: float) -> str:
    return f"{macs / 1e6:.1f} M"
