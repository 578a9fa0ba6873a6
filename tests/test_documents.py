"""What the documents tell people to type is valid: commands are parsed by the programs themselves, cheap ones are run,
Python compiles and names what exists.

The two commands of the README that install and test are run by `.ci/run`, the recipes of docs/exports.md by
tests/export/test_documents.py.
"""

import argparse
import ast
import contextlib
import importlib
import importlib.util
import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cascadepose import cli
from cascadepose.data.video_writer import open_video_writer
from cascadepose.types import Poses3D, Track, VideoResult

REPOSITORY = Path(__file__).resolve().parents[1]
DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
FENCED = re.compile(r"^(?P<indent> *)```(?P<language>\w+)\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
RUN = {"export", "angles", "sheet"}  # commands on a result, quick enough to carry out
FOREIGN = {"bpy", "opensim"}  # of programs with a Python of their own


class Parsed(Exception):
    """The arguments were valid."""


def blocks(language: str) -> list:
    """Parameters (document, text) of every fenced block."""
    found = []
    for document in DOCUMENTS:
        matches = [m for m in FENCED.finditer(document.read_text("utf-8")) if m["language"] == language]
        found += [
            pytest.param(
                document, re.sub(f"^{m['indent']}", "", m["body"], flags=re.MULTILINE), id=f"{document.name}-{i}"
            )
            for i, m in enumerate(matches)
        ]
    return found


def commands(text: str) -> list[list[str]]:
    """The words of every command of a block of shell."""
    text = re.sub(r"\$\((?:[^()]|\([^()]*\))*\)", "SUBSTITUTED", text.replace("\\\n", " "))
    found = []
    for line in text.splitlines():
        words: list[str] = []
        for word in [*shlex.split(line, comments=True), "&&"]:
            if word in ("&&", "||", "|", ";"):
                found += [words] * bool(words)
                words = []
            else:
                words.append(word)
    return [[w for i, w in enumerate(words) if i or not re.fullmatch(r"[A-Z_]+=\S*", w)] for words in found]


@contextlib.contextmanager
def parse_only(argv: list[str]) -> Iterator[None]:
    """`ArgumentParser.parse_args` raises Parsed once it has understood its arguments, which ends the block."""
    real = argparse.ArgumentParser.parse_args

    def parse_args(self, *args, **more):
        options = real(self, *args, **more)
        if hasattr(options, "stage") and hasattr(options, "options"):
            return options  # `train` hands its options on to the stage's own parser
        raise Parsed

    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(Parsed):
        patch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
        patch.setattr(sys, "argv", argv)
        yield


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with the repository's configurations and tools, a video, and its result in out/."""
    monkeypatch.chdir(tmp_path)
    for room in ("configs", "tools"):
        (tmp_path / room).symlink_to(REPOSITORY / room)
    rng = np.random.default_rng(0)
    arrays = {"boxes_xyxy": rng.uniform(0, 90, (6, 4)), "box_scores": np.ones(6), "scores": np.ones((6, 17))}
    arrays |= {"keypoints": rng.uniform(0, 90, (6, 17, 2)), "sigma": np.ones((6, 17, 2)), "observed": np.ones(6, bool)}
    joints = Poses3D(rng.normal(0, 0.5, (6, 17, 3)), "root-relative", np.ones(17, bool))
    track = Track(1, np.arange(6), np.arange(6) / 25, **arrays, poses3d=joints)
    with open_video_writer(Path("video.mp4"), 25.0) as video:
        for t in range(6):
            video.write(np.full((96, 96, 3), 40 * t, np.uint8), t / 25)
    VideoResult([track], (96, 96), 25.0, np.arange(6) / 25, "video.mp4").save("out", ["json", "npz"])
    return tmp_path


@pytest.mark.parametrize(("document", "text"), blocks("bash"))
def test_commands_are_valid(document, text, here, capsys):
    for words in commands(text):
        words = words[1:] if words[0] == "timeout" else words
        if words[0] == "torchrun":
            start = next(i for i, word in enumerate(words) if word == "-m" or word.endswith(".py"))
            words = ["python", *words[start:]]
        if words[:3] == ["python", "-m", "cascadepose"]:
            words = words[2:]
        quick = words[1] in RUN or (words[1] == "view" and "--html" in words)
        if words[0] == "cascadepose" and quick and "out" in words[2]:
            assert cli.main(words[1:]) == 0, capsys.readouterr().err
        elif words[0] == "cascadepose" or words[1].startswith("tools/"):
            check_arguments(words, capsys)
        else:
            check_other(words)


def check_arguments(words: list[str], capsys) -> None:
    """Let the program itself parse its arguments and stop there."""
    training = "train" in words[1]
    words = words + ["--print_config"] * training
    script = words[0] == "python"
    with parse_only(words[script:]):
        try:
            runpy.run_path(words[1], run_name="__main__") if script else cli.main(words[1:])
        except SystemExit as end:
            assert training and end.code == 0, f"{shlex.join(words)}: {capsys.readouterr().err}"  # noqa: PT017
        else:
            pytest.fail(f"{shlex.join(words)} parses nothing")


def check_other(words: list[str]) -> None:
    """pip, pytest, mkdocs and Python one-liners; what else there is has to be listed here."""
    if words[:2] == ["pip", "install"]:
        known = set(re.findall(r'^        "(\w+)": \[', (REPOSITORY / "setup.py").read_text("utf-8"), re.MULTILINE))
        assert set(",".join(re.findall(r"\[([\w,]+)\]", " ".join(words))).split(",")) - {""} <= known
    elif words[:2] == ["python", "-c"]:
        compile(words[2], "python -c", "exec")
    else:
        assert words[:3] == ["python", "-m", "pytest"] or words[:2] in (["mkdocs", "build"], ["mkdocs", "serve"]), words


@pytest.mark.parametrize(("document", "text"), blocks("python"))
def test_python_compiles_and_names_what_exists(document, text):
    tree = ast.parse(text, str(document))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            check_import(node.module, [alias.name for alias in node.names])
        elif isinstance(node, ast.Import):
            for alias in node.names:
                check_import(alias.name, [])
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "cascadepose":
            check_import("cascadepose", [node.attr])


def check_import(module: str, names: list[str]) -> None:
    """Our own names have to be there; other packages may be missing, if they are optional."""
    if module.split(".")[0] != "cascadepose":
        found = module.split(".")[0] in FOREIGN or importlib.util.find_spec(module.split(".")[0]) is not None
        assert found or module in re.sub(r"[^\w]", " ", (REPOSITORY / "setup.py").read_text("utf-8")).split(), module
        return
    imported = importlib.import_module(module)
    for name in names:
        if not hasattr(imported, name):
            importlib.import_module(f"{module}.{name}")


def test_commands_named_in_sentences_exist():
    for document in DOCUMENTS:
        named = set(re.findall(r"`cascadepose (\w+)", document.read_text("utf-8")))
        assert named - set(cli.COMMANDS) == set(), document.name


def test_the_first_page_lists_every_command():
    named = set(re.findall(r"^\| `cascadepose (\w+)", (REPOSITORY / "docs/index.md").read_text("utf-8"), re.MULTILINE))
    assert named == set(cli.COMMANDS)


def test_the_shell_is_understood():
    text = 'A=1 one "$(two (3))" --x 4 && five \\\n    six # seven\n\n# eight\nnine | ten'
    assert commands(text) == [["one", "SUBSTITUTED", "--x", "4"], ["five", "six"], ["nine"], ["ten"]]


@pytest.mark.parametrize(
    "words",
    [
        ["cascadepose", "infer", "video.mp4", "--colour"],
        ["cascadepose", "dance"],
        ["cascadepose", "train", "lifter", "--config", "configs/dstformer_small.yaml", "--train.rate", "1"],
        ["python", "tools/eval_coco.py", "--weights", "x"],
    ],
)
def test_the_check_finds_what_is_wrong(words, here, capsys):
    with pytest.raises(AssertionError):
        check_arguments(words, capsys)
