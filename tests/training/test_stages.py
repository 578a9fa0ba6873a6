"""`cascadepose train`: every stage is there, explains itself, and takes the files that its help names."""

import importlib

import pytest
import yaml

from cascadepose import cli
from cascadepose.training.stages import STAGES


def main(*argv: str) -> int:
    """The exit status of the command line."""
    try:
        return cli.main(list(argv))
    except SystemExit as exit_:
        return exit_.code


@pytest.mark.parametrize("stage", STAGES)
def test_help_lists_the_keys_of_the_stage(stage, capsys):
    module = importlib.import_module(STAGES[stage].module)
    assert callable(module.build_task)
    assert main("train", stage, "--help") == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: cascadepose train {stage} --config FILE")
    fields = getattr(module, STAGES[stage].config_class).__dataclass_fields__
    assert all(f"--task.{name}" in printed for name in fields)
    assert "--train.lr LR" in printed and "Peak learning rate" in printed
    assert f"\n  cascadepose train {stage} --config configs/" in printed


@pytest.mark.parametrize(
    ("stage", "example"), [(name, example) for name, stage in STAGES.items() for example in stage.examples]
)
def test_examples_are_valid_and_options_override_files(stage, example, capsys, monkeypatch, repository):
    monkeypatch.chdir(repository)
    assert main("train", stage, *example.split(), "--train.lr", "0.125", "--print_config") == 0
    assert yaml.safe_load(capsys.readouterr().out)["train"]["lr"] == 0.125


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["train", "everything"], "invalid choice: 'everything'"),
        (["train"], "STAGE"),
        (
            ["train", "lifter", "--train.warmup", "1"],
            "unknown option --train.warmup: did you mean --train.warmup_steps?",
        ),
        (["train", "lifter", "--config", "nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_wrong_arguments_exit_2(argv, words, capsys):
    assert main(*argv) == 2
    error = capsys.readouterr().err
    assert words in error and "Traceback" not in error


def test_a_stage_is_trained(monkeypatch):
    given = []
    monkeypatch.setattr("cascadepose.training.command.run", lambda *args, **more: given.append((*args, more)))
    assert main("train", "lifter", "--train.lr", "1") == 0
    ((config_class, build_task, options, description, more),) = given
    assert (config_class.__name__, build_task.__module__) == ("LifterTaskConfig", "cascadepose.tasks.lifter")
    assert options == ["--train.lr", "1"] and more == {"program": "cascadepose train lifter"}
    assert "torchrun" in description
