"""Models as folders and as repositories on the Hugging Face hub: weights file and model card.

The methods of `models.pretrained.Pretrained` are these functions.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cascadepose.errors import InputError
from cascadepose.files import atomic_path, make_folder
from cascadepose.hub import load_model, save_model, weights_info
from cascadepose.models import kind_of, model_class
from cascadepose.tensors import one_line

if TYPE_CHECKING:
    from torch import nn

__all__ = ["load_pretrained", "model_card", "push_to_hub", "save_pretrained"]

WEIGHTS, CARD = "model.safetensors", "README.md"
_FIRST = ("description", "data", "recipe", "scores", "licence")  # of the facts; the others follow


def load_pretrained(
    cls: type[nn.Module], name_or_repo: str | Path, device: str = "cpu", allow_download: bool = False
) -> nn.Module:
    """See `Pretrained.from_pretrained`."""
    info = weights_info(name_or_repo, allow_download)
    try:
        found = model_class(info.kind)
    except ValueError as error:
        raise InputError(f"{info.name}: {one_line(error)}; update cascadepose") from None
    if found is not cls:
        raise InputError(f"{info.name}: holds a {found.__name__}, no {cls.__name__}; use {found.__name__}")
    model = load_model(name_or_repo, device, allow_download=allow_download)
    model.card = info.info
    return model


def save_pretrained(
    model: nn.Module, folder: str | Path, info: dict[str, Any] | None = None, repo: str | None = None
) -> Path:
    """See `Pretrained.save_pretrained`; repo: where the card says that the model is found."""
    facts = {key: value for key, value in ({**model.card, **(info or {})}).items() if key != "version"}
    folder = make_folder(folder)
    save_model(model, folder / WEIGHTS, kind_of(model), facts)
    with atomic_path(folder / CARD) as temporary:
        temporary.write_text(model_card(model, facts, repo), encoding="utf-8")
    return folder


def push_to_hub(
    model: nn.Module, repo: str, info: dict[str, Any] | None = None, private: bool = False, token: str | None = None
) -> str:
    """See `Pretrained.push_to_hub`."""
    from huggingface_hub import HfApi

    hub = HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=token)
    with tempfile.TemporaryDirectory(prefix="cascadepose-") as folder:
        save_pretrained(model, folder, info, repo)
        try:
            hub.create_repo(repo, private=private, exist_ok=True)
            done = hub.upload_folder(
                repo_id=repo, folder_path=folder, commit_message=f"Upload {type(model).__name__} with cascadepose"
            )
        except (OSError, ValueError, RuntimeError) as error:  # also what httpx and the hub's client raise
            raise _refused(repo, error) from None
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in ("httpx", "huggingface_hub"):
                raise
            raise _refused(repo, error) from None
    return str(done.commit_url)


def _refused(repo: str, error: Exception) -> InputError:
    return InputError(
        f"{repo}: the hub did not take it ({one_line(error)}); check the name (owner/repo), the connection, and that "
        "`hf auth login` or the token allows writing there"
    )


def model_card(model: nn.Module, facts: dict[str, Any], repo: str | None = None) -> str:
    """Markdown with the header that the hub reads: what the model is, how to load it, what its file says of itself."""
    import yaml

    from cascadepose import __version__

    name, kind = type(model).__name__, kind_of(model)
    licence = str(facts.get("licence", "unknown"))
    plain = re.fullmatch(r"[\w.+-]+", licence) is not None and licence != "unknown"
    header = {
        "library_name": "cascadepose",
        "license": licence.lower() if plain else "other",
        "pipeline_tag": "keypoint-detection",
        "tags": ["human-pose-estimation", kind],
    }
    there = f'"{repo}", allow_download=True' if repo else '"path/of/this/folder"'
    load = f'model_class("{kind}").from_pretrained({there})'
    parameters = sum(parameter.numel() for parameter in model.parameters())
    ordered = [key for key in _FIRST if key in facts] + [key for key in facts if key not in _FIRST]
    sections = [f"## {key.replace('_', ' ').capitalize()}\n\n{_text(facts[key])}" for key in ordered]
    return (
        "\n\n".join(
            [
                f"---\n{yaml.safe_dump(header, sort_keys=False)}---",
                f"# {name}",
                f"A model of kind `{kind}` with {parameters:,} parameters, written by cascadepose {__version__}.",
                f"```python\nfrom cascadepose.models import model_class\n\nmodel = {load}\n```",
                *sections,
                f"## Configuration\n\n{_text(model.config)}",
            ]
        )
        + "\n"
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else f"```json\n{json.dumps(value, indent=1)}\n```"
