"""Hold every case of a folder against this package: official inputs and outputs of models, metrics, losses, crops.

python tools/check_parity.py DIR

Prints for each case its largest difference (of the output nearest to its tolerance), the tolerance and the seconds it
took. Exit status: 0 all hold, 1 some do not, 2 there are no cases.
"""

import argparse
import sys
from pathlib import Path


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The options; only the folder must be given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="DIR", type=Path, help="NAME.npz with NAME.json each, coco_eval/")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases whose name contains TEXT")
    parser.add_argument("--all-outputs", action="store_true", help="a line for every output of a case")
    parser.add_argument("--threads", type=int, help="threads of torch")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the cases, print a line for each."""
    args = parse(argv)
    import torch

    from cascadepose.errors import InputError
    from cascadepose.parity.checks import run_folder

    if args.threads:
        torch.set_num_threads(args.threads)
    held = []
    try:
        print(f"{'case':36s} {'difference':>10s} {'tolerance':>10s} {'seconds':>8s}  output", flush=True)
        for result in run_folder(args.folder, args.only):
            held.append(result.holds)
            print_result(result, args.all_outputs)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{sum(held)} of {len(held)} cases hold")
    return 0 if all(held) else 1


def print_result(result, all_outputs: bool) -> None:
    """One line for a case, and one for each of its outputs if wanted."""
    verdict = "" if result.holds else "  FAILED"
    if result.worst is None:
        print(f"{result.case:36s} {'-':>10s} {'-':>10s} {result.seconds:8.1f}{verdict}: {result.error}", flush=True)
        return
    print_line(result.case, result.worst, f"{result.seconds:8.1f}", verdict)
    for part in result.comparisons if all_outputs else []:
        print_line("", part, " " * 8, "" if part.holds else "  FAILED")


def print_line(name: str, part, seconds: str, verdict: str) -> None:
    """A row of the table."""
    print(f"{name:36s} {part.difference:10.2e} {part.tolerance:10.2e} {seconds}  {part.output}{verdict}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
