"""Writing a stage as an ONNX file, and holding it against torch."""

from __future__ import annotations

import copy
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cascadepose.errors import InputError
from cascadepose.files import atomic_path

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from cascadepose.onnx.graphs import Graph

FORMAT = "cascadepose-onnx/2"
OPSET = 17  # the first with layer normalisation; later ones bring nothing that is needed
_INSTALL = 'pip install "cascadepose[onnx]"'


@dataclass(frozen=True)
class Exported:
    """A file that was written. difference: largest between onnxruntime and torch, None where it was not checked; people
    found in the picture it was checked with (cascades only).
    """

    path: Path
    stage: str
    difference: float | None
    people: int | None = None


def export_onnx(
    model: str | Path | nn.Module,
    folder: str | Path,
    stages: list[str] | None = None,
    *,
    name: str | None = None,
    threshold: float | None = None,
    picture: np.ndarray | None = None,
    check: bool = True,
    allow_download: bool = False,
) -> list[Exported]:
    """Write stages of a model as `NAME.STAGE.onnx`, each checked against torch before it takes its name.

    model: packaged name, path or hub address of a weights file, or a model itself.
    stages: of "detector", "keypoints", "cascade" (both and what lies between, from picture to joints) for a PRTR,
        "detector" or "keypoints" for one of its two parts, "lifter" for a lifter; None: all there are.
    name: of the files; the weights file's if not given.
    threshold: of the cascade, instead of the model's own.
    picture: uint8 RGB [H, W, 3] with people, to check the cascade with; a photograph of one person if not given.
    check: run every file with onnxruntime beside torch, on batches of 1 and 5 and other sizes than it was traced at.

    Raises InputError for models and stages that cannot be exported, missing packages, folders that cannot be written,
    and files whose answers differ by more than 1e-3 (cascades: 0.02 pixels).
    """
    from cascadepose.hub import load_model, weights_info
    from cascadepose.models import kind_of
    from cascadepose.onnx.graphs import part_of, stages_of

    require("onnx")
    card: dict[str, Any] = {}
    if isinstance(model, str | Path):
        info = weights_info(model, allow_download)
        card = {"weights": Path(info.path).stem, "sha256": info.sha256, "licence": info.licence, "info": info.info}
        model = load_model(model, allow_download=allow_download)
    card |= {"kind": kind_of(model), "config": model.config}
    known = stages_of(model)
    for stage in stages or known:
        if stage not in known:
            raise InputError(f"there is no stage {stage!r} in a model of kind {card['kind']}: use {', '.join(known)}")
    model = copy.deepcopy(model).cpu().eval()  # whose it is may go on training it elsewhere
    name = name or card.get("weights") or card["kind"]
    written = []
    for stage in stages or known:
        part = part_of(model, stage)
        graph = make_graph(part, stage, threshold, picture)
        written.append(write_graph(graph, Path(folder) / f"{name}.{stage}.onnx", card | _declared(part, stage), check))
    return written


def make_graph(
    model: nn.Module, stage: str, threshold: float | None = None, picture: np.ndarray | None = None
) -> Graph:
    """The graph of a stage; threshold and picture are for a cascade, see `export_onnx`."""
    from cascadepose.onnx import graphs
    from cascadepose.onnx.cascade import cascade_graph

    if stage == "cascade":
        return cascade_graph(model, threshold, picture)
    make = {"detector": graphs.detector_graph, "keypoints": graphs.keypoint_graph, "lifter": graphs.lifter_graph}
    return make[stage](model)


def _declared(model: nn.Module, stage: str) -> dict[str, Any]:
    """Facts that a reader of the file needs to feed it and to read its answers."""
    from cascadepose.normalization import declared_input
    from cascadepose.skeletons import SKELETONS

    if stage == "detector":
        return {}
    if stage == "lifter":
        target = SKELETONS[model.skeleton]
        facts = {key: str(value) for key, value in declared_input(model).items()}
        facts |= {"num_frames": model.num_frames, "frames_out": model.frames_out, "causal": model.causal}
        facts |= {"frame_rate": model.frame_rate, "unit": getattr(model, "unit", "metres")}
    else:
        target = model.skeleton
        facts = {"skeleton": target.name}
    return facts | {"joint_names": list(target.names)}


def write_graph(graph: Graph, path: Path, card: dict[str, Any], check: bool = True) -> Exported:
    """Trace, describe, check, and only then give the file its name."""
    import onnx
    import torch

    from cascadepose import __version__

    with atomic_path(path) as temporary:
        with torch.no_grad(), warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            warnings.simplefilter("ignore")  # the tracer doubts every comparison of shapes; the check is the answer
            torch.onnx.export(
                graph.module.eval(),
                tuple(graph.example.values()),
                temporary,
                input_names=list(graph.example),
                output_names=list(graph.outputs),
                dynamic_axes=graph.axes,
                opset_version=OPSET,
                dynamo=False,  # pictures of any size and any number of people: capturing graphs fixes both
            )
        content = onnx.load(temporary)
        facts = {"format": FORMAT, "version": __version__, "stage": graph.stage, **card, **graph.facts}
        onnx.helper.set_model_props(content, {key: _text(value) for key, value in facts.items()})
        content.graph.name, content.producer_name = path.stem, "cascadepose"
        content.doc_string = f"{graph.stage} of {card['kind']}; inputs, outputs and origin are in the metadata"
        onnx.checker.check_model(content)
        temporary.write_bytes(content.SerializeToString())
        difference, people = verify(temporary, graph) if check else (None, None)
        if difference is not None and not difference <= graph.tolerance:
            raise InputError(
                f"{path}: onnxruntime and torch differ by {difference:.2g}, more than {graph.tolerance:g}; "
                "not written. Report it with the versions of torch and onnxruntime, or leave out the check"
            )
    return Exported(path, graph.stage, difference, people)


def verify(path: Path, graph: Graph) -> tuple[float, int | None]:
    """Largest difference between onnxruntime on this file and torch, over all checks of the graph (infinite where
    shapes differ), and the number of people in the first if it is a cascade.
    """
    import numpy as np
    import torch

    from cascadepose.onnx.session import open_session

    session = open_session(path)
    worst, people = 0.0, None
    for number, feed in enumerate(graph.checks):
        with torch.inference_mode():
            answer = graph.module(*feed.values())
        wanted = [value.numpy() for value in ([answer] if isinstance(answer, torch.Tensor) else answer)]
        found = session.run(None, {name: value.numpy() for name, value in feed.items()})
        for ours, theirs in zip(wanted, found, strict=True):
            if ours.shape != theirs.shape:
                return float("inf"), people
            worst = max(worst, float(np.abs(ours - theirs).max(initial=0.0)))
        if graph.stage == "cascade" and number == 0:
            people = len(wanted[0])
    return worst, people


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def require(package: str) -> None:
    """Raise InputError where an optional package is missing."""
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise InputError(f"{package} is not installed, which ONNX needs: {_INSTALL}")
