"""What a step is, in one process and in two, and when the loop refuses to go on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cascadepose.errors import InputError
from cascadepose.train import Interrupted, TrainConfig, fit


def test_two_processes_agree_with_each_other_and_with_one(toy, tmp_path):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    root = str(Path(__file__).parents[2])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": root}
    subprocess.run([*launcher, toy.__file__, str(tmp_path / "two")], env=environment, check=True, timeout=300)
    toy.assert_same(*(torch.load(tmp_path / "two" / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)))

    fit(toy.Task(toy.Config(dropout=0)), toy.settings(tmp_path / "one", batch_size=16, device="cpu"))
    one, two = toy.state_of(tmp_path / "one"), toy.state_of(tmp_path / "two")
    assert one["step"] == two["step"] == 6
    toy.assert_close(two, one, "model")
    toy.assert_close(two, one, "ema")


def test_accumulation_equals_a_big_batch(toy, tmp_path):
    tasks = [toy.Task(toy.Config(dropout=0)) for _ in range(2)]
    for task, folder, changes in zip(tasks, "ab", ({"accumulate": 4}, {"batch_size": 16}), strict=True):
        fit(task, toy.settings(tmp_path / folder, **changes))
    a, b = toy.state_of(tmp_path / "a"), toy.state_of(tmp_path / "b")
    assert a["step"] == b["step"] == 6
    assert torch.equal(torch.cat(tasks[0].seen), torch.cat(tasks[1].seen))
    toy.assert_close(a, b, "model")
    toy.assert_close(a, b, "ema")


def test_workers_change_nothing(toy, uninterrupted, tmp_path):
    fit(toy.Task(), toy.settings(tmp_path, num_workers=2))
    toy.assert_same(toy.state_of(tmp_path), toy.state_of(uninterrupted))


def test_warm_up_and_cosine(toy, tmp_path):
    fit(toy.Task(), toy.settings(tmp_path, log_every=1, min_lr_ratio=0.1))
    rates = [row["lr"] / 0.005 for row in toy.log_of(tmp_path, "train")]  # of the first group, at half the rate
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3, 1])
    expected = [0.1 + 0.9 * 0.5 * (1 + np.cos(np.pi * step / 27)) for step in range(27)]
    assert rates[3:] == pytest.approx(expected)


def test_averaged_weights_are_what_is_saved(toy, tmp_path):
    fit(toy.Task(), toy.settings(tmp_path, ema_decay=0.9))
    state = toy.state_of(tmp_path)
    toy.assert_same(load_file(tmp_path / "last.safetensors"), dict(state["ema"]))
    assert not torch.equal(state["ema"]["0.weight"], state["model"]["0.weight"])

    fit(toy.Task(), toy.settings(tmp_path / "plain", ema_decay=None))
    toy.assert_same(load_file(tmp_path / "plain" / "last.safetensors"), dict(toy.state_of(tmp_path / "plain")["model"]))


def test_bfloat16_trains_and_resumes(toy, tmp_path):
    halves = {"mixed_precision": "bf16", "channels_last": True}
    fit(toy.Task(), toy.settings(tmp_path / "whole", **halves))
    task = toy.Task(before_losses=lambda call: signal.raise_signal(signal.SIGTERM) if call == 14 else None)
    with pytest.raises(Interrupted):
        fit(task, toy.settings(tmp_path / "parts", **halves))
    fit(toy.Task(), toy.settings(tmp_path / "parts", **halves))
    toy.assert_same(toy.state_of(tmp_path / "parts"), toy.state_of(tmp_path / "whole"))
    assert task.model(torch.zeros(2, 6)).dtype == torch.float32  # the model comes back unwrapped


def test_an_empty_data_set_is_refused(toy, tmp_path):
    with pytest.raises(InputError, match="training set is empty"):
        fit(toy.Task(toy.Config(items=0)), toy.settings(tmp_path))


def test_a_loss_that_is_not_finite_stops_the_run(toy, tmp_path):
    task = toy.Task()

    def poison(call: int) -> None:
        if call == 8:
            with torch.no_grad():
                task.model[0].weight.fill_(float("nan"))

    task.before_losses = poison
    with pytest.raises(InputError, match=r"not finite at step 8 .*last good state is .*last\.pt of step 5"):
        fit(task, toy.settings(tmp_path, checkpoint_every_steps=5))
    assert toy.state_of(tmp_path)["step"] == 5
    assert torch.isfinite(toy.state_of(tmp_path)["model"]["0.weight"]).all()


def test_fp16_without_a_gpu_is_refused(toy, tmp_path):
    with pytest.raises(InputError, match="fp16 needs a GPU"):
        fit(toy.Task(), toy.settings(tmp_path, mixed_precision="fp16", device="cpu"))


def test_a_frozen_model_is_refused(toy, tmp_path):
    task = toy.Task()
    task.parameter_groups = lambda lr, weight_decay: []
    with pytest.raises(InputError, match="frozen"):
        fit(task, toy.settings(tmp_path))


def test_what_cannot_be_resumed_is_refused(toy, uninterrupted, tmp_path):
    with pytest.raises(InputError, match="nothing to resume"):
        fit(toy.Task(), toy.settings(tmp_path, resume=True))
    with pytest.raises(InputError, match="already holds a run"):
        fit(toy.Task(), toy.settings(uninterrupted, resume=False))
    with pytest.raises(InputError, match="items_per_step was 4, is 8"):
        fit(toy.Task(), toy.settings(uninterrupted, batch_size=8))
    with pytest.raises(InputError, match="does not fit the model"):
        fit(toy.Task(toy.Config(dropout=0)), toy.settings(uninterrupted, epochs=4))
    (tmp_path / "last.pt").write_bytes(b"not a state")
    with pytest.raises(InputError, match=r"last\.pt is not a readable training state"):
        fit(toy.Task(), toy.settings(tmp_path))


def test_bad_settings_are_refused():
    with pytest.raises(InputError, match=r"train\.batch_size is 0"):
        TrainConfig(batch_size=0)
