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
import re
import sys
from argparse import RawDescriptionHelpFormatter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import yaml
from jsonargparse import (
    ActionConfigFile,
    ArgumentParser,
    DefaultHelpFormatter,
    Namespace,
    get_loader,
    set_parsing_settings,
)

from cascadepose.errors import InputError


class HelpFormatter(RawDescriptionHelpFormatter, DefaultHelpFormatter):
    """Keeps the lines of the description as they are."""


class ConfigParser(ArgumentParser):
    """Says what is wrong in one line, with the nearest valid name, and exits with status 2."""

    reading = ""  # the file whose values are being checked

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print `message` as one line and exit."""
        if unknown := message.partition("unrecognized arguments: ")[2].split():
            message = self._unknown_argument(unknown[0])
        elif option := re.fullmatch(r"Option '(.+)' is not accepted", message):  # in an item of a list
            message = f"unknown key {option[1]}{nearest(option[1], self.known_keys())}"
        message = re.sub(r"<class '([\w.]+)'>", r"\1", " ".join(message.split()))
        source = f"{self.reading}: " if self.reading and self.reading not in message else ""
        sys.stderr.write(f"{self.prog}: error: {source}{message}\n")
        sys.exit(2)

    def parse_args(self, args: Sequence[str] | None = None, *more: Any, **options: Any) -> Namespace:
        """As jsonargparse's, of `sys.argv` if nothing is given."""
        return super().parse_args(list(self._overlaid(sys.argv[1:] if args is None else args)), *more, **options)

    def _overlaid(self, args: Sequence[str]) -> Iterator[str]:
        """Options that go on behind a setting's name by two keys or more (`--task.model.backbone.folded true`), each as
        a configuration of its own. jsonargparse would leave nothing of the section but the one key, its value a text.
        """
        known = self.known_keys()
        free = [f"--{name}." for name in known if not any(other.startswith(f"{name}.") for other in known)]
        left = iter(args)
        for argument in left:
            name, equals, value = argument.partition("=")
            deep = any(name.startswith(section) and "." in name[len(section) :] for section in free)
            given = (value if equals else next(left, None)) if deep else None
            if given is None:
                yield argument
                continue
            content = _read_value(given)
            for key in reversed(name[2:].split(".")):
                content = {key: content}
            yield from ("--config", _Content(json.dumps(content, default=str)))

    def known_keys(self) -> list[str]:
        """Full names of all settings, such as `train.lr`."""
        others = ("help", "config", "print_config")
        names = [action.dest for action in self._actions if action.option_strings]
        return [name for name in names if name.rpartition(".")[2] not in others]

    def _unknown_argument(self, argument: str) -> str:
        if not argument.startswith("--"):
            return f"unexpected argument {argument!r}: options have the form --section.key value"
        name = argument[2:].partition("=")[0]
        return f"unknown option --{name}{nearest(name, [*self.known_keys(), 'config', 'print_config', 'help'], '--')}"


class _Content(str):
    """What a configuration file would hold, as JSON."""


class ConfigFile(ActionConfigFile):
    """`--config FILE`: `base` is read first, and a fault is reported with the file's name."""

    def __call__(self, parser: ConfigParser, cfg: Namespace, values: str, option_string: str | None = None) -> None:
        settings = parser.known_keys()
        is_content = isinstance(values, _Content)
        # of the class, for jsonargparse makes parsers of its own for items of lists
        ConfigParser.reading = "" if is_content else values
        try:
            content = json.loads(values) if is_content else read_yaml(values)
            check_keys(content, settings, values)
        except InputError as error:
            parser.error(str(error))
        content = _over_free_sections(content, cfg, settings)
        text = json.dumps(content)
        parser.parse_object(content)  # for its check of the values
        self.apply_config(parser, cfg, self.dest, text)
        ConfigParser.reading = ""


def _over_free_sections(content: Mapping[str, Any], given: Namespace, settings: list[str], prefix: str = "") -> dict:
    """Settings of `content` that are free sections, laid over what is `given`; jsonargparse would replace them."""
    result = dict(content)
    for key, value in content.items():
        name = f"{prefix}{key}"
        below = given.get(name)
        if isinstance(value, Mapping) and (name not in settings or isinstance(below, Namespace)):
            result[key] = _over_free_sections(value, given, settings, f"{name}.")
        elif isinstance(value, Mapping) and isinstance(below, Mapping):
            result[key] = merged(below, value)
    return result


def build_parser(
    sections: Mapping[str, type],
    description: str = "",
    options: Callable[[ArgumentParser], Any] | None = None,
    program: str | None = None,
) -> ConfigParser:
    """A parser with `--config`, `--print_config` and an option for every field of the dataclasses in `sections`.

    Args:
        sections: section name -> dataclass; the fields' docstrings (below the field) are the help.
        options: adds further, top-level options to the parser.
        program: how the help calls the command line; None takes the name of the script.
    """
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    usage = "%(prog)s --config FILE [--SECTION.KEY VALUE ...]"
    style = {"usage": usage, "formatter_class": HelpFormatter, "allow_abbrev": False}
    parser = ConfigParser(prog=program, description=description, **style)
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
    program: str | None = None,
) -> Namespace:
    """Parse the command line; each section of the result is an instance of its dataclass.

    Bad input is one line on standard error and exit status 2.
    """
    parser = build_parser(sections, description, options, program)
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
    result = dict(below)
    for key, value in above.items():
        both_are_sections = isinstance(value, Mapping) and isinstance(below.get(key), Mapping)
        result[key] = merged(below[key], value) if both_are_sections else value
    return result


def check_keys(content: Mapping[str, Any], known: Iterable[str], source: str | Path) -> None:
    """Raise InputError at the first key of `content` that is not among `known` (dotted names)."""
    known = list(known)
    sections = {name.rpartition(".")[0] for name in known}

    def walk(mapping: Mapping[str, Any], prefix: str) -> None:
        for key, value in mapping.items():
            name = f"{prefix}{key}"
            if name in sections and isinstance(value, Mapping):
                walk(value, f"{name}.")
            elif name in sections:
                raise InputError(f"{source}: {name} is {value!r}: it must be a section with keys of its own")
            elif name not in known:
                raise InputError(f"{source}: unknown key {name}{nearest(name, known)}")

    walk(content, "")


def nearest(name: str, known: Iterable[str], dashes: str = "") -> str:
    """': did you mean X?' for the most similar known name, or where to find them all."""
    known = list(known)
    section, _, key = name.rpartition(".")
    siblings = {k.rpartition(".")[2]: k for k in known if k.rpartition(".")[0] == section}
    everywhere = {k.rpartition(".")[2]: k for k in known}
    for candidates in (siblings, everywhere):
        if match := difflib.get_close_matches(key, candidates, 1, 0.6):
            return f": did you mean {dashes}{candidates[match[0]]}?"
    return ": see --help for all settings"


def save_config(config: Mapping[str, Any], path: Path) -> None:
    """Write plain nested values (`dataclasses.asdict` of the sections) as a file that `--config` reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(dict(config), sort_keys=False))


def _read_value(text: str) -> Any:
    """A value of the command line as YAML reads it."""
    try:
        return get_loader("yaml")(text)  # of jsonargparse, which knows 1e-3 as a number
    except yaml.YAMLError:
        return text


def _load(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}: give a YAML configuration file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict | None):
        raise InputError(f"{path} must hold sections with keys, such as 'train:', not {type(content).__name__}")
    return {key: value for key, value in (content or {}).items() if value is not None or key == "base"}
