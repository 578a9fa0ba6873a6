"""Cases on disk."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cascadepose.errors import InputError

COCO = "coco_eval"


@dataclass(frozen=True)
class Case:
    """Official inputs and outputs by their names without `in.` and `out.`.

    description: `config` (of the official model), `state_dict` ([name, shape, dtype] of its tensors; a fourth entry
    "derived" marks buffers it computes itself), `params`, `max_abs_fp32_vs_fp64` (how far float32 is from float64).
    """

    name: str
    folder: Path
    description: dict[str, Any] = field(repr=False)
    inputs: dict[str, np.ndarray] = field(repr=False)
    outputs: dict[str, np.ndarray] = field(repr=False)

    @property
    def config(self) -> dict[str, Any]:
        return self.description.get("config") or {}

    def tolerance(self, output: str, least: float) -> float:
        """`least`, or ten times the official code's own rounding error where that is more."""
        gaps = self.description.get("max_abs_fp32_vs_fp64") or {}
        return max(least, 10 * (gaps.get(output) or 0.0))


def names(folder: Path) -> list[str]:
    """The cases in a folder, in the order of their names. Raises InputError where there are none."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the one that holds the cases")
    found = sorted(path.stem for path in folder.glob("*.npz"))
    if (folder / COCO).is_dir():
        found.append(COCO)
    if not found:
        raise InputError(f"{folder}: holds no cases (NAME.npz with NAME.json, or {COCO}/)")
    return found


def read(folder: Path, name: str) -> Case:
    """One case; its arrays hold numbers only. Raises InputError for a file that cannot be read."""
    if name == COCO:
        return Case(name, folder / COCO, {}, {}, {})
    path, description = folder / f"{name}.npz", folder / f"{name}.json"
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        content = json.loads(description.read_text("utf-8")) if description.exists() else {}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: cannot be read ({error}); copy it again") from None
    inputs, outputs = (
        {k.partition(".")[2]: v for k, v in arrays.items() if k.startswith(f"{p}.")} for p in ("in", "out")
    )
    return Case(name, folder, content, inputs, outputs)
