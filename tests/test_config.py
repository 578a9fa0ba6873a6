"""Configurations: files, inheritance, overrides, and one clear line for what is wrong."""

from dataclasses import asdict, dataclass, field

import pytest
import yaml

from cascadepose.config import merged, nearest, parse, read_yaml, save_config
from cascadepose.errors import InputError
from cascadepose.training.settings import TrainConfig


@dataclass
class Augmentation:
    flip: float = 0.5


@dataclass
class Source:
    annotations: str
    weight: float = 1.0


@dataclass
class TaskConfig:
    """A task."""

    path: str
    """Where it is."""
    sources: list[Source] = field(default_factory=list)
    augmentation: Augmentation = field(default_factory=Augmentation)
    size: tuple[int, int] = (256, 192)
    model: dict = field(default_factory=dict)


SECTIONS = {"train": TrainConfig, "task": TaskConfig}


def write(path, text):
    path.write_text(text)
    return str(path)


@pytest.fixture
def refuse(capsys):
    """refuse(*argv): the one line with which the arguments are refused."""

    def run(*argv):
        with pytest.raises(SystemExit) as exit_info:
            parse(SECTIONS, argv)
        assert exit_info.value.code == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    return run


def test_file_base_and_overrides(tmp_path):
    write(
        tmp_path / "base.yaml", "train:\n  lr: 1e-2\n  epochs: 7\ntask:\n  path: below\n  model: {dim: 8, depth: 2}\n"
    )
    above = write(
        tmp_path / "above.yaml",
        "base: base.yaml\ntrain:\n  epochs: 8\ntask:\n  sources: [{annotations: a}, {annotations: b, weight: 2}]\n"
        "  augmentation: {flip: 0.1}\n  model: {depth: 3}\n",
    )
    config = parse(SECTIONS, ["--config", above, "--train.seed", "5", "--task.size", "[3, 4]"])
    assert isinstance(config.train, TrainConfig)
    assert (config.train.lr, config.train.epochs, config.train.seed) == (0.01, 8, 5)
    task = TaskConfig("below", [Source("a"), Source("b", 2.0)], Augmentation(0.1), (3, 4), {"dim": 8, "depth": 3})
    assert config.task == task


def test_overrides_deep_in_a_section_leave_the_rest_of_it(tmp_path):
    model = "{backbone: {name: a, folded: true, options: {pad: same, act: b}}, size: [2, 1]}"
    file = write(tmp_path / "deep.yaml", f"task:\n  model: {model}\n")
    deep = ["--task.model.backbone.folded", "false", "--task.model.backbone.options.pad=valid"]
    argv = ["--config", file, *deep, "--task.model.new.x", "1e-3", "--task.path", "p", "--task.model.size", "[3]"]
    options = {"pad": "valid", "act": "b"}
    expected = {"backbone": {"name": "a", "folded": False, "options": options}, "new": {"x": 0.001}, "size": [3]}
    assert parse(SECTIONS, argv).task.model == expected


def test_a_later_file_wins_over_an_earlier_one(tmp_path):
    first = write(tmp_path / "a.yaml", "train: {lr: 0.1, seed: 1}\ntask: {path: x}\n")
    second = write(tmp_path / "b.yaml", "train: {lr: 0.2}\n")
    config = parse(SECTIONS, ["--config", first, "--config", second])
    assert (config.train.lr, config.train.seed) == (0.2, 1)


def test_a_later_file_leaves_the_rest_of_a_section(tmp_path):
    first = write(tmp_path / "a.yaml", "task: {path: x, model: {backbone: {name: a, levels: [1]}, size: 2}}\n")
    second = write(tmp_path / "b.yaml", "task: {model: {backbone: {levels: [3]}}}\n")
    folded = ["--task.model.backbone.folded", "true"]
    config = parse(SECTIONS, ["--config", first, *folded, "--config", second])
    assert config.task.model == {"backbone": {"name": "a", "levels": [3], "folded": True}, "size": 2}


def test_of_two_options_for_one_key_the_later_one_wins():
    deep, whole = ["--task.model.backbone.levels", "[1]"], ["--task.model", "{backbone: {levels: [2]}}"]
    assert parse(SECTIONS, ["--task.path", "x", *deep, *whole]).task.model["backbone"] == {"levels": [2]}
    assert parse(SECTIONS, ["--task.path", "x", *whole, *deep]).task.model["backbone"] == {"levels": [1]}


def test_saved_configuration_reads_back(tmp_path):
    config = parse(SECTIONS, ["--task.path", "x", "--train.resume", "false", "--train.ema_decay", "null"])
    save_config({name: asdict(config[name]) for name in SECTIONS}, tmp_path / "run" / "config.yaml")
    again = parse(SECTIONS, ["--config", str(tmp_path / "run" / "config.yaml")])
    assert again.train == config.train
    assert again.task == config.task


def test_print_config_shows_the_result(tmp_path, capsys):
    file = write(tmp_path / "a.yaml", "train:\n  epochs: 3\n")
    with pytest.raises(SystemExit) as exit_info:
        parse(SECTIONS, ["--config", file, "--task.path", "x", "--print_config"])
    assert exit_info.value.code == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["train"]["epochs"] == 3
    assert shown["task"]["path"] == "x"


def test_help_shows_every_key(capsys):
    with pytest.raises(SystemExit):
        parse(SECTIONS, ["--help"])
    shown = capsys.readouterr().out
    for name in asdict(TrainConfig()):
        assert f"--train.{name}" in shown
    assert "Where it is." in shown
    assert "--task.augmentation.flip" in shown


@pytest.mark.parametrize(
    "text, message",
    [
        ("train:\n  epoch: 3\n", "unknown key train.epoch: did you mean train.epochs?"),
        ("trian:\n  lr: 3\n", "unknown key trian: did you mean train?"),
        (
            "task:\n  augmentation: {flop: 1}\n",
            "unknown key task.augmentation.flop: did you mean task.augmentation.flip?",
        ),
        ("task:\n  sources: [{annotations: a, wait: 1}]\n", "unknown key wait: did you mean weight?"),
        ("train:\n  zzz: 3\n", "unknown key train.zzz: see --help"),
        ("train:\n  lr: fast\n", '"train.lr": Expected a float. Got value: fast'),
        ("train: 3\n", "train is 3: it must be a section"),
        ("- 3\n", "must hold sections"),
        ("train: [\n", "is not valid YAML"),
        ("base: missing.yaml\n", "missing.yaml: No such file"),
    ],
)
def test_a_faulty_file_is_named_with_the_remedy(tmp_path, refuse, text, message):
    file = write(tmp_path / "faulty.yaml", text)
    line = refuse("--config", file, "--task.path", "x")
    assert message in line
    assert "missing.yaml" in line or file in line


@pytest.mark.parametrize(
    "argv, message",
    [
        (["--train.lrr", "3"], "unknown option --train.lrr: did you mean --train.lr?"),
        (["--train.batchsize=3"], "did you mean --train.batch_size?"),
        (["--confg", "x.yaml"], "did you mean --config?"),
        (["--train.lr", "fast"], "Got value: fast"),
        (["--config", "nowhere.yaml"], "nowhere.yaml: No such file or directory"),
        (["--train.epochs", "0"], "train.epochs is 0: give at least 1"),
        (["something"], "unexpected argument 'something'"),
        (["--task.augmentation.flop.often", "1"], "task.augmentation"),
        (["--task.model.backbone.name"], "expected one argument"),
        (["--task.model.backbone.name", "x", "--train.epochs", "0"], "train.epochs is 0: give at least 1"),
    ],
)
def test_faulty_arguments_are_named_with_the_remedy(refuse, argv, message):
    assert message in refuse("--task.path", "x", *argv)


def test_what_is_missing_is_named(refuse):
    assert "task.path" in refuse()


def test_inheritance_has_one_level(tmp_path):
    write(tmp_path / "a.yaml", "train: {}\n")
    write(tmp_path / "b.yaml", "base: a.yaml\n")
    with pytest.raises(InputError, match="one file only"):
        read_yaml(write(tmp_path / "c.yaml", "base: b.yaml\n"))


def test_merged_leaves_its_arguments_alone():
    below, above = {"a": {"x": 1, "y": [1]}, "b": 2}, {"a": {"y": [2]}}
    assert merged(below, above) == {"a": {"x": 1, "y": [2]}, "b": 2}
    assert below == {"a": {"x": 1, "y": [1]}, "b": 2}


def test_nearest_prefers_the_same_section():
    assert nearest("train.pat", ["task.path", "train.part"]) == ": did you mean train.part?"
    assert nearest("train.path", ["task.path", "train.seed"]) == ": did you mean task.path?"
