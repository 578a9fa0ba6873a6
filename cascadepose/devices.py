"""Which device to compute on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cascadepose.errors import InputError

if TYPE_CHECKING:
    import torch


def pick_device(name: str | torch.device | None = None) -> torch.device:
    """The named device; None or "auto" takes a GPU where there is one. Raises InputError where it cannot be used."""
    import torch

    if name in (None, "auto"):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise InputError(f"device {str(name)!r} cannot be used ({reason}); use cpu, or leave it out") from None
