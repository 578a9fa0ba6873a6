"""The training loop on a toy task: exact resume, several processes, what is kept and what is refused."""

import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cascadepose.errors import InputError
from cascadepose.train import Interrupted, TrainConfig, fit
from cascadepose.training.command import run


@dataclass
class ToyConfig:
    """Sums of noisy numbers."""

    items: int = 40
    """Items of the training set."""
    dropout: float = 0.2
    """Draws from torch's global generator."""
    die_at: int | None = None
    """The call of `losses` in which the process kills itself."""


class ToyItems(torch.utils.data.Dataset):
    def __init__(self, count: int):
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, key: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
        index, seed = key
        x = np.random.default_rng(index).normal(size=6) + 0.1 * np.random.default_rng(seed).normal(size=6)
        return torch.tensor(x, dtype=torch.float32), torch.tensor([x.sum()], dtype=torch.float32)


class ToyTask:
    name, metric, mode = "toy", "error", "min"
    sample_weights = epoch_length = None

    def __init__(self, config: ToyConfig | None = None, before_losses: Callable[[int], None] = lambda call: None):
        self.config = config or ToyConfig()
        torch.manual_seed(0)
        hidden = [nn.Linear(6, 16), nn.BatchNorm1d(16) if self.config.dropout else nn.LayerNorm(16)]
        self.model = nn.Sequential(*hidden, nn.Dropout(self.config.dropout), nn.GELU(), nn.Linear(16, 1))
        self.train_set = ToyItems(self.config.items)
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
        from safetensors.torch import save_file

        save_file(model.state_dict(), path, {"info": json.dumps(info)})


def settings(folder: Path, **changes) -> TrainConfig:
    plain = {"epochs": 3, "batch_size": 4, "warmup_steps": 3, "lr": 0.01, "num_workers": 0, "tensorboard": False}
    return TrainConfig(output_dir=str(folder), **{**plain, **changes})


def state_of(folder: Path) -> dict:
    return torch.load(folder / "last.pt", weights_only=True)


def weights_of(path: Path) -> dict[str, list]:
    from safetensors.torch import load_file

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


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> Path:
    """Three epochs of ten steps, in one go."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    fit(ToyTask(), settings(folder))
    return folder


# exact resume


def test_killed_in_mid_epoch_and_resumed_equals_uninterrupted(uninterrupted, tmp_path):
    config = settings(tmp_path, checkpoint_every_steps=3, num_threads=1)
    process = multiprocessing.get_context("fork").Process(target=fit, args=(ToyTask(ToyConfig(die_at=18)), config))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert state_of(tmp_path)["step"] == 16  # saved at 10, 13 and 16; step 17 is lost, step 18 was begun
    fit(ToyTask(), settings(tmp_path))
    assert_same(state_of(tmp_path), state_of(uninterrupted))
    assert weights_of(tmp_path / "best.safetensors") == weights_of(uninterrupted / "best.safetensors")


def test_stopped_after_every_step_equals_uninterrupted(tmp_path):
    few = ToyConfig(items=17)
    fit(ToyTask(few), settings(tmp_path / "whole", epochs=2))
    for _ in range(8):
        fit(ToyTask(few), settings(tmp_path / "parts", epochs=2, max_minutes=0))
    fit(ToyTask(few), settings(tmp_path / "parts", epochs=2))  # the last validation was left
    assert_same(state_of(tmp_path / "parts"), state_of(tmp_path / "whole"))


def test_stopped_by_max_steps_in_mid_epoch_equals_uninterrupted(tmp_path):
    constant = {"schedule": "constant", "num_workers": 2, "accumulate": 2}
    fit(ToyTask(), settings(tmp_path / "whole", **constant))
    fit(ToyTask(), settings(tmp_path / "parts", **constant, max_steps=7))
    assert state_of(tmp_path / "parts")["step"] == 7
    fit(ToyTask(), settings(tmp_path / "parts", **constant))
    whole, parts = state_of(tmp_path / "whole"), state_of(tmp_path / "parts")
    for part in ("step", "model", "ema", "optimizer", "random"):
        assert_same(parts[part], whole[part], part)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_state_and_one_line(uninterrupted, tmp_path, capsys, signum):
    task = ToyTask(before_losses=lambda call: signal.raise_signal(signum) if call == 14 else None)
    before = signal.getsignal(signum)
    with pytest.raises(Interrupted) as stop:
        fit(task, settings(tmp_path))
    assert stop.value.code == 128 + signum
    assert signal.getsignal(signum) is before
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "interrupted" in line]
    assert "step 14 of 30" in line
    assert str(tmp_path / "last.pt") in line
    assert "--train.resume auto" in line
    fit(ToyTask(), settings(tmp_path))
    assert_same(state_of(tmp_path), state_of(uninterrupted))


def test_a_finished_run_stays_as_it_is(uninterrupted):
    before = state_of(uninterrupted)
    assert fit(ToyTask(), settings(uninterrupted)) == uninterrupted / "best.safetensors"
    assert_same(state_of(uninterrupted), before)


def test_log_has_no_step_twice_after_a_resume(tmp_path):
    task = ToyTask(before_losses=lambda call: 1 / 0 if call == 9 else None)
    with pytest.raises(ZeroDivisionError):
        fit(task, settings(tmp_path, log_every=1, checkpoint_every_steps=5))
    with (tmp_path / "metrics.jsonl").open("a") as log:
        log.write('{"kind": "tra')  # killed while writing
    fit(ToyTask(), settings(tmp_path, log_every=1))
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if row["kind"] == "train"] == list(range(1, 31))
    assert [row["step"] for row in rows if row["kind"] == "val"] == [10, 20, 30]
    assert rows[0].keys() >= {"epoch", "loss", "error", "grad_norm", "lr", "items_per_second"}


# several processes


def train_and_leave_weights(folder: Path) -> None:
    """What each process of a launcher runs."""
    task = ToyTask(ToyConfig(dropout=0))
    fit(task, settings(folder, accumulate=2, num_threads=1, device="cpu"))
    torch.save(task.model.state_dict(), folder / f"rank{os.environ['RANK']}.pt")


def test_two_processes_agree_with_each_other_and_with_one(tmp_path):
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    rendezvous = {"run_id": "toy", "rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0"}  # torchrun --standalone
    config = LaunchConfig(1, 1, 2, **rendezvous, start_method="fork", max_restarts=0, monitor_interval=0.05)
    elastic_launch(config, train_and_leave_weights)(tmp_path / "two")
    assert_same(*(torch.load(tmp_path / "two" / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)))

    fit(ToyTask(ToyConfig(dropout=0)), settings(tmp_path / "one", batch_size=16, device="cpu"))
    one, two = state_of(tmp_path / "one"), state_of(tmp_path / "two")
    assert one["step"] == two["step"] == 6
    assert_close(two, one, "model")
    assert_close(two, one, "ema")


# what a step is


def test_accumulation_equals_a_big_batch(tmp_path):
    tasks = [ToyTask(ToyConfig(dropout=0)) for _ in range(2)]
    for task, folder, changes in zip(tasks, "ab", ({"accumulate": 4}, {"batch_size": 16}), strict=True):
        fit(task, settings(tmp_path / folder, **changes))
    a, b = state_of(tmp_path / "a"), state_of(tmp_path / "b")
    assert a["step"] == b["step"] == 6
    assert torch.equal(torch.cat(tasks[0].seen), torch.cat(tasks[1].seen))
    assert_close(a, b, "model")
    assert_close(a, b, "ema")


def test_workers_change_nothing(uninterrupted, tmp_path):
    fit(ToyTask(), settings(tmp_path, num_workers=2))
    assert_same(state_of(tmp_path), state_of(uninterrupted))


def test_warm_up_and_cosine(tmp_path):
    fit(ToyTask(), settings(tmp_path, log_every=1, min_lr_ratio=0.1))
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    rates = [row["lr"] / 0.005 for row in rows if row["kind"] == "train"]  # of the first group, at half the rate
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3, 1])
    expected = [0.1 + 0.9 * 0.5 * (1 + np.cos(np.pi * step / 27)) for step in range(27)]
    assert rates[3:] == pytest.approx(expected)


def test_averaged_weights_are_what_is_saved(tmp_path):
    from safetensors.torch import load_file

    fit(ToyTask(), settings(tmp_path, ema_decay=0.9))
    state = state_of(tmp_path)
    assert_same(load_file(tmp_path / "last.safetensors"), dict(state["ema"]))
    assert not torch.equal(state["ema"]["0.weight"], state["model"]["0.weight"])

    fit(ToyTask(), settings(tmp_path / "plain", ema_decay=None))
    assert_same(load_file(tmp_path / "plain" / "last.safetensors"), dict(state_of(tmp_path / "plain")["model"]))


def test_bfloat16_trains_and_resumes(tmp_path):
    halves = {"mixed_precision": "bf16", "channels_last": True}
    fit(ToyTask(), settings(tmp_path / "whole", **halves))
    task = ToyTask(before_losses=lambda call: signal.raise_signal(signal.SIGTERM) if call == 14 else None)
    with pytest.raises(Interrupted):
        fit(task, settings(tmp_path / "parts", **halves))
    fit(ToyTask(), settings(tmp_path / "parts", **halves))
    assert_same(state_of(tmp_path / "parts"), state_of(tmp_path / "whole"))
    assert task.model(torch.zeros(2, 6)).dtype == torch.float32  # the model comes back unwrapped


# best weights and early stop


def scores_of(folder: Path) -> list[str]:
    return sorted(path.name.removesuffix(".safetensors").split("-", 2)[2] for path in folder.glob("best/*"))


def test_the_best_weights_are_kept_and_the_rest_pruned(tmp_path):
    task = ToyTask()
    task.scripted_scores = [5.0, 3.0, 4.0, float("nan"), 2.0, 6.0]
    best = fit(task, settings(tmp_path, epochs=6, keep_best=2))
    assert best == tmp_path / "best.safetensors"
    names = sorted(path.name for path in (tmp_path / "best").iterdir())
    assert names == ["step-00000020_error-3.0000.safetensors", "step-00000050_error-2.0000.safetensors"]
    assert best.read_bytes() == (tmp_path / "best" / names[1]).read_bytes()
    assert not list(tmp_path.glob("**/.*partial*"))


def test_a_larger_metric_can_be_the_better_one(tmp_path):
    task = ToyTask()
    task.mode, task.scripted_scores = "max", [0.1, 0.3, 0.2]
    fit(task, settings(tmp_path, keep_best=1))
    assert [path.name for path in (tmp_path / "best").iterdir()] == ["step-00000020_error-0.3000.safetensors"]


def test_early_stop(tmp_path):
    task = ToyTask()
    task.scripted_scores = [5.0, 3.0, 4.0, 3.5, 1.0]
    fit(task, settings(tmp_path, epochs=10, early_stop_patience=2))
    assert state_of(tmp_path)["step"] == 40
    fit(ToyTask(), settings(tmp_path, epochs=10, early_stop_patience=2))  # and it stays stopped
    assert state_of(tmp_path)["step"] == 40


def test_without_a_validation_the_last_weights_are_returned(tmp_path):
    task = ToyTask()
    task.validate = lambda model: {}
    assert fit(task, settings(tmp_path)) == tmp_path / "last.safetensors"
    assert not (tmp_path / "best.safetensors").exists()


def test_sparse_validation_includes_the_last_step(tmp_path, capsys):
    fit(ToyTask(), settings(tmp_path, epochs=5, validate_every=2))
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if row["kind"] == "val"] == [20, 40, 50]
    error = capsys.readouterr().err
    for name in ("best.safetensors", "last.safetensors", "last.pt", "metrics.jsonl"):
        assert str(tmp_path / name) in error


def test_tensorboard_logs_where_it_is_installed(tmp_path):
    pytest.importorskip("tensorboard")
    fit(ToyTask(), settings(tmp_path, epochs=1, tensorboard=True))
    assert list((tmp_path / "tensorboard").glob("events*"))


# what is refused


def test_an_empty_data_set_is_refused(tmp_path):
    with pytest.raises(InputError, match="training set is empty"):
        fit(ToyTask(ToyConfig(items=0)), settings(tmp_path))


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    task = ToyTask()

    def poison(call: int) -> None:
        if call == 8:
            with torch.no_grad():
                task.model[0].weight.fill_(float("nan"))

    task.before_losses = poison
    with pytest.raises(InputError, match=r"not finite at step 8 .*last good state is .*last\.pt of step 5"):
        fit(task, settings(tmp_path, checkpoint_every_steps=5))
    assert state_of(tmp_path)["step"] == 5
    assert torch.isfinite(state_of(tmp_path)["model"]["0.weight"]).all()


def test_fp16_without_a_gpu_is_refused(tmp_path):
    with pytest.raises(InputError, match="fp16 needs a GPU"):
        fit(ToyTask(), settings(tmp_path, mixed_precision="fp16", device="cpu"))


def test_a_frozen_model_is_refused(tmp_path):
    task = ToyTask()
    task.parameter_groups = lambda lr, weight_decay: []
    with pytest.raises(InputError, match="frozen"):
        fit(task, settings(tmp_path))


def test_what_cannot_be_resumed_is_refused(uninterrupted, tmp_path):
    with pytest.raises(InputError, match="nothing to resume"):
        fit(ToyTask(), settings(tmp_path, resume=True))
    with pytest.raises(InputError, match="already holds a run"):
        fit(ToyTask(), settings(uninterrupted, resume=False))
    with pytest.raises(InputError, match="items_per_step was 4, is 8"):
        fit(ToyTask(), settings(uninterrupted, batch_size=8))
    with pytest.raises(InputError, match="does not fit the model"):
        fit(ToyTask(ToyConfig(dropout=0)), settings(uninterrupted, epochs=4))
    (tmp_path / "last.pt").write_bytes(b"not a state")
    with pytest.raises(InputError, match=r"last\.pt is not a readable training state"):
        fit(ToyTask(), settings(tmp_path))


def test_bad_settings_are_refused():
    with pytest.raises(InputError, match=r"train\.batch_size is 0"):
        TrainConfig(batch_size=0)


# the command line of the tools


def test_a_tool_trains_and_leaves_its_configuration(tmp_path, uninterrupted):
    file = tmp_path / "toy.yaml"
    file.write_text("train: {epochs: 3, batch_size: 4, warmup_steps: 3, num_workers: 0, tensorboard: false}\n")
    argv = ["--config", str(file), "--train.output_dir", str(tmp_path / "run"), "--train.lr", "0.01"]
    assert run(ToyConfig, ToyTask, argv) == tmp_path / "run" / "best.safetensors"
    assert_same(state_of(tmp_path / "run"), state_of(uninterrupted))
    again = ["--config", str(tmp_path / "run" / "config.yaml"), "--train.output_dir", str(tmp_path / "again")]
    run(ToyConfig, ToyTask, again)
    assert_same(state_of(tmp_path / "again"), state_of(uninterrupted))


def test_a_tool_refuses_bad_input_in_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_info:
        run(ToyConfig, ToyTask, ["--task.items", "0", "--train.output_dir", str(tmp_path)])
    assert exit_info.value.code == 2
    assert capsys.readouterr().err.startswith("error: the training set is empty")
