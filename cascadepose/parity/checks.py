"""Which comparison a case gets, and all cases of a folder in turn."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from cascadepose.errors import InputError
from cascadepose.parity import cases
from cascadepose.parity.cases import Case
from cascadepose.parity.compare import Comparison
from cascadepose.parity.models import check_model, is_model

# By the outputs that only such a case has, so that a case may have any name: (outputs, "module:function").
CHECKS = (
    (("loss.loss_bbox", "loss.loss_giou"), "set_losses:detr_criterion"),
    (("loss.loss_kpts", "decode_bg0.coords"), "set_losses:prtr_criterion_and_decode"),
    (("b0.r0.trans", "b0.r0.crop"), "crops:prtr_crop_affine"),
    (("mpjve", "world_back", "proj"), "lifting:metrics_and_camera"),
    (("loss_limb_gt", "halpe2h36m"), "motion:losses_and_data"),
    (("noise_seed123", "mask_seed124"), "motion:augmenter"),
    (("h36m", "cam_720p"), "joints:coco2h36m"),
    (("h36m", "revised"), "joints:coco_to_h36m"),
)


@dataclass(frozen=True)
class Result:
    """A case that was run: its comparisons, or why there are none."""

    case: str
    seconds: float
    comparisons: list[Comparison] = field(default_factory=list)
    error: str = ""

    @property
    def holds(self) -> bool:
        return not self.error and bool(self.comparisons) and all(part.holds for part in self.comparisons)

    @property
    def worst(self) -> Comparison | None:
        """The comparison that is nearest to its tolerance, or furthest beyond it."""
        return max(self.comparisons, key=_share, default=None)


def _share(part: Comparison) -> float:
    if part.tolerance:
        return part.difference / part.tolerance if part.difference == part.difference else float("inf")
    return 0.0 if part.difference == 0 else float("inf")


def check(case: Case) -> list[Comparison]:
    """Compare a case. Raises InputError where no comparison is known for it or an output cannot be answered."""
    if case.name == cases.COCO:
        return _function("coco:evaluation")(case)
    if is_model(case):
        return check_model(case)
    for outputs, target in CHECKS:
        if all(name in case.outputs for name in outputs):
            return _function(target)(case)
    raise InputError(f"{case.name}: no comparison is known for outputs {', '.join(list(case.outputs)[:5])}, ...")


def _function(target: str) -> Callable[[Case], list[Comparison]]:
    module, name = target.split(":")
    return getattr(importlib.import_module(f".{module}", __package__), name)


def run_folder(folder: Path, only: str = "") -> Iterator[Result]:
    """Every case of a folder whose name contains `only`; one that fails, in whatever way, does not stop the rest.

    Raises InputError where there is no such case.
    """
    chosen = [name for name in cases.names(folder) if only in name]
    if not chosen:
        raise InputError(f"{folder}: no case is named like {only!r}; there are {', '.join(cases.names(folder))}")
    for name in chosen:
        started = perf_counter()
        try:
            comparisons, error = check(cases.read(folder, name)), ""
        except Exception as problem:
            kind = "" if isinstance(problem, InputError) else f"{type(problem).__name__}: "
            comparisons, error = [], f"{kind}{' '.join(str(problem).split())}"
        yield Result(name, perf_counter() - started, comparisons, error)
