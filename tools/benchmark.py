"""Speed ratios against the plain ways of DETR and PRTR, measured in one run.

python tools/benchmark.py --device cuda --json out/benchmark.json
"""

import argparse
import json
import sys
from pathlib import Path


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The options, all with a default."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ... (default: cpu)")
    parser.add_argument("--repeats", type=int, default=10, help="turns of each way; the median counts (default: 10)")
    parser.add_argument("--threads", type=int, help="threads of torch on CPU")
    parser.add_argument("--size", choices=("full", "small"), default="full", help="small: only to see that it runs")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures here")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Measure, print a row a case as it is done, write the report."""
    args = parse(argv)
    import torch

    from cascadepose import benchmark
    from cascadepose.errors import InputError
    from cascadepose.files import atomic_path

    if args.threads:
        torch.set_num_threads(args.threads)
    rows = []
    try:
        print(f"{'case':20s} {'plain ms':>9s} {'ours ms':>9s} {'ratio':>6s}  setting")
        for row in benchmark.run(args.device, args.repeats, args.size):
            print(f"{row.name:20s} {row.plain_ms:9.1f} {row.ours_ms:9.1f} {row.ratio:6.2f}  {row.setting}", flush=True)
            rows.append({**vars(row), "ratio": row.ratio})
        if args.json:
            name = torch.cuda.get_device_name(args.device) if args.device.startswith("cuda") else "cpu"
            facts = {"device": name, "threads": torch.get_num_threads(), "torch": torch.__version__}
            with atomic_path(args.json) as path:
                path.write_text(json.dumps({**facts, "repeats": args.repeats, "rows": rows}, indent=2) + "\n", "utf-8")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
