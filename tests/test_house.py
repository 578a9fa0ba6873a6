"""House rules that a reader relies on: short files, light imports, quick help, documents that name what exists."""

import ast
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SOURCES = [path for room in ("cascadepose", "tools", "tests") for path in sorted((REPOSITORY / room).rglob("*.py"))]
TOOLS = sorted((REPOSITORY / "tools").glob("*.py"))
PROGRAMS = [str(path.relative_to(REPOSITORY)) for path in TOOLS] + ["cascadepose.cli"]
DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
HEAVY = {"albumentations", "huggingface_hub", "matplotlib", "onnxruntime", "pycocotools", "timm"}
HEAVY |= {"tensorboard", "torchvision"}


def python(*arguments: str) -> subprocess.CompletedProcess:
    """Run the interpreter in a process of its own, on this working copy."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    streams = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True}
    return subprocess.run([sys.executable, *arguments], cwd=REPOSITORY, env=environment, timeout=120, **streams)


def run_program(program: str, *arguments: str) -> subprocess.CompletedProcess:
    return python(*([program] if program.endswith(".py") else ["-m", program]), *arguments)


def lines(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


def test_files_are_short():
    assert {path.name: lines(path) for path in SOURCES if lines(path) > 400} == {}


def test_tools_are_thin():
    assert {path.name: lines(path) for path in TOOLS if lines(path) >= 80} == {}


def test_configs_are_short_and_flat():
    configs = sorted((REPOSITORY / "configs").glob("*.yaml"))
    assert {path.name: lines(path) for path in configs if lines(path) > 40} == {}


def test_heavy_packages_are_imported_where_they_are_used():
    found = []
    for path in sorted((REPOSITORY / "cascadepose").rglob("*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            found += [f"{path.name}: {name}" for name in names if name.split(".")[0] in HEAVY]
    assert found == []


def test_import_is_light():
    code = (
        "import sys, cascadepose; print(cascadepose.__version__, *{'torch', 'numpy', 'cv2', 'av'} & sys.modules.keys())"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\d+\.\d+\.\d+\w*\n", done.stdout)


def test_public_names_exist():
    import cascadepose

    for name in cascadepose.__all__:
        assert getattr(cascadepose, name) is not None
    assert set(cascadepose.__all__) <= set(dir(cascadepose))
    assert set(cascadepose.__all__) == {"__version__", *cascadepose._HOMES}
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        cascadepose.nothing  # noqa: B018


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_answers_soon(program):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = run_program(program, "--help")
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout.lower()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime - before.ru_utime < 20  # seconds of this process, however busy the machine is


@pytest.mark.parametrize("program", [program for program in PROGRAMS if "train" not in program])
def test_unknown_options_are_refused(program):
    done = run_program(program, "--no-such-option", "1")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documents_name_files_that_exist(document):
    text = document.read_text("utf-8")
    for name in re.findall(r"\b(?:tools|configs|docs|tests)/[\w./-]+\.(?:py|yaml|md)\b", text):
        assert (REPOSITORY / name).exists(), name
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (document.parent / link).exists(), link


@pytest.mark.parametrize("name", ["install", "test"])
def test_readme_commands_are_found_by_the_checks(name):
    """The block that `.ci/run` takes out of the README: one line of shell."""
    text = (REPOSITORY / "README.md").read_text("utf-8")
    (block,) = re.findall(rf"^<!-- ci:{name} -->\n```bash\n(.+)\n```$", text, re.MULTILINE)
    assert "pip install" in block
    assert "\n" not in block
