"""Weights: one safetensors file a model, with everything in its header that is needed to rebuild it.

Its metadata holds `format`, `kind` and `config` (what `cascadepose.models.build` takes) and `info` (facts of the
model card: data, recipe, scores, licence, version). A model is named by a packaged name, by a path, or by an address on
the Hugging Face hub (`hf://owner/repo[/file][@revision]`), in this order; the network is used only where the caller
allows it.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cascadepose.errors import InputError
from cascadepose.files import atomic_path

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["WeightsInfo", "list_models", "load_model", "save_model", "weights_info"]

FORMAT = "cascadepose/1"
PACKAGED = Path(__file__).with_name("weights")
_ADDRESS = re.compile(
    r"(?P<scheme>hf://)?(?P<repo>[\w.-]+/[\w.-]+)(?:/(?P<file>[\w./ -]+))?(?:@(?P<revision>[\w./-]+))?", re.ASCII
)


@dataclass(frozen=True)
class WeightsInfo:
    """What a weights file says of itself.

    name: packaged name, path or hub address it was found by. origin: "packaged", "file" or "hub". kind, config: what
    `cascadepose.models.build` takes. licence: of the weights ("unknown" if the file does not say). info: the facts of
    the model card.
    """

    name: str
    origin: str
    path: Path
    kind: str
    licence: str
    config: dict[str, Any] = field(repr=False)
    info: dict[str, Any] = field(repr=False)

    @property
    def sha256(self) -> str:
        """Digest of the whole file, hexadecimal."""
        stat = self.path.stat()
        return _sha256(self.path, stat.st_mtime_ns, stat.st_size)


def list_models() -> list[WeightsInfo]:
    """The packaged models by name."""
    return [_describe(name, "packaged", path) for name, path in _packaged().items()]


def weights_info(name_or_path: str | Path, allow_download: bool = False) -> WeightsInfo:
    """Find a weights file and read its header; the tensors stay on disk. Raises InputError."""
    name = os.fspath(name_or_path)
    packaged = _packaged()
    if name in packaged:
        return _describe(name, "packaged", packaged[name])
    path = Path(name).expanduser()
    if path.exists():
        return _describe(name, "file", _single_file(path))
    address = _ADDRESS.fullmatch(name)
    looks_like_file = path.suffix in (".safetensors", ".pth", ".pt", ".bin", ".ckpt") and name.count("/") < 2
    if address and not looks_like_file:
        return _describe(name, "hub", _fetch(name, address, allow_download))
    if looks_like_file or path.parent != Path():
        raise InputError(f"{name}: no such file; check the path, or use a packaged model: {_known()}")
    nearest = difflib.get_close_matches(name, packaged, n=1, cutoff=0.4)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    raise InputError(f"no weights are named {name!r}: {hint}packaged models: {_known()}; a path to a file works too")


def load_model(
    name_or_path: str | Path,
    device: str | torch.device = "cpu",
    checkpoint: str | Path | None = None,
    *,
    kind: str | None = None,
    allow_download: bool = False,
) -> nn.Module:
    """Rebuild a model and fill it: eval mode, float32, every tensor accounted for.

    checkpoint: fill the model with the tensors of this file instead (safetensors, or a PyTorch file of plain tensors,
        also inside "model" or "state_dict" and with "module." before the names); name_or_path then gives the
        architecture only.
    kind: refuse a file that holds another kind of model.
    allow_download: let the Hugging Face hub be asked for a file that is not in its local cache.

    Raises InputError: unknown name, file of another format or cut off, other kind, tensors that are missing, left over
    or of other shapes.
    """
    import torch

    from cascadepose import models

    found = weights_info(name_or_path, allow_download)
    if kind is not None and found.kind != kind:
        raise InputError(f"{found.name}: holds a model of kind {found.kind!r}, but {kind!r} is needed here")
    try:
        model = models.build(found.kind, **found.config)
    except (TypeError, ValueError, KeyError) as error:
        raise InputError(
            f"{found.name}: its {found.kind!r} cannot be built ({_one_line(error)}); the file was made by another "
            f"version of cascadepose ({found.info.get('version', 'not named')}): update the package or the file"
        ) from None
    source = found.path if checkpoint is None else Path(checkpoint).expanduser()
    tensors = _read_tensors(source)
    _check_fit(source, tensors, model.state_dict())
    model.load_state_dict(tensors, strict=True)
    return model.to(device=torch.device(device), dtype=torch.float32).eval()


def save_model(
    model: nn.Module,
    path: str | Path,
    kind: str,
    info: dict[str, Any] | None = None,
    dtype: torch.dtype | None = None,
) -> Path:
    """Write a model, whose `config` attribute holds its constructor's arguments, as one file, whole or not at all.

    dtype: of the stored parameters (default float16); buffers, such as running statistics, keep their own. info: facts
    of the model card, plain JSON; the version is added. Raises InputError for values that the dtype cannot hold and for
    a path that cannot be written.
    """
    import torch
    from safetensors.torch import save_file

    from cascadepose import __version__

    dtype = torch.float16 if dtype is None else dtype
    parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    tensors = {}
    for name, tensor in model.state_dict().items():
        narrow = name in parameters and tensor.is_floating_point()
        tensors[name] = tensor.detach().to("cpu", dtype if narrow else tensor.dtype, copy=True).contiguous()
        if not torch.isfinite(tensors[name]).all():
            raise InputError(
                f"{path}: tensor {name} holds values that are not finite in {tensors[name].dtype}; not written"
            )
    card = {"version": __version__} | (info or {})
    metadata = {"format": FORMAT, "kind": kind, "config": json.dumps(model.config), "info": json.dumps(card)}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)
    return Path(path)


def _packaged() -> dict[str, Path]:
    return {path.stem: path for path in sorted(PACKAGED.glob("*.safetensors"))}


def _known() -> str:
    return ", ".join(_packaged()) or "none in this installation"


def _single_file(path: Path) -> Path:
    """A folder stands for the one weights file in it."""
    if not path.is_dir():
        return path
    files = sorted(path.glob("*.safetensors"))
    if len(files) != 1:
        raise InputError(f"{path}: a folder with {len(files)} .safetensors files; name the file itself")
    return files[0]


def _fetch(name: str, address: re.Match, allow_download: bool) -> Path:
    """The local copy of a file on the hub, downloaded only if allowed and needed."""
    from huggingface_hub import hf_hub_download

    file = address["file"] or "model.safetensors"
    try:
        return Path(
            hf_hub_download(
                address["repo"],
                file,
                revision=address["revision"],
                local_files_only=not allow_download,
                endpoint=os.environ.get("HF_ENDPOINT"),
            )
        )
    except (OSError, ValueError, RuntimeError) as error:
        if allow_download:
            remedy = f"the hub answered: {_one_line(error)}"
        else:
            remedy = "allow the download (allow_download=True) to ask the hub"
        raise InputError(
            f"{name}: no such file here, and {file} of {address['repo']} is not in the local hub cache; "
            f"check the name, or {remedy}"
        ) from None


def _describe(name: str, origin: str, path: Path) -> WeightsInfo:
    with _open(path) as file:
        metadata = file.metadata() or {}
    if not metadata.get("format", "").startswith("cascadepose/"):
        raise InputError(
            f"{path}: a safetensors file of another project (no cascadepose format in its header); use one of "
            f"{_known()}, or give it as `checkpoint` to a model of the same architecture"
        )
    if metadata["format"] != FORMAT:
        raise InputError(
            f"{path}: has format {metadata['format']!r}, this version reads {FORMAT!r}: update cascadepose"
        )
    try:
        config, info = json.loads(metadata["config"]), json.loads(metadata.get("info", "{}"))
        return WeightsInfo(name, origin, path, metadata["kind"], str(info.get("licence", "unknown")), config, info)
    except (KeyError, AttributeError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: its header is damaged ({_one_line(error)}); copy or download it again") from None


def _open(path: Path):
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
    return f"not a safetensors file; use one of {_known()}, or a file written by cascadepose"


def _read_tensors(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint; check the path")
    with path.open("rb") as file:
        head = file.read(4)
    if not head.startswith((b"PK\x03\x04", b"\x80")):
        with _open(path) as file:
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
        raise InputError(f"{path}: cannot be read ({_one_line(error)}); copy or download it again") from None
    for key in ("model", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise InputError(f"{path}: holds no table of named tensors; save the model's state_dict")
    return {name.removeprefix("module."): tensor for name, tensor in content.items()}


def _check_fit(path: Path, tensors: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
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


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


@cache
def _sha256(path: Path, _modified: int, _size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
