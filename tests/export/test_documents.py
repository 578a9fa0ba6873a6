"""The recipes of docs/exports.md run."""

import re

import pytest

HERE = {"cascadepose", "numpy", "ezc3d", "pandas"}  # the others are programs with a Python of their own
OPTIONAL = {"ezc3d", "pandas"}


def recipes(repository) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", (repository / "docs/exports.md").read_text("utf-8"), re.M | re.S)


@pytest.mark.parametrize("number", range(6))
def test_recipe(repository, make_walkers, tmp_path, monkeypatch, capsys, number):
    assert len(recipes(repository)) == 6
    recipe = recipes(repository)[number]
    modules = set(re.findall(r"^(?:from|import) (\w+)", recipe, re.M)) | ({"pandas"} if "to_frame" in recipe else set())
    if not modules <= HERE:
        pytest.skip(f"runs inside another program: {', '.join(modules - HERE)}")
    for name in modules & OPTIONAL | ({"ezc3d"} if "c3d" in recipe else set()):
        pytest.importorskip(name)
    monkeypatch.chdir(tmp_path)
    formats = ["json"] + [name for name in ("c3d",) if "import ezc3d" in recipe]
    make_walkers(frames=6).save("out", formats)
    exec(compile(recipe, "docs/exports.md", "exec"), {})
    assert capsys.readouterr().out or (tmp_path / "out" / "dance.bvh").exists()
