"""From an official checkpoint to a model of this package: recognise, translate, check, fill, write.

model = load_official("detr-r50-e632da11.pth")
convert("detr-r50-e632da11.pth", "detr")            # detr-r50-e632da11.safetensors, for `load_model`
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cascadepose.checkpoints import Checkpoint, read_checkpoint
from cascadepose.errors import InputError
from cascadepose.official import OfficialFile, official_file
from cascadepose.tensors import check_fit, one_line

if TYPE_CHECKING:
    import torch
    from torch import nn

    from cascadepose.models.upstream import Family

__all__ = ["Translation", "convert", "is_official", "load_official", "translate"]


@dataclass(frozen=True)
class Translation:
    """An official checkpoint in this package's words: what to build (`kind`, `config`) and what to fill it with."""

    checkpoint: Checkpoint
    family: Family
    config: dict[str, Any]
    tensors: dict[str, torch.Tensor]
    known: OfficialFile | None

    @property
    def kind(self) -> str:
        return self.family.kind

    def build(self) -> nn.Module:
        """The model, filled, in eval mode and float32. Raises InputError for tensors that do not fit it."""
        import torch

        from cascadepose import models

        path = self.checkpoint.path
        try:
            model = models.build(self.kind, **self.config)
        except (TypeError, ValueError, KeyError) as error:
            raise InputError(
                f"{path}: no {self.family.name} can be built from its shapes ({one_line(error)}); "
                "check the hints that were given"
            ) from None
        check_fit(path, self.tensors, model.state_dict())
        model.load_state_dict(self.tensors, strict=True)
        return model.to(dtype=torch.float32).eval()


def translate(
    source: str | Path | Checkpoint, name: str | None = None, hints: Mapping[str, Any] | None = None
) -> Translation:
    """Read an official file and put it into this package's words; nothing of it is run.

    source: the file, or what was read of it. name: of its family (`cascadepose.models.upstream.FAMILIES`) or of a known
    file (`cascadepose.official`), None to recognise it. hints: what the tensors' shapes cannot tell, under the official
    names; those of a known file, found by its name, need not be given.

    Raises InputError: not readable (see `read_checkpoint`), of another family or of none, tensors missing.
    """
    checkpoint = source if isinstance(source, Checkpoint) else read_checkpoint(source)
    known = official_file(name) if name else None
    name = known.family if known else name
    known = known or official_file(checkpoint.path.name)
    hints = {**(known.hints if known else {}), **(hints or {})}
    family = _family(checkpoint, name)
    try:
        config, tensors = family.translate(checkpoint.tensors, hints)
    except KeyError as error:
        raise InputError(
            f"{checkpoint.path}: not complete for {family.name}, tensor {error.args[0]} is missing; "
            "copy or download it again"
        ) from None
    except InputError as error:
        raise InputError(f"{checkpoint.path}: {error}") from None
    return Translation(checkpoint, family, config, tensors, known)


def _family(checkpoint: Checkpoint, name: str | None) -> Family:
    """The family whose tensors these are, if it is one that `name` stands for."""
    from cascadepose.models import upstream

    upstream.forms(name)  # the name must exist
    try:
        return upstream.recognise(checkpoint.tensors, name)
    except InputError as error:
        unlike = f"{checkpoint.path}: {error}"
    try:
        other = upstream.recognise(checkpoint.tensors).name
    except InputError:
        raise InputError(f"{unlike}; give a checkpoint of one of these models") from None
    raise InputError(f"{checkpoint.path}: holds a model of another family, {other} and not {name}; say {other}")


def is_official(name: str) -> bool:
    """Whether `translate` knows this name: of a family or of an official file."""
    from cascadepose.models.upstream import FAMILIES

    return name in FAMILIES or official_file(name) is not None


def load_official(path: str | Path, name: str | None = None, hints: Mapping[str, Any] | None = None) -> nn.Module:
    """The model in an official file: eval mode, float32, CPU, every tensor accounted for. See `translate`."""
    return translate(path, name, hints).build()


def convert(
    path: str | Path,
    name: str | None = None,
    out: str | Path | None = None,
    hints: Mapping[str, Any] | None = None,
) -> tuple[Path, Translation]:
    """Write the model of an official file as a weights file, float32, for `load_model`; see `translate`.

    out: the file to write; by default the input's name with the suffix .safetensors. Raises InputError.
    """
    from cascadepose.hub import save_model

    translation = translate(path, name, hints)
    source = translation.checkpoint.path
    out = source.with_suffix(".safetensors") if out is None else Path(out)
    if out.exists() and out.resolve() == source.resolve():
        raise InputError(f"{out}: is the input; name another file with --out")
    model = translation.build()
    save_model(model, out, translation.kind, _card(translation), dtype=next(model.parameters()).dtype)
    return out, translation


def _card(translation: Translation) -> dict[str, Any]:
    """What the weights file says of where it comes from."""
    path, known = translation.checkpoint.path, translation.known
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    facts = {"family": translation.family.name, "converted_from": path.name, "source_sha256": digest}
    if known is None:
        return facts
    return facts | {"official": known.name, "origin": known.origin, "licence": known.licence, "data": known.trained_on}
