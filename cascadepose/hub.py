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
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cascadepose.checkpoints import Checkpoint, read_checkpoint
from cascadepose.devices import pick_device
from cascadepose.errors import InputError
from cascadepose.files import atomic_path
from cascadepose.tensors import check_fit, one_line, open_safetensors

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
    hints: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Rebuild a model and fill it: eval mode, float32, every tensor accounted for.

    device: see `pick_device`; "auto" takes a GPU where there is one.
    checkpoint: fill the model with the tensors of this file instead (safetensors or PyTorch, see
        `checkpoints.read_checkpoint`); name_or_path then gives the architecture only. An official file will do, and
        name_or_path may then be its family ("detr") or a known name ("detr-r50"), see docs/checkpoints.md.
    kind: refuse a file that holds another kind of model.
    allow_download: let the Hugging Face hub be asked for a file that is not in its local cache.
    hints: for official files, what their tensors' shapes cannot tell.

    Raises InputError: unknown name or device, file of another format or cut off, other kind or family, tensors that are
    missing, left over or of other shapes.
    """
    import torch

    from cascadepose import models

    place = pick_device(device)
    if (official := _official(name_or_path, checkpoint, kind, hints)) is not None:
        return official.to(place)
    found = weights_info(name_or_path, allow_download)
    if kind is not None and found.kind != kind:
        raise InputError(f"{found.name}: holds a model of kind {found.kind!r}, but {kind!r} is needed here")
    try:
        model = models.build(found.kind, **found.config)
    except (TypeError, ValueError, KeyError) as error:
        raise InputError(
            f"{found.name}: its {found.kind!r} cannot be built ({one_line(error)}); the file was made by another "
            f"version of cascadepose ({found.info.get('version', 'not named')}): update the package or the file"
        ) from None
    source = found.path if checkpoint is None else Path(checkpoint).expanduser()
    content = read_checkpoint(source)
    wanted = model.state_dict()
    tensors = content.tensors if content.tensors.keys() == wanted.keys() else _under_our_names(content, hints)
    check_fit(source, tensors, wanted)
    model.load_state_dict(tensors, strict=True)
    return model.to(device=place, dtype=torch.float32).eval()


def _under_our_names(content: Checkpoint, hints: Mapping[str, Any] | None) -> dict[str, torch.Tensor]:
    """The tensors of an official file as this package calls them; those of any other file as they are."""
    from cascadepose.conversion import translate

    try:
        return translate(content, hints=hints).tensors
    except InputError:
        return content.tensors


def _official(
    name_or_path: str | Path, checkpoint: str | Path | None, kind: str | None, hints: Mapping[str, Any] | None
) -> nn.Module | None:
    """The model in an official checkpoint; None where `name_or_path` does not name an official model."""
    from cascadepose.conversion import is_official, translate

    name = os.fspath(name_or_path)
    if not is_official(name) or (checkpoint is None and Path(name).exists()):
        return None
    if checkpoint is None:
        raise InputError(
            f"{name}: an official model, whose weights are not in this package; get the file from its origin "
            "(docs/checkpoints.md) and give it as `checkpoint`"
        )
    translation = translate(checkpoint, name, hints)
    if kind is not None and translation.kind != kind:
        raise InputError(f"{checkpoint}: holds a model of kind {translation.kind!r}, but {kind!r} is needed here")
    return translation.build()


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
    from safetensors import SafetensorError
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
        try:
            save_file(tensors, temporary, metadata=metadata)
        except SafetensorError as error:  # the writer hides the reason in its text
            number = re.search(r"os error (\d+)", str(error))
            raise (OSError(int(number[1]), os.strerror(int(number[1]))) if number else error) from None
        temporary.chmod(0o644)  # the writer makes it readable by its owner only, which a package must not be
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
            remedy = f"the hub answered: {one_line(error)}"
        else:
            remedy = "allow the download (allow_download=True) to ask the hub"
        raise InputError(
            f"{name}: no such file here, and {file} of {address['repo']} is not in the local hub cache; "
            f"check the name, or {remedy}"
        ) from None


def _describe(name: str, origin: str, path: Path) -> WeightsInfo:
    with open_safetensors(path) as file:
        metadata = file.metadata() or {}
    if not metadata.get("format", "").startswith("cascadepose/"):
        raise InputError(
            f"{path}: a safetensors file of another project (no cascadepose format in its header); "
            "give it as `checkpoint` to a model of the same architecture"
        )
    if metadata["format"] != FORMAT:
        raise InputError(
            f"{path}: has format {metadata['format']!r}, this version reads {FORMAT!r}: update cascadepose"
        )
    try:
        config, info = json.loads(metadata["config"]), json.loads(metadata.get("info", "{}"))
        return WeightsInfo(name, origin, path, metadata["kind"], str(info.get("licence", "unknown")), config, info)
    except (KeyError, AttributeError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: its header is damaged ({one_line(error)}); copy or download it again") from None


@cache
def _sha256(path: Path, _modified: int, _size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
