"""Files of named tensors: opened with an error that says what else a file is, held against what a model expects."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cascadepose.errors import InputError

if TYPE_CHECKING:
    import torch

CONTAINERS = ("model", "state_dict", "model_pos", "best_state_dict")  # where training codes keep the tensors


def open_safetensors(path: Path):
    """A safetensors reader; InputError says what the file is instead."""
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(path, framework="pt")
    except SafetensorError as error:
        raise InputError(f"{path}: {_what_is_wrong(path, error)}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); check the path") from None


def _what_is_wrong(path: Path, error: Exception) -> str:
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        return "the file is empty (0 bytes); copy or download it again"
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the weights; run `git lfs pull`"
    if head.startswith((b"PK\x03\x04", b"\x80")):
        return (
            "a PyTorch checkpoint, not a safetensors file; give it as `checkpoint` to a model of the same architecture"
        )
    if "IncompleteBuffer" in str(error) or (len(head) > 9 and head[8:9] == b"{"):
        return f"cut off or damaged ({path.stat().st_size:,} bytes are there); copy or download it again"
    return "not a safetensors file; use a file written by cascadepose or a packaged name"


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Every tensor of a safetensors or PyTorch file by name, on the CPU; wrappers that training adds are taken off."""
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint; check the path")
    with path.open("rb") as file:
        head = file.read(4)
    if not head.startswith((b"PK\x03\x04", b"\x80")):
        with open_safetensors(path) as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    return _read_pickled(path)


def _read_pickled(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a PyTorch file without running any code of its own."""
    import pickle

    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise InputError(
            f"{path}: holds Python objects besides tensors, which are not loaded for safety; save its state_dict alone"
        ) from None
    except (RuntimeError, EOFError, OSError) as error:
        raise InputError(f"{path}: cannot be read ({one_line(error)}); copy or download it again") from None
    for key in CONTAINERS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise InputError(f"{path}: holds no table of named tensors; save the model's state_dict")
    return {name.removeprefix("module."): tensor for name, tensor in content.items()}


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
