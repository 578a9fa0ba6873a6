"""The direction of imports: a room imports from its own level and from lower ones, see docs/architecture.md."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "cascadepose"
LEVELS = (
    "errors files devices tensors checkpoints official boxes similarity rotations skeletons geometry normalization "
    "smoothing timing parallel types angles config",
    "models losses data evaluation tracking space hub conversion sharing",
    "predictor onnx",
    "streaming pipeline loading lift packaging tasks train training export visualize",
    "cli __main__ commands doctor benchmark parity",
)
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms.split()}
MODELS_MAY_NOT_SEE = {"config", "data", "losses", "evaluation", "tracking", "hub"}
LAZY_EXCEPTIONS = {("types", "export"), ("types", "visualize")}  # VideoResult.save and .overlay


def room_of(path: Path) -> str:
    """models/lifters/window.py -> models, types.py -> types"""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path: Path) -> list[tuple[str, bool]]:
    """(module, whether it is imported inside a function) of every import of this package in a file."""
    found = []
    package = ("cascadepose", *path.relative_to(PACKAGE).parent.parts)

    def visit(node: ast.AST, lazy: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                found.extend((alias.name, lazy) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = package[: len(package) - child.level + 1] if child.level else ()
                module = ".".join([*base, *([child.module] if child.module else [])])
                found.extend((f"{module}.{alias.name}", lazy) for alias in child.names)
            visit(child, lazy or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))

    visit(ast.parse(path.read_text("utf-8")), False)
    return [(name, lazy) for name, lazy in found if name.split(".")[0] == "cascadepose"]


FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def test_every_room_has_a_level():
    rooms = {room_of(path) for path in FILES}
    assert rooms <= LEVEL.keys(), f"give these a level: {sorted(rooms - LEVEL.keys())}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_import_runs_up(path):
    room = room_of(path)
    for name, lazy in imports(path):
        target = name.split(".")[1] if "." in name else "__init__"
        if target not in LEVEL or (lazy and (room, target) in LAZY_EXCEPTIONS):
            continue  # the version number, or the exception that is meant
        assert LEVEL[target] <= LEVEL[room], f"{path.name} ({room}) imports {name}"
        assert room != "models" or target not in MODELS_MAY_NOT_SEE, f"{path.name} (models) imports {name}"


def test_relative_imports_are_understood(tmp_path, monkeypatch):
    """The test of the test: every way of writing an arrow is seen."""
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    (tmp_path / "models" / "lifters").mkdir(parents=True)
    path = tmp_path / "models" / "lifters" / "x.py"
    path.write_text(
        "from . import blocks\nfrom .. import crop\nfrom ...data import coco\nimport cascadepose.train, os\n"
        "from cascadepose import pipeline\ndef f():\n    from cascadepose.cli import main\n"
    )
    assert imports(path) == [
        ("cascadepose.models.lifters.blocks", False),
        ("cascadepose.models.crop", False),
        ("cascadepose.data.coco", False),
        ("cascadepose.train", False),
        ("cascadepose.pipeline", False),
        ("cascadepose.cli.main", True),
    ]
