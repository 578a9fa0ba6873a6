"""What one upstream family of models needs for its official files to be read here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

__all__ = ["Family"]

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Family:
    """One official layout of tensors and the way from there to a model of this package.

    name: as in `cascadepose convert FILE --from NAME`. kind: what `cascadepose.models.build` makes of it.

    recognises: official tensors by name, without a "module." prefix -> whether names and shapes are this family's.

    translate: (official tensors, hints) -> (keyword arguments for `build`, tensors under this package's names). The
        arguments are read off the tensors' shapes as far as shapes tell; `hints` hold the rest under the official
        names (heads, strides, crop size, ...), with the official values as defaults; hints that a family does not know
        are left alone. Buffers that the model derives itself are dropped. Raises InputError naming what does not fit.

    run: (the model in eval mode, official inputs by name) -> official outputs by name, for `tools/check_parity.py`.
    """

    name: str
    kind: str
    recognises: Callable[[Tensors], bool]
    translate: Callable[[Tensors, Mapping[str, Any]], tuple[dict[str, Any], dict[str, Tensor]]]
    run: Callable[[nn.Module, Mapping[str, np.ndarray]], dict[str, Tensor]]
