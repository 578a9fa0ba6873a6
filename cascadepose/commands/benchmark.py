"""`cascadepose benchmark`: what this machine reaches, and how much the package's ways save."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cascadepose.commands.options import BAD_INPUT, count

if TYPE_CHECKING:
    import torch

_BENCHMARK = """Measure speed: what each stage reaches on this machine, and ratios against the plain ways of others.

stages  milliseconds a frame and frames a second of every stage and of a whole video, with the packaged weights
ratios  the same work done by this package and as the original codes of DETR, PRTR, PoseFormer and MotionBERT do it: in
        one process, in turn, on the same input; above 1 where this package is faster. Answers are compared, too.
"""
_EXAMPLES = """examples:
  cascadepose benchmark
  cascadepose benchmark --device cuda --json out/benchmark.json
  cascadepose benchmark --only stages --threads 4
  cascadepose benchmark --only ratios --threads 1 --clock cpu    on a machine that has other work to do

exit status: 0 measured, 2 bad input (one line says what and the remedy)
"""


def declare(commands: Any) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "benchmark",
        help="what this machine reaches, stage by stage",
        description=_BENCHMARK,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("--device", help="cpu, cuda, cuda:1, ... (default: a GPU where there is one)")
    add("--only", choices=("stages", "ratios"), help="one of the two (default: both)")
    add("--repeats", type=count, default=10, metavar="N", help="turns of each way; the median counts (default: 10)")
    add("--threads", type=count, metavar="N", help="threads of torch on CPU (default: torch's own choice)")
    add("--clock", choices=("wall", "cpu"), default="wall", help="ratios: cpu counts seconds of computing, all threads")
    add("--size", choices=("full", "small"), default="full", help="small: only to see that it runs")
    add("--json", type=Path, metavar="OUT", help="write the figures here")


def run(args: argparse.Namespace) -> int:
    """Carry it out and return the exit status."""
    import json

    import torch

    from cascadepose import __version__
    from cascadepose.devices import pick_device
    from cascadepose.files import atomic_path

    if args.threads:
        torch.set_num_threads(args.threads)
    place = pick_device(args.device)
    name = torch.cuda.get_device_name(place) if place.type == "cuda" else place.type
    report = {"version": __version__, "device": name, "threads": torch.get_num_threads(), "torch": torch.__version__}
    print(f"{name}, {report['threads']} threads, torch {torch.__version__}")
    if args.only != "ratios":
        report["stages"] = _stages(place, args.size == "small")
    if args.only != "stages":
        report |= {"repeats": args.repeats, "clock": args.clock, "rows": _ratios(args)}
    if args.json:
        with atomic_path(args.json) as path:
            path.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    broken = any("error" in stage for stage in report.get("stages", []))
    return BAD_INPUT if broken else 0


def _stages(place: torch.device, small: bool) -> list[dict[str, Any]]:
    """Print a line a stage as it is done; one that does not work is said on stderr, and the others go on."""
    import tempfile

    from cascadepose.benchmark.stages import STAGES, rate

    rows = []
    print(f"\n{'stage':20s} {'ms/frame':>9s} {'frames/s':>9s}  of what", flush=True)
    with tempfile.TemporaryDirectory(prefix="cascadepose-") as folder:
        for name in STAGES:
            try:
                found = rate(name, place, Path(folder), 0.0 if small else None)
            except Exception as error:  # whatever a broken installation comes up with
                print(f"error: {name} does not work: {type(error).__name__}: {error}", file=sys.stderr)
                rows.append({"name": name, "error": f"{type(error).__name__}: {error}"})
                continue
            print(f"{name:20s} {found.milliseconds:9.1f} {found.per_second:9.1f}  {found.what}", flush=True)
            rows.append({**vars(found), "per_second": found.per_second})
    return rows


def _ratios(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Print a line a case as it is done."""
    from cascadepose import benchmark

    rows = []
    print(f"\n{'case':20s} {'plain ms':>9s} {'ours ms':>9s} {'ratio':>6s}  setting", flush=True)
    for row in benchmark.run(args.device, args.repeats, args.size, args.clock):
        print(f"{row.name:20s} {row.plain_ms:9.1f} {row.ours_ms:9.1f} {row.ratio:6.2f}  {row.setting}", flush=True)
        rows.append({**vars(row), "ratio": row.ratio})
    return rows
