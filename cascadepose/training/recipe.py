"""A recipe: several stages trained one after another, and what becomes of them, in one file.

    steps:
      - {stage: detector, config: prtr_detector_small.yaml}
      - {stage: keypoints, config: prtr_keypoints_small.yaml, options: [--train.batch_size, "64"]}
    package:
      {detector: runs/detector/best.safetensors, keypoints: runs/keypoints/best.safetensors, out: prtr.safetensors, ...}

Configurations are named relative to the recipe; `package` may be a list, for several files. A run that was stopped goes
on where it stopped, in the step where it stopped: steps that are finished find their last state and end at once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

from cascadepose.config import nearest, read_yaml
from cascadepose.errors import InputError
from cascadepose.packaging import package_prtr
from cascadepose.training.stages import STAGES, train

_DATA = ("annotations", "images", "background", "backbone_weights")  # keys of files that are there before a recipe
_NO_DATA_NEEDED = ("--task.", "--print_config", "--help")  # options that name other data, or train nothing


@dataclass(frozen=True)
class Step:
    """One stage with its configuration and the options that are laid over it."""

    stage: str
    config: Path
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """Steps in order; packages: arguments of `package_prtr` for every file, none to stop with the last step."""

    steps: tuple[Step, ...]
    packages: tuple[Mapping[str, Any], ...]


def is_recipe(path: str | Path) -> bool:
    """Whether a configuration file lists steps. Raises InputError for a file that cannot be read."""
    return "steps" in read_yaml(path)


def read_recipe(path: str | Path) -> Recipe:
    """The recipe of a file. Raises InputError for unknown keys and stages, and configurations that are not there."""
    content = read_yaml(path)
    _known(content, ("steps", "package"), path)
    steps = []
    for entry in content.get("steps") or []:
        _known(entry, ("stage", "config", "options"), path)
        if entry.get("stage") not in STAGES:
            raise InputError(f"{path}: stage {entry.get('stage')!r}{nearest(str(entry.get('stage')), STAGES)}")
        config = Path(path).parent / str(entry.get("config"))
        if not config.is_file():
            raise InputError(f"{config}: no such configuration; {path} names it")
        steps.append(Step(entry["stage"], config, tuple(map(str, entry.get("options", ())))))
    if not steps:
        raise InputError(f"{path}: has no steps; list at least one with its stage and config")
    packages = content.get("package") or []
    packages = packages if isinstance(packages, list) else [packages]
    for package in packages:
        _known(package, signature(package_prtr).parameters, path)
    return Recipe(tuple(steps), tuple(packages))


def check_data(recipe: Recipe) -> None:
    """Raises InputError where something that a step learns from, or is validated by, is not there."""
    for step in recipe.steps:
        task = read_yaml(step.config).get("task") or {}
        sections = [task, *(task.get("sources") or ()), task.get("validation") or {}]
        named = [section[key] for section in sections for key in _DATA if section.get(key) is not None]
        if missing := [path for path in named if not Path(path).exists()]:
            raise InputError(f"{missing[0]}: {step.config} needs it, but it is missing; see docs/training.md")


def follow(path: str | Path, options: Sequence[str] = ()) -> Path:
    """Train every step, `options` laid over each, and package the results; returns the file of the last weights.

    Raises InputError before the first step where data of a later one are missing.
    """
    recipe = read_recipe(path)
    if not any(option.startswith(_NO_DATA_NEEDED) for option in options):
        check_data(recipe)
    best = Path()
    for number, step in enumerate(recipe.steps, 1):
        if _first():
            print(f"step {number} of {len(recipe.steps)}: {step.stage}, {step.config}", flush=True)
        best = train(step.stage, ["--config", str(step.config), *step.options, *options])
    for package in recipe.packages if _first() else ():
        best = package_prtr(**package)
        print(f"packaged: {best}")
    return best


def _known(content: Any, names: Any, path: str | Path) -> None:
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: {content!r} must be a section with keys: {', '.join(names)}")
    for name in content:
        if name not in names:
            raise InputError(f"{path}: unknown key {name}{nearest(name, names)}")


def _first() -> bool:
    return int(os.environ.get("RANK", 0)) == 0
