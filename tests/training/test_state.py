"""Exact resume: a run cut anywhere ends with the bits of one that was not."""

import multiprocessing
import signal

import pytest

from cascadepose.train import Interrupted, fit


def test_killed_in_mid_epoch_and_resumed_equals_uninterrupted(toy, uninterrupted, tmp_path):
    config = toy.settings(tmp_path, checkpoint_every_steps=3, num_threads=1)
    process = multiprocessing.get_context("fork").Process(target=fit, args=(toy.Task(toy.Config(die_at=18)), config))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert toy.state_of(tmp_path)["step"] == 16  # saved at 10, 13 and 16; step 17 is lost, step 18 was begun
    fit(toy.Task(), toy.settings(tmp_path))
    toy.assert_same(toy.state_of(tmp_path), toy.state_of(uninterrupted))
    assert toy.weights_of(tmp_path / "best.safetensors") == toy.weights_of(uninterrupted / "best.safetensors")


def test_stopped_after_every_step_equals_uninterrupted(toy, tmp_path):
    few = toy.Config(items=17)
    fit(toy.Task(few), toy.settings(tmp_path / "whole", epochs=2))
    for _ in range(8):
        fit(toy.Task(few), toy.settings(tmp_path / "parts", epochs=2, max_minutes=0))
    fit(toy.Task(few), toy.settings(tmp_path / "parts", epochs=2))  # the last validation was left
    toy.assert_same(toy.state_of(tmp_path / "parts"), toy.state_of(tmp_path / "whole"))


def test_stopped_by_max_steps_in_mid_epoch_equals_uninterrupted(toy, tmp_path):
    constant = {"schedule": "constant", "num_workers": 2, "accumulate": 2}
    fit(toy.Task(), toy.settings(tmp_path / "whole", **constant))
    fit(toy.Task(), toy.settings(tmp_path / "parts", **constant, max_steps=7))
    assert toy.state_of(tmp_path / "parts")["step"] == 7
    fit(toy.Task(), toy.settings(tmp_path / "parts", **constant))
    whole, parts = toy.state_of(tmp_path / "whole"), toy.state_of(tmp_path / "parts")
    for part in ("step", "model", "ema", "optimizer", "random"):
        toy.assert_same(parts[part], whole[part], part)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_state_and_one_line(toy, uninterrupted, tmp_path, capsys, signum):
    task = toy.Task(before_losses=lambda call: signal.raise_signal(signum) if call == 14 else None)
    before = signal.getsignal(signum)
    with pytest.raises(Interrupted) as stop:
        fit(task, toy.settings(tmp_path))
    assert stop.value.code == 128 + signum
    assert signal.getsignal(signum) is before
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "interrupted" in line]
    assert "step 14 of 30" in line
    assert str(tmp_path / "last.pt") in line
    assert "--train.resume auto" in line
    fit(toy.Task(), toy.settings(tmp_path))
    toy.assert_same(toy.state_of(tmp_path), toy.state_of(uninterrupted))


def test_a_finished_run_stays_as_it_is(toy, uninterrupted):
    before = toy.state_of(uninterrupted)
    assert fit(toy.Task(), toy.settings(uninterrupted)) == uninterrupted / "best.safetensors"
    toy.assert_same(toy.state_of(uninterrupted), before)


def test_log_has_no_step_twice_after_a_resume(toy, tmp_path):
    task = toy.Task(before_losses=lambda call: 1 / 0 if call == 9 else None)
    with pytest.raises(ZeroDivisionError):
        fit(task, toy.settings(tmp_path, log_every=1, checkpoint_every_steps=5))
    with (tmp_path / "metrics.jsonl").open("a") as log:
        log.write('{"kind": "tra')  # killed while writing
    fit(toy.Task(), toy.settings(tmp_path, log_every=1))
    assert [row["step"] for row in toy.log_of(tmp_path, "train")] == list(range(1, 31))
    assert [row["step"] for row in toy.log_of(tmp_path, "val")] == [10, 20, 30]
    assert toy.log_of(tmp_path, "train")[0].keys() >= {"epoch", "loss", "error", "grad_norm", "lr", "items_per_second"}
