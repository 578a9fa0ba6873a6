"""The command line of the training tools."""

import pytest
import yaml

from cascadepose.training.command import run


def test_a_tool_trains_and_leaves_its_configuration(toy, tmp_path, uninterrupted):
    file = tmp_path / "toy.yaml"
    file.write_text("train: {epochs: 3, batch_size: 4, warmup_steps: 3, num_workers: 0, tensorboard: false}\n")
    argv = ["--config", str(file), "--train.output_dir", str(tmp_path / "run"), "--train.lr", "0.01"]
    assert run(toy.Config, toy.Task, argv) == tmp_path / "run" / "best.safetensors"
    toy.assert_same(toy.state_of(tmp_path / "run"), toy.state_of(uninterrupted))
    again = ["--config", str(tmp_path / "run" / "config.yaml"), "--train.output_dir", str(tmp_path / "again")]
    run(toy.Config, toy.Task, again)
    toy.assert_same(toy.state_of(tmp_path / "again"), toy.state_of(uninterrupted))


def test_a_tool_refuses_bad_input_in_one_line(toy, tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_info:
        run(toy.Config, toy.Task, ["--task.items", "0", "--train.output_dir", str(tmp_path)])
    assert exit_info.value.code == 2
    assert capsys.readouterr().err.startswith("error: the training set is empty")


def test_train_prtr_reads_every_configuration_in_its_order(tool_main, tmp_path, capsys):
    file, more = tmp_path / "toy.yaml", tmp_path / "more.yaml"
    file.write_text("train: {lr: 0.1, seed: 1}\ntask: {model: {backbone: {name: a, folded: false}}}\n")
    more.write_text("train: {lr: 0.2}\ntask: {model: {backbone: {folded: true}}}\n")
    options = ["--config", str(file), "--train.seed", "2", "--config", str(more), "--print_config"]
    with pytest.raises(SystemExit) as exit_info:
        tool_main("train_prtr")(["--stage", "keypoints", *options])
    assert exit_info.value.code == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert (shown["train"]["lr"], shown["train"]["seed"]) == (0.2, 2)
    assert shown["task"]["model"]["backbone"] == {"name": "a", "folded": True}
