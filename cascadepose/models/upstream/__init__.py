"""Official models by family. A name with a hyphen is a form of the family before it: `prtr-sequential` of `prtr`."""

from __future__ import annotations

import importlib

from cascadepose.errors import InputError
from cascadepose.models.upstream.family import Family, Tensors

__all__ = ["FAMILIES", "Family", "family", "forms", "recognise"]

FAMILIES: dict[str, str] = {  # name -> "module:ATTRIBUTE", imported when asked for
    "detr": ".detr:DETR",
    "prtr": ".prtr:TWO_STAGE",
    "prtr-deformable": ".prtr:DEFORMABLE",
    "prtr-sequential": ".prtr:SEQUENTIAL",
    "poseformer": ".poseformer:POSEFORMER",
    "poseformerv2": ".poseformerv2:POSEFORMERV2",
    "strided": ".strided:STRIDED",
    "strided-refine": ".strided:REFINE",
    "motionbert": ".motionbert:MOTIONBERT",
    "videopose3d": ".videopose3d:VIDEOPOSE3D",
}


def family(name: str) -> Family:
    """The family of this very name. Raises InputError for a name that does not exist."""
    if name not in FAMILIES:
        raise InputError(f"no upstream family is named {name!r}: use one of {', '.join(FAMILIES)}")
    module, attribute = FAMILIES[name].split(":")
    return getattr(importlib.import_module(module, __name__), attribute)


def forms(name: str | None = None) -> list[str]:
    """Names of a family and its forms, or of all. Raises InputError for a name that does not exist."""
    found = [known for known in FAMILIES if name is None or known == name or known.startswith(f"{name}-")]
    if not found:
        family(name)
    return found


def recognise(tensors: Tensors, name: str | None = None) -> Family:
    """The family, out of those that `name` stands for, whose official tensors these are. Raises InputError if none."""
    for candidate in map(family, forms(name)):
        if candidate.recognises(tensors):
            return candidate
    first = ", ".join(list(tensors)[:3]) or "none"
    raise InputError(f"its {len(tensors)} tensors ({first}, ...) are not those of {' or '.join(forms(name))}")
