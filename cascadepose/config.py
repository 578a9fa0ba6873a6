"""Configurations: dataclasses filled from YAML files and command-line overrides.

    config = parse({"train": TrainConfig, "task": LifterTaskConfig}, description="Train a lifter.")
    config.train.lr, config.task.num_frames

A file has one section a dataclass and may name one other file as its `base`, relative to itself:

    base: lifter.yaml
    train:
      lr: 2.0e-4
"""

import difflib
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import yaml
from jsonargparse import ActionConfigFile, ArgumentParser, Namespace, set_parsing_settings

from cascadepose.errors import InputError


class ConfigParser(ArgumentParser):
    """Says what is wrong in one line, with the nearest valid name, and exits with status 2."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print `message` as one line and exit."""
        flag, _, rest = message.partition("unrecognized arguments: ")[2].partition(" ")
        if flag.startswith("--"):
            name = flag[2:].partition("=")[0]
            message = f"unknown option --{name}{nearest(name, self.known_keys(), '--')}"
        elif flag:
            message = f"unexpected argument {flag!r}: options have the form --section.key value"
        sys.stderr.write(f"{self.prog}: error: {' '.join(message.split())}\n")
        sys.exit(2)

    def known_keys(self) -> list[str]:
        """Full names of all settings, such as `train.lr`."""
        names = (action.dest for action in self._actions if action.option_strings)
        return [name for name in names if name not in ("help", "print_config") and not name.endswith(".help")]


class ConfigFile(ActionConfigFile):
    """`--config FILE`: `base` is read first, and a key that does not exist is named with its file and the nearest one that does."""

    def __call__(self, parser: ConfigParser, cfg: Namespace, values: str, option_string: str | None = None) -> None:
        try:
            content = read_yaml(values)
            check_keys(content, parser.known_keys(), values)
        except InputError as error:
            parser.error(str(error))
        self.apply_config(parser, cfg, self.dest, json.dumps(content))


def build_parser(
    sections: Mapping[str, type], description: str = "", options: Callable[[ArgumentParser], Any] | None = None
) -> ConfigParser:
    """A parser with `--config`, `--print_config` and one option for every field of the dataclasses in `sections`.

    Args:
        sections: section name -> dataclass; the fields' docstrings (below the field) are the help.
        options: adds further, top-level options to the parser.
    """
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = ConfigParser(description=description)
    parser.add_argument("--config", action=ConfigFile, help="YAML file; may be given several times, later ones win")
    if options is not None:
        options(parser)
    for name, section in sections.items():
        parser.add_class_arguments(section, name)
    return parser


def parse(
    sections: Mapping[str, type],
    argv: Sequence[str] | None = None,
    description: str = "",
    options: Callable[[ArgumentParser], Any] | None = None,
) -> Namespace:
    """Parse the command line; each section of the result is an instance of its dataclass. Bad input exits with status 2."""
    parser = build_parser(sections, description, options)
    arguments = parser.parse_args(argv)
    try:
        return parser.instantiate(arguments)
    except InputError as error:  # from a dataclass that checks its own values
        parser.error(str(error))


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The file's content, laid over that of its `base`. Raises InputError."""
    content = _load(Path(path))
    base = content.pop("base", None)
    if base is None:
        return content
    inherited = _load(Path(path).parent / base)
    if "base" in inherited:
        raise InputError(f"{path}: its base {base} has a base itself: configurations inherit from one file only")
    return merged(inherited, content)


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` laid over `below`, section by section and key by key; lists are replaced."""
    both = {
        k: merged(below[k], v) if isinstance(v, Mapping) and isinstance(below.get(k), Mapping) else v
        for k, v in above.items()
    }
    return {**below, **both}


def check_keys(content: Mapping[str, Any], known: Iterable[str], source: str | Path) -> None:
    """Raise InputError at the first key of `content` that is not among `known` (dotted names)."""
    known = list(known)
    sections = {name.rpartition(".")[0] for name in known}

    def walk(mapping: Mapping[str, Any], prefix: str) -> None:
        for key, value in mapping.items():
            name = f"{prefix}{key}"
            if name in sections and isinstance(value, Mapping):
                walk(value, f"{name}.")
            elif name not in known:
                raise InputError(f"{source}: unknown key {name}{nearest(name, known)}")

    walk(content, "")


def nearest(name: str, known: Iterable[str], dashes: str = "") -> str:
    """': did you mean X?' for the most similar known name, or where to find them all."""
    known = list(known)
    section = name.rpartition(".")[0]
    siblings = [k for k in known if k.rpartition(".")[0] == section]
    for candidates in (siblings, known):
        if match := difflib.get_close_matches(name, candidates, 1, 0.6):
            return f": did you mean {dashes}{match[0]}?"
    return ": see --help for all settings"


def save_config(config: Mapping[str, Any], path: Path) -> None:
    """Write plain nested values (`dataclasses.asdict` of the sections) as a file that `--config` reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(dict(config), sort_keys=False))


def _load(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}: give a YAML configuration file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content or {}, dict):
        raise InputError(f"{path} must hold sections with keys, such as 'train:', not {type(content).__name__}")
    return content or {}
