"""For MkDocs: the page of model cards, written from the headers of the packaged weights whenever the site is built."""

from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from cascadepose import list_models
from cascadepose.hub import WeightsInfo

INTRODUCTION = """The packaged weights. Each file says all this of itself, and `cascadepose.list_models()` reads it;
figures with their protocols are in [results](results.md)."""
TITLES = {"prtr": "person detector and keypoint transformer", "dstformer": "lifter, 2D to 3D"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add model_cards.md to the pages."""
    cards = "\n".join(card(model) for model in list_models())
    files.append(File.generated(config, "model_cards.md", content=f"# Model cards\n\n{INTRODUCTION}\n\n{cards}"))
    return files


def card(model: WeightsInfo) -> str:
    """One model: a heading and a table of everything that its header says."""
    size = f"{model.path.stat().st_size / 1e6:.1f} MB, SHA-256 `{model.sha256}`"
    facts = {"kind": f"`{model.kind}`: {TITLES.get(model.kind, 'model')}", "file": size} | model.info
    lines = [f"## {model.name}\n", "| fact | |", "|---|---|"]
    lines += [f"| {name.replace('_', ' ')} | {said(value)} |" for name, value in facts.items()]
    return "\n".join(lines) + "\n"


def said(value: Any) -> str:
    """A value of the header as the cell of a table: groups of facts as nested lists."""
    if isinstance(value, dict) and all(isinstance(part, int | float) for part in value.values()):
        return ", ".join(f"{name} {said(part)}" for name, part in value.items())
    if isinstance(value, dict):
        items = (f"<li>{name.replace('_', ' ')}: {said(part)}</li>" for name, part in value.items())
        return f"<ul>{''.join(items)}</ul>"
    if isinstance(value, list):
        return ", ".join(said(part) for part in value)
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).replace("|", "\\|").replace("\n", " ")
