"""One number for how far two answers are apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cascadepose.errors import InputError

NORMALISED = 1e-4  # what answers of about one, from float32, may differ by
PIXELS = 1e-3  # the same for pixels of an image


@dataclass(frozen=True)
class Comparison:
    """The largest difference in one output, and what it may be."""

    output: str
    difference: float
    tolerance: float

    @property
    def holds(self) -> bool:
        return self.difference <= self.tolerance  # not for NaN


def compare(output: str, ours: Any, theirs: Any, tolerance: float = NORMALISED) -> Comparison:
    """Largest absolute difference of two arrays (or tensors, or numbers); for integers, how many entries differ.

    Raises InputError where their shapes differ.
    """
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if ours.shape != theirs.shape:
        raise InputError(f"{output}: has shape {list(ours.shape)}, the official one {list(theirs.shape)}")
    if theirs.dtype.kind in "iub":
        return Comparison(output, float((ours != theirs).sum()), 0.0)
    if not theirs.size:
        return Comparison(output, 0.0, tolerance)
    return Comparison(output, float(np.abs(ours.astype(np.float64) - theirs).max()), tolerance)
