"""Cases hold by the same comparisons as `tools/check_parity.py` makes. Large models have tests of their own."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cascadepose.errors import InputError
from cascadepose.parity import cases
from cascadepose.parity.checks import check, run_folder
from cascadepose.parity.compare import Comparison, compare
from cascadepose.parity.models import _allow_for_rounding, is_model

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
SHARED = ("prtr_crop_affine", "strided_351f")
ELSEWHERE = ("motionbert_lite_short_81f", "poseformer_81f")  # tests of their own
CASES = [name for name in cases.names(HERE) if name not in ELSEWHERE] + list(SHARED)


@pytest.mark.parametrize("name", CASES)
def test_case(name, oracle_folder):
    folder = HERE if name == cases.COCO else oracle_folder(name)
    parts = check(cases.read(folder, name))
    assert parts
    assert [part for part in parts if not part.holds] == []


def test_every_output_is_compared():
    """But for match_kpt, which says what match_query means."""
    for name in cases.names(HERE):
        case = cases.read(HERE, name)
        if name != cases.COCO and not is_model(case):  # a model must answer whatever there is
            compared = {part.output for part in check(case)} | {"match_kpt"}
            assert case.outputs.keys() <= compared, name


def copy(folder: Path, name: str, change=None) -> None:
    """A case in another folder, its arrays changed."""
    with np.load(HERE / f"{name}.npz") as file:
        arrays = {key: file[key].copy() for key in file.files}
    if change:
        change(arrays)
    np.savez(folder / f"{name}.npz", **arrays)
    if (HERE / f"{name}.json").exists():
        (folder / f"{name}.json").write_bytes((HERE / f"{name}.json").read_bytes())


def test_a_wrong_answer_is_seen(tmp_path):
    """A difference in one number of one output, a NaN, another integer."""

    def change(arrays):
        arrays["out.xyz"].flat[5] += 1e-3

    copy(tmp_path, "strided_refine", change)
    (result,) = run_folder(tmp_path)
    assert not result.holds
    assert result.worst.output == "xyz" and result.worst.difference == pytest.approx(1e-3, rel=0.01)
    assert not Comparison("x", float("nan"), 1.0).holds
    assert compare("x", [1, 2, 3], np.array([1, 0, 4])) == Comparison("x", 2.0, 0.0)
    with pytest.raises(InputError, match=r"shape \[2\], the official one \[3\]"):
        compare("x", [1.0, 2], np.ones(3))


def test_rounding_widens_only_what_does_not_hold():
    """By this package's own rounding error, relative to the spread of the output; never for integers."""
    double = {
        "a": torch.tensor([0.0, 2.0]).double(),
        "b": torch.tensor([0.0, 20.0]).double(),
        "c": torch.tensor([1, 2]),
    }
    single = {"a": torch.tensor([0.0, 2.0]), "b": torch.tensor([0.0, 20.02]), "c": torch.tensor([1, 2])}
    found = [Comparison("a", 1e-3, 1e-4), Comparison("b", 1e-5, 1e-4), Comparison("c", 1.0, 0.0)]
    a, b, c = _allow_for_rounding(found, single, double)
    assert a.tolerance == pytest.approx(10 * 0.02 * 2 / 20, rel=1e-3) and (b, c) == (found[1], found[2])


def test_a_missing_input_does_not_stop_the_rest(tmp_path):
    copy(tmp_path, "coco_to_h36m_mhformer_style", lambda arrays: arrays.pop("in.score"))
    copy(tmp_path, "strided_refine")
    (tmp_path / "torn.npz").write_bytes(b"PK\x03\x04 and no more")
    np.savez(tmp_path / "unknown.npz", **{"in.x": np.ones(1), "out.nobody": np.ones(1)})
    results = {result.case: result for result in run_folder(tmp_path)}
    assert [name for name, result in results.items() if result.holds] == ["strided_refine"]
    assert "score" in results["coco_to_h36m_mhformer_style"].error
    assert "cannot be read" in results["torn"].error
    assert "no comparison is known" in results["unknown"].error


@pytest.fixture(scope="module")
def tool(tool_main):
    return tool_main("check_parity")


def test_tool(tool, tmp_path, capsys):
    """Names, differences, tolerances and seconds; 0 only if all hold."""
    copy(tmp_path, "motionbert_coco2h36m")
    assert tool([str(tmp_path)]) == 0
    name, difference, tolerance, seconds, _ = capsys.readouterr().out.splitlines()[1].split()
    assert name == "motionbert_coco2h36m" and float(difference) <= float(tolerance) == 1e-3 and float(seconds) >= 0
    copy(tmp_path, "coco_to_h36m_mhformer_style", lambda arrays: arrays["out.score"].__iadd__(1))
    assert tool([str(tmp_path), "--all-outputs"]) == 1
    printed = capsys.readouterr().out
    assert "FAILED" in printed and "1 of 2 cases hold" in printed and "cam_portrait" in printed
    assert tool([str(tmp_path), "--only", "coco2h36m"]) == 0
    assert tool([str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize("content", [None, []])
def test_a_folder_without_cases(content, tmp_path):
    folder = tmp_path / "cases"
    if content is not None:
        folder.mkdir()
    with pytest.raises(InputError, match=r"holds no cases|no such folder"):
        cases.names(folder)
