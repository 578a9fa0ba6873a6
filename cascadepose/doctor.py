"""Whether this installation works, and how fast: versions, device, weights, codecs, and a stopwatch on every stage.

for finding in examine("cpu"):
    print(finding.part, finding.name, finding.value, finding.problem)
"""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from cascadepose import __version__
from cascadepose.errors import InputError

if TYPE_CHECKING:
    import torch

REQUIRED = (
    *("torch", "torchvision", "timm", "numpy", "scipy", "einops", "safetensors", "huggingface_hub", "accelerate"),
    *("jsonargparse", "pyyaml", "albumentations", "pycocotools", "opencv-python-headless", "pillow", "av"),
    *("matplotlib", "tqdm"),
)
OPTIONAL = ("pandas", "ezc3d", "onnxruntime", "tensorboard", "viser")
_SAME = {"opencv-python-headless": ("opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless")}
DECODERS, ENCODER = ("h264", "hevc", "vp9", "av1", "mpeg4", "mjpeg"), "libx264"
PARTS = ("versions", "device", "weights", "codecs", "speed")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    part: one of `PARTS`; name and value: what was found; problem: what is wrong and the remedy, "" where all is well.
    """

    part: str
    name: str
    value: str
    problem: str = ""


def examine(device: str | None = None, speed: bool = True) -> Iterator[Finding]:
    """Look at everything in the order of `PARTS`; speed: time the stages too, which takes some seconds.

    What does not work is found, not raised, but for a `device` that cannot be used: InputError.
    """
    from cascadepose.devices import pick_device

    place = pick_device(device)
    yield from versions()
    yield from devices(place)
    yield from weights()
    yield from codecs()
    if speed:
        yield from stages(place)


def versions() -> Iterator[Finding]:
    """Of Python, this package and what it needs; packages for single features are named where they are there."""
    yield Finding("versions", "python", f"{platform.python_version()}, {platform.system()} {platform.machine()}")
    yield Finding("versions", "cascadepose", __version__)
    for name in (*REQUIRED, *OPTIONAL):
        found = _version(name)
        if found or name in REQUIRED:
            problem = "" if found else f"{name} is not installed: pip install {name}"
            yield Finding("versions", name, found or "missing", problem)


def _version(name: str) -> str:
    """Of an installed distribution or one that stands in for it; "" if there is none."""
    for candidate in (name, *_SAME.get(name, ())):
        try:
            return metadata.version(candidate)
        except metadata.PackageNotFoundError:
            continue
    return ""


def devices(place: torch.device) -> Iterator[Finding]:
    """Processors, graphics cards, and whether the chosen one computes."""
    import torch

    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("device", "cpu", f"{count} cores, torch uses {torch.get_num_threads()} threads")
    for index in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(index)
        yield Finding("device", f"cuda:{index}", f"{card.name}, {card.total_memory / 2**30:.0f} GiB")
    wrong = _error_of(lambda: torch.ones(8, 8, device=place) @ torch.ones(8, 8, device=place))
    problem = f"{place} does not compute ({wrong}): try --device cpu" if wrong else ""
    yield Finding("device", "chosen", str(place), problem)


def weights() -> Iterator[Finding]:
    """The packaged weights, each loaded once."""
    from cascadepose.hub import PACKAGED, list_models, load_model

    try:
        models = list_models()
    except InputError as error:
        yield Finding("weights", "packaged", "damaged", str(error))
        return
    if not models:
        yield Finding("weights", "packaged", "none", f"no weights in {PACKAGED}: install the package again")
    for model in models:
        size = f"{model.path.stat().st_size / 1e6:.1f} MB"
        wrong = _error_of(lambda name=model.name: load_model(name))
        licence = model.licence.split(". ")[0]  # the rest is in the model's card
        yield Finding("weights", model.name, f"{model.kind}, {size}, licence {licence}", wrong)


def codecs() -> Iterator[Finding]:
    """What videos can be read, and whether one can be written."""
    import av

    there = [name for name in DECODERS if not _error_of(lambda name=name: av.codec.Codec(name, "r"))]
    problem = "" if "h264" in there else "videos in H.264 cannot be read: pip install --force-reinstall av"
    yield Finding("codecs", "read", " ".join(there) or "none", problem)
    wrong = _error_of(lambda: av.codec.Codec(ENCODER, "w"))
    problem = f"overlay videos cannot be written ({wrong}): pip install --force-reinstall av" if wrong else ""
    yield Finding("codecs", "write", "none" if wrong else f"h264 ({ENCODER})", problem)


def stages(place: torch.device) -> Iterator[Finding]:
    """Milliseconds a frame of every stage, for one person in frames of 640x480, with the packaged weights.

    A stage that cannot be timed is a finding with the reason.
    """
    from cascadepose.benchmark.stages import STAGES, rate

    with tempfile.TemporaryDirectory(prefix="cascadepose-") as folder:
        for name in STAGES:
            try:
                found = rate(name, place, Path(folder))
                yield Finding("speed", name, f"{found.milliseconds:.1f} ms a frame, {found.per_second:.0f} a second")
            except Exception as error:  # whatever a broken installation comes up with
                yield Finding("speed", name, "fails", f"{name} does not work: {type(error).__name__}: {error}")


def _error_of(work: Callable[[], object]) -> str:
    """What goes wrong when this runs, in one line; "" if nothing does."""
    try:
        work()
    except Exception as error:
        return " ".join(str(error).split()) or type(error).__name__
    return ""


def report(findings: list[Finding]) -> str:
    """Lines for people: a heading for each part, its findings below."""
    lines: list[str] = []
    for part in PARTS:
        found = [finding for finding in findings if finding.part == part]
        lines += [part] * bool(found)
        lines += [f"  {finding.name:<24}{finding.value}" for finding in found]
    return "\n".join(lines)
