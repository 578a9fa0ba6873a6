"""Which weights are kept, and when a run ends early."""

import pytest

from cascadepose.train import fit


def test_the_best_weights_are_kept_and_the_rest_pruned(toy, tmp_path):
    (tmp_path / ".last.partial-1.pt").write_bytes(b"of a killed run")
    task = toy.Task()
    task.scripted_scores = [5.0, 3.0, 4.0, float("nan"), 2.0, 6.0]
    best = fit(task, toy.settings(tmp_path, epochs=6, keep_best=2))
    assert best == tmp_path / "best.safetensors"
    names = sorted(path.name for path in (tmp_path / "best").iterdir())
    assert names == ["step-00000020_error-3.0000.safetensors", "step-00000050_error-2.0000.safetensors"]
    assert best.read_bytes() == (tmp_path / "best" / names[1]).read_bytes()
    assert not list(tmp_path.glob("**/.*partial*"))


def test_a_larger_metric_can_be_the_better_one(toy, tmp_path):
    task = toy.Task()
    task.mode, task.scripted_scores = "max", [0.1, 0.3, 0.2]
    fit(task, toy.settings(tmp_path, keep_best=1))
    assert [path.name for path in (tmp_path / "best").iterdir()] == ["step-00000020_error-0.3000.safetensors"]


def test_early_stop(toy, tmp_path):
    task = toy.Task()
    task.scripted_scores = [5.0, 3.0, 4.0, 3.5, 1.0]
    fit(task, toy.settings(tmp_path, epochs=10, early_stop_patience=2))
    assert toy.state_of(tmp_path)["step"] == 40
    fit(toy.Task(), toy.settings(tmp_path, epochs=10, early_stop_patience=2))  # and it stays stopped
    assert toy.state_of(tmp_path)["step"] == 40


def test_without_a_validation_the_last_weights_are_returned(toy, tmp_path):
    task = toy.Task()
    task.validate = lambda model: {}
    assert fit(task, toy.settings(tmp_path)) == tmp_path / "last.safetensors"
    assert not (tmp_path / "best.safetensors").exists()


def test_sparse_validation_includes_the_last_step(toy, tmp_path, capsys):
    fit(toy.Task(), toy.settings(tmp_path, epochs=5, validate_every=2))
    assert [row["step"] for row in toy.log_of(tmp_path, "val")] == [20, 40, 50]
    error = capsys.readouterr().err
    for name in ("best.safetensors", "last.safetensors", "last.pt", "metrics.jsonl"):
        assert str(tmp_path / name) in error


def test_tensorboard_logs_where_it_is_installed(toy, tmp_path):
    pytest.importorskip("tensorboard")
    fit(toy.Task(), toy.settings(tmp_path, epochs=1, tensorboard=True))
    assert list((tmp_path / "tensorboard").glob("events*"))
