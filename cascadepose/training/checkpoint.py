"""Files that a run leaves: one state to resume from, and the weights of its k best validations."""

import math
import os
import random
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from cascadepose.errors import InputError
from cascadepose.files import atomic_path


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors and plain Python values only); a reader, or a kill, meets the old file or the new one."""
    with atomic_path(path) as partial:
        torch.save(state, partial)
        _flush(partial)


def write_weights(path: Path, save: Callable[[Path], None]) -> None:
    """Let `save(path)` write a weights file, with the same promise."""
    with atomic_path(path) as partial:
        save(partial)
        _flush(partial)


def remove_partial_files(output_dir: Path) -> None:
    """Remove what a killed run left half written."""
    for folder in (output_dir, output_dir / "best"):
        for path in folder.glob(".*.partial-*"):
            path.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def load_state(path: Path) -> dict[str, Any]:
    """Read what `save_state` wrote, tensors on CPU. Raises InputError where the file is not such a state."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a different type for each way in which a file can be broken
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path} is not a readable training state ({reason}): remove it to start the run anew"
        ) from error


def random_state() -> dict[str, Any]:
    """The global generators of torch (CPU and current CUDA device), numpy and Python, as tensors and plain values."""
    name, keys, *numpy_rest = np.random.get_state()
    version, internal, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
        "numpy": [name, keys.tolist(), *numpy_rest],
        "python": [version, list(internal), gauss],
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Put back what `random_state` returned."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
    name, keys, *numpy_rest = state["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *numpy_rest))
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))


@dataclass(frozen=True)
class Best:
    """One kept validation: its score and the weights file in `best/`."""

    score: float
    step: int
    file: str


class BestWeights:
    """The weights of the `keep` best validations in `best/`, and a copy of the best one, `best.safetensors`."""

    def __init__(self, output_dir: Path, metric: str, mode: Literal["max", "min"], keep: int):
        self.folder, self.champion = output_dir / "best", output_dir / "best.safetensors"
        self.metric, self.sign, self.keep = metric, 1 if mode == "max" else -1, keep
        self.kept: list[Best] = []  # best first

    def offer(self, score: float, step: int, save: Callable[[Path], None] | None) -> bool:
        """Keep the weights that `save(path)` writes if they are among the best; True if they are the best of all.

        `save` is None on the processes that only keep the books. Files that fall out stay until `prune`, so that a
        state on disk never names a lost one.
        """
        label = re.sub(r"[^\w@.-]", "_", self.metric)
        entry = Best(score, step, f"step-{step:08d}_{label}-{score:.4f}.safetensors")
        candidates = [entry, *self.kept] if math.isfinite(score) else self.kept
        # an equal score goes to the earlier step
        self.kept = sorted(candidates, key=lambda best: (-self.sign * best.score, best.step))[: self.keep]
        improved = bool(self.kept) and self.kept[0] is entry
        if save is not None and entry in self.kept:
            write_weights(self.folder / entry.file, save)
            if improved:
                write_weights(self.champion, lambda path: shutil.copyfile(self.folder / entry.file, path))
        return improved

    def prune(self) -> None:
        """Remove the weights files that are no longer kept."""
        names = {best.file for best in self.kept}
        for path in self.folder.glob("step-*.safetensors"):
            if path.name not in names:
                path.unlink()

    def state_dict(self) -> list[dict[str, Any]]:
        """Plain values for the training state."""
        return [asdict(best) for best in self.kept]

    def load_state_dict(self, state: list[dict[str, Any]]) -> None:
        """Put back what `state_dict` returned."""
        self.kept = [Best(**entry) for entry in state]
