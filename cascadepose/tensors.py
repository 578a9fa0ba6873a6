"""Files of named tensors: opened with an error that says what else a file is, held against what a model expects."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cascadepose.errors import InputError

if TYPE_CHECKING:
    import torch


def open_safetensors(path: Path):
    """A safetensors reader; InputError says what the file is instead."""
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(path, framework="pt")
    except SafetensorError as error:
        raise InputError(f"{path}: {file_problem(path, error)}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); check the path") from None


def file_problem(path: Path, error: Exception) -> str:
    """What a file that is no safetensors file is, and what to do about it."""
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        return "the file is empty (0 bytes); copy or download it again"
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the weights; run `git lfs pull`"
    if head.startswith((b"PK\x03\x04", b"\x80")):
        return (
            "a PyTorch checkpoint, not a safetensors file; give it as `checkpoint` to a model of the same architecture "
            "or, if it is an official one, use `cascadepose convert`"
        )
    if "IncompleteBuffer" in str(error) or (len(head) > 9 and head[8:9] == b"{"):
        return f"cut off or damaged ({path.stat().st_size:,} bytes are there); copy or download it again"
    if head.lstrip().startswith(b"<"):
        return "not a safetensors file but a web page; download the file itself, for instance with a browser"
    return "not a safetensors file; use a file written by cascadepose or a packaged name"


def check_fit(path: Path, tensors: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    """Raise InputError, naming the first few, for tensors that are missing, left over, misshapen or not finite."""
    missing = [name for name in wanted if name not in tensors]
    unexpected = [name for name in tensors if name not in wanted]
    reshaped = [
        f"{name} is {list(tensors[name].shape)}, expected {list(wanted[name].shape)}"
        for name in wanted
        if name in tensors and tensors[name].shape != wanted[name].shape
    ]
    counted = ((missing, "missing"), (unexpected, "unexpected"), (reshaped, "of another shape"))
    if problems := [f"{len(names)} tensors {what} ({_few(names)})" for names, what in counted if names]:
        raise InputError(
            f"{path}: does not fit the model: {'; '.join(problems)}; use weights of this very configuration"
        )
    if broken := [name for name, tensor in tensors.items() if not tensor.isfinite().all()]:
        raise InputError(
            f"{path}: {len(broken)} tensors hold NaN or infinite values ({_few(broken)}); use another checkpoint"
        )


def _few(names: list[str], count: int = 3) -> str:
    return ", ".join(names[:count]) + (", ..." if len(names) > count else "")


def one_line(error: Exception) -> str:
    """The text of an error of another library, fit for a message of one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__
