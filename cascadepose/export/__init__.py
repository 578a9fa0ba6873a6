"""Results as files: one module a format, each with `write(result, path)` and `read(path)`. docs/schema.md describes
them.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from cascadepose.errors import InputError

if TYPE_CHECKING:
    from cascadepose.types import VideoResult

__all__ = ["FORMATS", "load_result", "save_result"]

FORMATS = {".json": "cascadepose.export.json", ".npz": "cascadepose.export.npz"}


def save_result(result: VideoResult, path: str | Path) -> list[Path]:
    """Write a result; returns the files made, each whole or not there at all.

    A name with a known suffix makes that file, a name without a suffix a folder with poses.json and poses.npz.
    Raises InputError for an unknown suffix and for a place that cannot be written.
    """
    path = Path(path)
    if path.suffix in FORMATS and not path.is_dir():
        paths = [path]
    elif path.is_dir() or not path.suffix:
        paths = [path / f"poses{suffix}" for suffix in FORMATS]
    else:
        raise InputError(
            f"{path}: unknown format {path.suffix!r}; use {', '.join(FORMATS)}, or a folder's name for all"
        )
    for file in paths:
        importlib.import_module(FORMATS[file.suffix]).write(result, file)
    return paths


def load_result(path: str | Path) -> VideoResult:
    """Read a result back from a .json or .npz file, or from the folder that holds one.

    Raises InputError where the file is missing, damaged, or none of ours.
    """
    path = Path(path)
    if path.is_dir():
        found = [path / f"poses{suffix}" for suffix in (".npz", ".json") if (path / f"poses{suffix}").exists()]
        if not found:
            raise InputError(
                f"{path}: holds no poses.npz or poses.json; give the folder that `cascadepose infer` wrote"
            )
        path = found[0]
    if not path.exists():
        raise InputError(f"{path}: no such file; check the path")
    if path.suffix not in FORMATS:
        raise InputError(f"{path}: unknown format {path.suffix!r}; results are read from {' or '.join(FORMATS)}")
    return importlib.import_module(FORMATS[path.suffix]).read(path)
