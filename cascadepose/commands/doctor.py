"""`cascadepose doctor`: whether the installation works, and how fast."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from cascadepose.commands.options import BAD_INPUT

_DOCTOR = """Say whether this installation works, and how fast it is.

Looked at are the versions of what it needs, the device, the packaged weights (each is loaded), the codecs, and how many
milliseconds a frame every stage takes for one person in frames of 640x480.

Nothing is downloaded and nothing is left behind.
"""
_EXAMPLES = """examples:
  cascadepose doctor
  cascadepose doctor --device cpu
  cascadepose doctor --json > report.json      to send along with a question

exit status: 0 all is well, 2 something is wrong (one line each says what and the remedy)
"""


def declare(commands: Any) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "doctor",
        help="whether the installation works, and how fast",
        description=_DOCTOR,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("--device", help="cpu, cuda, cuda:1, ... (default: a GPU where there is one)")
    add("--no-speed", action="store_true", help="do not time the stages")
    add("--json", action="store_true", help="print JSON instead of lines")


def run(args: argparse.Namespace) -> int:
    """Carry it out and return the exit status."""
    import json
    from dataclasses import asdict

    from cascadepose.doctor import examine, report

    findings = list(examine(args.device, not args.no_speed))
    problems = [finding.problem for finding in findings if finding.problem]
    if args.json:
        print(json.dumps({"findings": [asdict(finding) for finding in findings], "well": not problems}, indent=1))
    else:
        print(report(findings))
        print("all is well" if not problems else f"{len(problems)} problem{'s'[: len(problems) > 1]}")
    for problem in problems:
        print(f"problem: {problem}", file=sys.stderr)
    return BAD_INPUT if problems else 0
