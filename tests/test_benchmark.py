"""Both ways of every case agree, and the tool writes what it measured."""

import importlib.util
import json
from pathlib import Path

import pytest
import torch

from cascadepose import benchmark
from cascadepose.errors import InputError

TOOL = Path(__file__).resolve().parents[1] / "tools" / "benchmark.py"


def test_every_case_runs_and_both_ways_agree(tmp_path, capsys):
    spec = importlib.util.spec_from_file_location("benchmark_tool", TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.main(["--size", "small", "--repeats", "1", "--json", str(tmp_path / "b.json")]) == 0
    report = json.loads((tmp_path / "b.json").read_text())
    assert [row["name"] for row in report["rows"]] == [
        "matching",
        "attention",
        "crops from pixels",
        "crops from features",
        "keypoint stage",
    ]
    assert all(row["ratio"] > 0 for row in report["rows"])
    assert tool.main(["--device", "abacus"]) == 2
    assert "device 'abacus' cannot be used" in capsys.readouterr().err


def test_answers_that_differ_are_refused():
    case = benchmark.Case("wrong", "", lambda: torch.zeros(3), lambda: torch.full((3,), float("nan")))
    with pytest.raises(RuntimeError, match="the two ways differ"):
        benchmark.measure(case, 1, torch.device("cpu"))


def test_unknown_size():
    with pytest.raises(InputError, match="expected 'full' or 'small'"):
        next(benchmark.run(size="huge"))
