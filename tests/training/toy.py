"""A task that trains in a second, and what the tests of the loop ask of a run."""

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from cascadepose.train import TrainConfig, fit


@dataclass
class Config:
    """Sums of noisy numbers."""

    items: int = 40
    """Items of the training set."""
    dropout: float = 0.2
    """Draws from torch's global generator."""
    die_at: int | None = None
    """The call of `losses` in which the process kills itself."""


class Items(torch.utils.data.Dataset):
    def __init__(self, count: int):
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, key: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
        index, seed = key
        x = np.random.default_rng(index).normal(size=6) + 0.1 * np.random.default_rng(seed).normal(size=6)
        return torch.tensor(x, dtype=torch.float32), torch.tensor([x.sum()], dtype=torch.float32)


class Task:
    name, metric, mode = "toy", "error", "min"
    sample_weights = epoch_length = None

    def __init__(self, config: Config | None = None, before_losses: Callable[[int], None] = lambda call: None):
        self.config = config or Config()
        torch.manual_seed(0)
        hidden = [nn.Linear(6, 16), nn.BatchNorm1d(16) if self.config.dropout else nn.LayerNorm(16)]
        self.model = nn.Sequential(*hidden, nn.Dropout(self.config.dropout), nn.GELU(), nn.Linear(16, 1))
        self.train_set = Items(self.config.items)
        self.before_losses, self.calls = before_losses, 0
        self.scripted_scores: list[float] | None = None
        self.seen: list[torch.Tensor] = []

    def collate(self, samples):
        return torch.utils.data.default_collate(samples)

    def losses(self, model, batch):
        self.calls += 1
        if self.calls == self.config.die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.before_losses(self.calls)
        x, target = batch
        self.seen.append(x.detach().clone())
        noise = np.random.normal() + np.random.default_rng(0).normal()  # numpy's global generator matters as well
        loss = (model(x) - target).square().mean() * (1 + 0 * noise)
        return {"loss": loss, "error": loss.detach().sqrt()}

    def parameter_groups(self, lr, weight_decay):
        return [
            {"params": list(self.model[:2].parameters()), "lr": 0.5 * lr, "weight_decay": weight_decay},
            {"params": list(self.model[2:].parameters()), "lr": lr, "weight_decay": 0.0},
        ]

    def validate(self, model):
        assert not model.training
        if self.scripted_scores is not None:
            return {"error": self.scripted_scores.pop(0)}
        torch.rand(3)  # a validation may disturb the generators
        x, target = self.collate([self.train_set[(i, i)] for i in range(8)])
        return {"error": (model(x) - target).abs().mean().item()}

    def new_epoch(self, epoch):
        pass

    def save(self, model, path, info):
        save_file(model.state_dict(), path, {"task": info["task"]})


def settings(folder: Path, **changes) -> TrainConfig:
    """One thread, for sums over several threads round differently and a killed run is a process of its own."""
    plain = {
        "num_threads": 1,
        "epochs": 3,
        "batch_size": 4,
        "warmup_steps": 3,
        "lr": 0.01,
        "num_workers": 0,
        "tensorboard": False,
    }
    return TrainConfig(output_dir=str(folder), **{**plain, **changes})


def state_of(folder: Path) -> dict:
    return torch.load(folder / "last.pt", weights_only=True)


def weights_of(path: Path) -> dict[str, list]:
    return {name: tensor.tolist() for name, tensor in load_file(path).items()}


def assert_same(one, other, where="state"):
    """Equal to the last bit."""
    assert type(one) is type(other), where
    if isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_same(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for i, pair in enumerate(zip(one, other, strict=True)):
            assert_same(*pair, f"{where}[{i}]")
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    else:
        assert one == other, where


def assert_close(one: dict, other: dict, part: str, tolerance: float = 1e-5):
    for name, tensor in one[part].items():
        torch.testing.assert_close(tensor, other[part][name], rtol=tolerance, atol=tolerance, msg=f"{part}.{name}")


def log_of(folder: Path, kind: str) -> list[dict]:
    """Rows of metrics.jsonl."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if row["kind"] == kind]


def train_and_leave_weights(folder: Path) -> None:
    """What each process of a launcher runs."""
    task = Task(Config(dropout=0))
    fit(task, settings(folder, accumulate=2, num_threads=1, device="cpu"))
    torch.save(task.model.state_dict(), folder / f"rank{os.environ['RANK']}.pt")


if __name__ == "__main__":
    train_and_leave_weights(Path(sys.argv[1]))
