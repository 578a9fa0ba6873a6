"""The interface between the loop and what it trains."""

from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from torch import Tensor, nn
from torch.utils.data import Dataset


class Task(Protocol):
    """What is trained on what: everything that the loop does not know."""

    name: str
    metric: str  # the key of `validate`'s result that chooses the best weights
    mode: Literal["max", "min"]
    model: nn.Module
    train_set: Dataset  # asked with (index, seed); must draw from that seed only
    sample_weights: np.ndarray | None  # relative probability of each item; None visits each once an epoch
    epoch_length: int | None  # items in an epoch; None is len(train_set)

    def collate(self, samples: list) -> Any:
        """Batch of samples: nested dicts, lists and tuples of tensors, or objects with `.to(device)`."""

    def losses(self, model: nn.Module, batch: Any) -> dict[str, Tensor]:
        """Scalars; "loss" is the mean to descend, the rest is logged. Call `model` itself: it may be wrapped."""

    def parameter_groups(self, lr: float, weight_decay: float) -> list[dict]:
        """Groups for AdamW, each with its own peak rate."""

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Metrics of the plain model in eval mode, on the main process only; empty if there is no validation set."""

    def new_epoch(self, epoch: int) -> None:
        """Told in every process before an epoch is read; worker processes that already run do not see it."""

    def save(self, model: nn.Module, path: Path, info: dict) -> None:
        """Write the weights that inference loads."""
