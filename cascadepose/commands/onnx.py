"""`cascadepose onnx`: weights in, ONNX files out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from cascadepose.commands.options import count, names

_ONNX = """Write the stages of a model as ONNX files, which other runtimes and languages open.

DIR gets  NAME.detector.onnx   pictures -> person scores and boxes
          NAME.keypoints.onnx  crops of people -> joints
          NAME.cascade.onnx    both and the crops between them: one uint8 picture of any size -> people and joints
or, of a lifter,
          NAME.lifter.onnx     windows of normalised 2D joints -> 3D joints

Each file is run with onnxruntime beside torch before it takes its name; inputs, outputs, skeleton and licence are in
its metadata. docs/onnx.md describes them. Needs: pip install "cascadepose[onnx]"
"""
_EXAMPLES = """examples:
  cascadepose onnx prtr-mobilenetv2-small --out onnx
  cascadepose onnx prtr-mobilenetv2-small --stages cascade --threshold 0.3 --picture team.jpg
  cascadepose onnx dstformer-small --time 10          speed beside torch, too
  cascadepose infer dance.mp4 --backend onnx          runs such files; made on first use

exit status: 0 written, 2 bad input (one line says what and the remedy; no unchecked file is left)
"""


def declare(commands: Any) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "onnx",
        help="weights in, ONNX files out",
        description=_ONNX,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    add_options(parser)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options, which `tools/export_onnx.py` shares."""
    add = parser.add_argument
    add("weights", metavar="NAME", help="packaged name, path or hub address of a weights file")
    add("--out", metavar="DIR", type=Path, default=Path("onnx"), help="folder for the files (default: onnx)")
    add("--stages", type=names, metavar="LIST", help="of detector,keypoints,cascade,lifter (default: all there are)")
    add("--threshold", type=float, metavar="SCORE", help="of people in the cascade (default: the weights' own)")
    add("--picture", metavar="FILE", type=Path, help="with people, to check the cascade with (default: a photograph)")
    add("--no-check", action="store_true", help="do not compare the files with torch")
    add("--time", type=count, metavar="N", help="time each file beside torch, N turns on CPU")


def run(args: argparse.Namespace) -> int:
    """Carry it out and return the exit status."""
    from cascadepose.onnx import export_onnx

    written = export_onnx(
        args.weights,
        args.out,
        args.stages,
        threshold=args.threshold,
        picture=None if args.picture is None else _picture(args.picture),
        check=not args.no_check,
    )
    for file in written:
        people = "" if file.people is None else f", {file.people} people in the picture"
        checked = "not checked" if file.difference is None else f"at most {file.difference:.1e} from torch{people}"
        print(f"{file.path}: {file.stage}, {file.path.stat().st_size / 1e6:.1f} MB, {checked}")
    if args.time:
        _time(args, written)
    return 0


def _picture(path: Path) -> Any:
    from cascadepose.data.frames import open_source

    return next(iter(open_source(path))).image


def _time(args: argparse.Namespace, written: list[Any]) -> None:
    """A row a stage: medians of turns that torch and onnxruntime take, on the inputs of the check."""
    import torch

    from cascadepose.benchmark import Case, measure
    from cascadepose.hub import load_model
    from cascadepose.onnx.export import make_graph
    from cascadepose.onnx.session import open_session

    model, cpu = load_model(args.weights), torch.device("cpu")
    print(f"\n{'stage':<11}{'input':<22}{'torch ms':>9}{'onnx ms':>9}{'ratio':>7}   {torch.get_num_threads()} threads")
    for file in written:
        graph, session = make_graph(model, file.stage, args.threshold), open_session(file.path)
        for feed in graph.checks[:2]:
            arrays = {name: value.numpy() for name, value in feed.items()}
            (shape,) = ("x".join(map(str, value.shape)) for value in feed.values())
            case = Case(
                file.stage,
                shape,
                lambda graph=graph, feed=feed: _first(graph.module(*feed.values())),
                lambda session=session, arrays=arrays: torch.from_numpy(session.run(None, arrays)[0]),
                graph.tolerance,
            )
            with torch.inference_mode():
                row = measure(case, args.time, cpu)
            print(
                f"{row.name:<11}{row.setting:<22}{row.plain_ms:>9.1f}{row.ours_ms:>9.1f}{row.ratio:>7.2f}", flush=True
            )


def _first(answer: Any) -> Any:
    return answer[0] if isinstance(answer, tuple) else answer
