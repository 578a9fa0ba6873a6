"""Both ways of every case agree, and the command prints and writes what it measured."""

import json

import pytest
import torch

from cascadepose import benchmark
from cascadepose.benchmark import stages
from cascadepose.cli import main
from cascadepose.errors import InputError

STAGES = ["matching", "attention", "crops from pixels", "crops from features", "keypoint stage", "training step"]
CASES = [*STAGES, "lifting", "lifting a stream"]


def test_every_case_runs_and_both_ways_agree(tmp_path, capsys):
    options = ["--device", "cpu", "--only", "ratios", "--size", "small", "--repeats", "1", "--clock", "cpu"]
    assert main(["benchmark", *options, "--json", str(tmp_path / "b.json")]) == 0
    report = json.loads((tmp_path / "b.json").read_text())
    assert [row["name"] for row in report["rows"]] == [*CASES, "whole video"]
    assert all(row["ratio"] > 0 for row in report["rows"])
    assert report["clock"] == "cpu" and "stages" not in report
    assert "whole video" in capsys.readouterr().out


def test_stages_are_printed_and_a_broken_one_does_not_stop_the_others(tmp_path, capsys, monkeypatch):
    def broken(place, clip):
        raise RuntimeError("no luck")

    monkeypatch.setattr(stages, "STAGES", {"bad": (broken, ""), "good": (lambda place, clip: (int, 2), "nothing")})
    monkeypatch.setattr(stages, "SECONDS", 0.0)
    assert main(["benchmark", "--device", "cpu", "--only", "stages", "--json", str(tmp_path / "b.json")]) == 2
    bad, good = json.loads((tmp_path / "b.json").read_text())["stages"]
    assert bad == {"name": "bad", "error": "RuntimeError: no luck"}
    assert good["per_second"] == pytest.approx(1000 / good["milliseconds"]) and good["what"] == "nothing"
    captured = capsys.readouterr()
    assert captured.err == "error: bad does not work: RuntimeError: no luck\n" and "\ngood " in captured.out


def test_answers_that_differ_are_refused():
    case = benchmark.Case("wrong", "", lambda: torch.zeros(3), lambda: torch.full((3,), float("nan")))
    with pytest.raises(RuntimeError, match="the two ways differ"):
        benchmark.measure(case, 1, torch.device("cpu"))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"size": "huge"}, "expected 'full' or 'small'"),
        ({"device": "abacus"}, "device 'abacus' cannot be used"),
        ({"clock": "sun"}, "clock is 'sun'"),
    ],
)
def test_wrong_choices(given, words):
    with pytest.raises(InputError, match=words):
        next(benchmark.run(**given))


def test_command_refuses_in_one_line(capsys):
    assert main(["benchmark", "--device", "abacus"]) == 2
    assert "device 'abacus' cannot be used" in capsys.readouterr().err
