"""Tensors out of other people's files, without running any code that such a file may carry.

PyTorch's own files are pickles, which can call anything when they are loaded. Here `torch.load(weights_only=True)`
reads them, which knows tensors and plain values only. What official training files hold besides (the state of numpy's
generator, numpy scalars, the command line as a Namespace) is taken for an empty placeholder: its name is allowed, its
code is never looked up. Any other name is refused.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cascadepose.errors import InputError
from cascadepose.tensors import open_safetensors

if TYPE_CHECKING:
    import torch

__all__ = ["CONTAINERS", "Checkpoint", "read_checkpoint"]

# Keys under which training codes keep the tensors; the best weights of a run come before its last ones.
CONTAINERS = ("model", "model_pos", "best_state_dict", "state_dict")
PLACEHOLDERS = (
    *("argparse.Namespace", "numpy.dtype", "numpy.ndarray", "numpy.random.mtrand.RandomState"),
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
    *("numpy.random.__RandomState_ctor", "numpy.random._pickle.__randomstate_ctor"),
    *("numpy.random._pickle.__bit_generator_ctor", "numpy.random._mt19937.MT19937"),
    *("numpy.random.bit_generator.SeedSequence", "numpy.random._mt19937.__pyx_unpickle_MT19937"),
    "numpy.random.bit_generator.__pyx_unpickle_SeedSequence",
)
# What torch says of a pickle that it will not follow, in contrast to one that breaks off.
_REFUSED = r"GLOBAL|reduce for|persistent|Can only|Unsupported operand|TorchScript"


@dataclass(frozen=True)
class Checkpoint:
    """The named tensors of a file.

    container: the key they were under, "" if under none. left_out: keys of the file that hold something else.
    """

    path: Path
    tensors: dict[str, torch.Tensor] = field(repr=False)
    container: str = ""
    left_out: tuple[str, ...] = ()


class Placeholder:
    """Stands for an object whose code is not run; takes and forgets whatever is said of it."""

    def __new__(cls, *_: Any) -> Placeholder:
        return super().__new__(cls)

    def __init__(self, *_: Any):
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Every tensor of a safetensors or PyTorch file, on the CPU, out of its container and without "module.".

    Raises InputError: no such file; cut off or damaged; objects other than tensors, plain values and `PLACEHOLDERS`;
    no table of named tensors.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint; check the path")
    with path.open("rb") as file:
        head = file.read(4)
    if not head.startswith((b"PK\x03\x04", b"\x80")):
        with open_safetensors(path) as file:
            return Checkpoint(path, _plain({name: file.get_tensor(name) for name in file.keys()}))  # noqa: SIM118
    return _unwrap(path, _load(path))


def _load(path: Path) -> Any:
    import torch

    try:
        with (
            warnings.catch_warnings(),
            torch.serialization.safe_globals([(Placeholder, name) for name in PLACEHOLDERS]),
        ):
            warnings.simplefilter("ignore")  # remarks on the pickle's protocol; what matters is said below
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a different type for each way in which a file can be wrong
        text = str(error)
    if re.search(_REFUSED, text):
        name = re.search(r"GLOBAL ([\w.]+)", text)
        raise InputError(
            f"{path}: holds Python objects besides tensors{f' ({name[1]})' if name else ''}, which are not loaded for "
            "safety (nothing of the file was run); save the model's state_dict alone"
        )
    reason = re.split(r"\.\s|\n", text)[0] or "it ends too early"
    raise InputError(
        f"{path}: cut off or damaged, cannot be read ({path.stat().st_size:,} bytes are there; {reason}); "
        "copy or download it again"
    )


def _unwrap(path: Path, content: Any) -> Checkpoint:
    """Go down the containers to the table of tensors."""
    container, left_out = "", []
    while isinstance(content, dict) and not _is_table(content):
        key = next((key for key in CONTAINERS if isinstance(content.get(key), dict)), None)
        if key is None:
            break
        left_out += [str(name) for name in content if name != key]
        container, content = f"{container}.{key}".lstrip("."), content[key]
    if not _is_table(content):
        raise InputError(f"{path}: holds no table of named tensors; save the model's state_dict")
    return Checkpoint(path, _plain(content), container, tuple(left_out))


def _is_table(content: Any) -> bool:
    import torch

    return (
        isinstance(content, dict)
        and bool(content)
        and all(isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in content.items())
    )


def _plain(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Plain tensors, their names without what DataParallel puts before them."""
    wrapped = bool(tensors) and all(name.startswith("module.") for name in tensors)
    return {name.removeprefix("module.") if wrapped else name: tensor.detach() for name, tensor in tensors.items()}
