"""Results as files: one module a format, each with `write(result, path) -> files made`; JSON and NPZ also with
`read(path)`. docs/schema.md describes these two, docs/exports.md the others and the programs that open them.
"""

from __future__ import annotations

import importlib
import zipfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cascadepose.errors import InputError
from cascadepose.files import write_each

if TYPE_CHECKING:
    from cascadepose.types import VideoResult

__all__ = ["ALL", "DEFAULT_FORMATS", "FORMATS", "check_formats", "is_result", "load_result", "save_result"]

FORMATS = {
    ".json": "cascadepose.export.json",
    ".npz": "cascadepose.export.npz",
    ".csv": "cascadepose.export.csv",
    ".bvh": "cascadepose.export.bvh",
    ".trc": "cascadepose.export.trc",
    ".c3d": "cascadepose.export.c3d",
    ".glb": "cascadepose.export.gltf",
    ".html": "cascadepose.visualize.html",
}
DEFAULT_FORMATS = ("json", "npz")
ALL = "all"  # instead of names: every format that can be written
_NEED_3D = (".bvh", ".trc", ".c3d", ".glb")
_READABLE = (".npz", ".json")
_STEM = "poses"


def save_result(
    result: VideoResult, path: str | Path, formats: Iterable[str] | None = None, stem: str = _STEM
) -> list[Path]:
    """Write a result; returns the files made, each whole or not there at all.

    A name with a known suffix makes that file. Any other name is a folder, which gets a file named `stem` of each of
    the formats: json and npz by default, "all" for all that can be written. BVH, TRC and C3D hold one person: with
    several people their files are named poses-ID.bvh and so on, and with nobody found a folder gets none of them.
    Raises InputError for an unknown format, a place that cannot be written, numbers that are not finite, formats of 3D
    joints where there are none, and a missing package. Where some formats cannot be written, the others are, and the
    error, a PartlyWritten, has their paths as `written`.
    """
    from cascadepose.export.schema import check_finite

    path = Path(path)
    single = path.suffix in FORMATS and not path.is_dir()
    if single and formats is not None:
        raise InputError(f"{path}: names a file, and formats are for a folder; give a folder's name or no formats")
    if not single and formats is None and path.suffix and not path.is_dir():
        raise InputError(
            f"{path}: unknown format {path.suffix!r}; use {', '.join(FORMATS)}, or a folder's name for several"
        )
    lifted = single or not result.tracks or any(track.poses3d for track in result.tracks)
    wanted = DEFAULT_FORMATS if formats is None else formats
    names = check_formats([path.suffix[1:]] if single else wanted, lifted)
    suffixes = [f".{name}" for name in names if single or result.tracks or f".{name}" not in _NEED_3D]
    files = [path] if single else [path / f"{stem}{suffix}" for suffix in suffixes]
    writers = {file: importlib.import_module(FORMATS[file.suffix]).write for file in files}
    check_finite(result)
    return write_each(partial(write, result, file) for file, write in writers.items())


def check_formats(formats: Iterable[str], lifted: bool = True) -> list[str]:
    """The format names, each once, if they can be written: known, with their package at hand, and with 3D joints
    (`lifted`) where they need them; "all" stands for all that can be. Raises InputError.
    """
    names = list(dict.fromkeys(formats))
    if ALL in names:
        names = [name for suffix in FORMATS if _possible(name := suffix[1:], lifted)]
    for name in names:
        if f".{name}" not in FORMATS:
            raise InputError(f"unknown format {name!r}; use {', '.join(suffix[1:] for suffix in FORMATS)}, or {ALL}")
        if not lifted and f".{name}" in _NEED_3D:
            raise InputError(f"{name} holds 3D joints, and there are none without a lifter; use json, npz or csv")
    if "c3d" in names:
        importlib.import_module(FORMATS[".c3d"]).require()
    return names


def is_result(path: str | Path) -> bool:
    """Whether this is a result of our own, a .json or .npz file or the folder that holds one, and not another
    program's; told by its first bytes.
    """
    path = Path(path)
    try:
        if path.is_dir():
            return any(is_result(path / f"{_STEM}{suffix}") for suffix in _READABLE)
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                return {"header.npy", "timestamps.npy"} <= set(archive.namelist())
        with path.open("rb") as file:
            return path.suffix == ".json" and b'"cascadepose-poses/' in file.read(200)
    except (OSError, zipfile.BadZipFile):
        return False


def load_result(path: str | Path) -> VideoResult:
    """Read a result back from a .json or .npz file, or from the folder that holds one.

    Raises InputError where the file is missing, damaged, or none of ours.
    """
    path = Path(path)
    if path.is_dir():
        found = [path / f"poses{suffix}" for suffix in _READABLE if (path / f"poses{suffix}").exists()]
        if not found:
            raise InputError(
                f"{path}: holds no poses.npz or poses.json; give the folder that `cascadepose infer` wrote"
            )
        path = found[0]
    if not path.exists():
        raise InputError(f"{path}: no such file; check the path")
    if path.suffix not in _READABLE:
        raise InputError(f"{path}: unknown format {path.suffix!r}; results are read from {' or '.join(_READABLE)}")
    return importlib.import_module(FORMATS[path.suffix]).read(path)


def _possible(name: str, lifted: bool) -> bool:
    try:
        check_formats([name], lifted)
    except InputError:
        return False
    return True
