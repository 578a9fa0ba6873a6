"""The site builds without a warning, and its helpers make lists and tables of what they are given."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("material", reason="pip install 'cascadepose[docs]'")
pytest.importorskip("mkdocstrings_handlers.python", reason="pip install 'cascadepose[docs]'")


@pytest.fixture
def helper(module_at, repository):
    """A file of docs/site, by its name."""
    return lambda name: module_at(repository / "docs" / "site" / f"{name}.py")


def test_it_builds_without_a_warning(repository, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(repository), "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "dstformer-small" in (tmp_path / "site" / "model_cards" / "index.html").read_text("utf-8")
    assert 'id="cascadepose.hub.load_model"' in (tmp_path / "site" / "api" / "index.html").read_text("utf-8")


def test_every_page_is_in_the_navigation(repository):
    text = (repository / "mkdocs.yml").read_text("utf-8")
    pages = {path.name for path in (repository / "docs").glob("*.md")}
    assert {page for page in pages if f": {page}\n" not in text} == set()


def test_lists_of_docstrings(helper):
    text = helper("docstrings").to_markdown(
        "Adds up.\n\nfirst  what is\n       added\nlast, rest: see above\nRaises InputError: never.\n    code(1)"
    )
    lists = "* `first`: what is\n    added\n* `last`, `rest`: see above"
    assert text == f"Adds up.\n\n\n{lists}\n\nRaises InputError: never.\n    code(1)"


def test_cards(helper):
    said = helper("model_cards").said
    assert said({"AP": 0.25, "AR": 1}) == "AP 0.25, AR 1"
    assert said({"clean_2d": {"AP": 0.5}, "by": ["a|b", "c\nd"]}) == (
        "<ul><li>clean 2d: AP 0.5</li><li>by: a\\|b, c d</li></ul>"
    )
