"""A joint set of one's own, declared in a small YAML or JSON file (docs/custom_data.md) or as the same in a dictionary.

    hand = find_skeleton("hand.yaml")       # or the name of a known set

The declaration travels in the weights and results that are made with it, so that they need no file.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cascadepose.errors import InputError
from cascadepose.files import read_json
from cascadepose.skeletons.conversions import by_means
from cascadepose.skeletons.joint_sets import SKELETONS
from cascadepose.skeletons.skeleton import Skeleton

__all__ = ["declaration", "declare", "find_skeleton", "stated_skeleton"]

KEYS = ("name", "names", "parents", "flip_pairs", "edges", "sigmas", "conversions")
SUFFIXES = (".yaml", ".yml", ".json")
MODEL_SETS = {17: SKELETONS["coco17"], 16: SKELETONS["mpii16"]}  # of models that do not say what their joints are


def find_skeleton(wanted: str | Path | Mapping[str, Any] | Skeleton) -> Skeleton:
    """The joint set of this name, in this file, or of this declaration. Raises InputError."""
    if isinstance(wanted, Skeleton):
        return wanted
    if isinstance(wanted, Mapping):
        return declare(wanted)
    if wanted in SKELETONS:
        return SKELETONS[wanted]
    path = Path(wanted).expanduser()
    if path.suffix.lower() in SUFFIXES:
        return declare(_read(path), str(path), path.stem)
    near = difflib.get_close_matches(str(wanted), SKELETONS, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise InputError(
        f"no joint set is named {str(wanted)!r}: {hint}known: {', '.join(SKELETONS)}; a .yaml or .json file that "
        "declares another one works too"
    )


def stated_skeleton(stated: str | Mapping[str, Any] | None, num_joints: int | None = None) -> Skeleton:
    """The joint set that a model states; where it states none, the one of so many joints (default: COCO-17).

    Joints of a number that is no known model's have numbers for names. Raises InputError for a joint set of another
    number, and as `find_skeleton`.
    """
    if stated is None:
        count = 17 if num_joints is None else num_joints
        names = tuple(f"joint_{index}" for index in range(count))
        return MODEL_SETS.get(count) or Skeleton(f"joints{count}", names, (-1,) * count, (), ())
    skeleton = find_skeleton(stated)
    if num_joints not in (None, skeleton.num_joints):
        raise InputError(
            f"{skeleton.name} has {skeleton.num_joints} joints, the model {num_joints}: leave num_joints out"
        )
    return skeleton


def declaration(skeleton: Skeleton) -> str | dict[str, Any]:
    """What `find_skeleton` makes the same joint set of: the name of a known one, else all there is in plain values."""
    if SKELETONS.get(skeleton.name) == skeleton:
        return skeleton.name
    stated: dict[str, Any] = {
        "name": skeleton.name,
        "names": list(skeleton.names),
        "parents": list(skeleton.parents),
        "flip_pairs": [list(pair) for pair in skeleton.flip_pairs],
        "edges": [list(edge) for edge in skeleton.edges],
    }
    if skeleton.sigmas is not None:
        stated["sigmas"] = list(skeleton.sigmas)
    if skeleton.conversions:
        stated["conversions"] = {target: dict(table) for target, table in skeleton.conversions}
    return stated


def declare(content: Mapping[str, Any], source: str = "joint set", name: str | None = None) -> Skeleton:
    """A skeleton of its declaration; joints are named, or numbered from 0.

    content: `names`; optional `name`, `parents` (a mapping of joint to parent, or a list with one a joint, null for
        none), `flip_pairs`, `edges` (default: every joint with its parent), `sigmas` (one number, a list, or a
        mapping), `conversions` (name of a known set -> its joints that have no namesake here -> what they are the mean
        of).
    source: what an error names. name: where the content has none.

    Raises InputError for unknown keys and joints, doubles, sigmas that are no positive numbers, and conversions that
    leave joints open.
    """
    if unknown := [key for key in content if key not in KEYS]:
        near = difflib.get_close_matches(str(unknown[0]), KEYS, n=1)
        raise InputError(f"{source}: has no key {unknown[0]!r}; {f'did you mean {near[0]!r}?' if near else KEYS}")
    names = _names(content.get("names"), source)
    name = str(content.get("name", name or "custom"))
    parents = _parents(content.get("parents"), names, source)
    edges = content.get("edges")
    edges = (
        [(p, j) for j, p in enumerate(parents) if p >= 0] if edges is None else _pairs(edges, "edges", names, source)
    )
    flips = _pairs(content.get("flip_pairs") or [], "flip_pairs", names, source)
    _check_flips(flips, names, source)
    sigmas = _sigmas(content.get("sigmas"), names, source)
    plain = Skeleton(name, names, parents, tuple(flips), tuple(edges), sigmas)
    found = Skeleton(
        *(name, names, parents, plain.flip_pairs, plain.edges, sigmas),
        _conversions(content.get("conversions") or {}, plain, source),
    )
    if SKELETONS.get(name, found) != found:
        raise InputError(f"{source}: {name!r} is the name of a known joint set; give it another name")
    return found


def _read(path: Path) -> Mapping[str, Any]:
    if path.suffix.lower() == ".json":
        content = read_json(path, "joint set")
    else:
        import yaml

        try:
            content = yaml.safe_load(path.read_text("utf-8"))
        except FileNotFoundError:
            raise InputError(f"{path}: no such joint set; check the path") from None
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise InputError(f"{path}: is no YAML file ({' '.join(str(error).split())}); correct it") from None
    if not isinstance(content, Mapping):
        raise InputError(
            f"{path}: declares no joint set; expected `names:` with a list of joints, see docs/custom_data.md"
        )
    return content


def _names(value: Any, source: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not value or not all(isinstance(name, str) for name in value):
        raise InputError(f"{source}: needs `names`, the list of its joints' names")
    wrong = [name for name in value if not name or name.split() != [name] or list(value).count(name) > 1]
    if wrong:
        raise InputError(f"{source}: joint {wrong[0]!r} is named twice, or by words with spaces; give each one word")
    return tuple(value)


def _joint(value: Any, what: str, names: tuple[str, ...], source: str) -> int:
    """The index of a joint that is named or numbered."""
    if value in names:
        return names.index(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(names):
        return value
    raise InputError(f"{source}: {what} names the joint {value!r}, which is not there; joints: {', '.join(names)}")


def _parents(value: Any, names: tuple[str, ...], source: str) -> tuple[int, ...]:
    if value is None:
        value = {}
    if isinstance(value, Mapping):
        given = {_joint(joint, "parents", names, source): parent for joint, parent in value.items()}
        value = [given.get(index) for index in range(len(names))]
    if not isinstance(value, list | tuple) or len(value) != len(names):
        raise InputError(f"{source}: parents must be {len(names)} joints, one a joint, or a mapping of joint to parent")
    parents = [-1 if parent in (None, -1) else _joint(parent, "parents", names, source) for parent in value]
    for joint, parent in enumerate(parents):
        for _ in names:  # every way up ends within as many steps as there are joints
            parent = parents[parent] if parent >= 0 else -1
        if parent >= 0:
            raise InputError(f"{source}: {names[joint]} is its own ancestor; parents must lead to a joint without one")
    return tuple(parents)


def _pairs(value: Any, what: str, names: tuple[str, ...], source: str) -> list[tuple[int, int]]:
    if not isinstance(value, list | tuple) or any(not isinstance(p, list | tuple) or len(p) != 2 for p in value):
        raise InputError(f"{source}: {what} must be a list of pairs of joints, such as [[{names[0]}, {names[-1]}]]")
    return [(_joint(a, what, names, source), _joint(b, what, names, source)) for a, b in value]


def _check_flips(pairs: Iterable[tuple[int, int]], names: tuple[str, ...], source: str) -> None:
    """Every joint at most once, and nobody forgotten whose name says that it has a counterpart."""
    flat = [joint for pair in pairs for joint in pair]
    if len(set(flat)) < len(flat):
        raise InputError(f"{source}: a joint is in two flip_pairs, or its own counterpart")
    for name in names:
        other = name.replace("left", "right")
        if other != name and other in names and names.index(name) not in flat:
            raise InputError(f"{source}: {name} and {other} are in no flip_pairs, but a mirrored image exchanges them")


def _sigmas(value: Any, names: tuple[str, ...], source: str) -> tuple[float, ...] | None:
    if value is None:
        return None
    if isinstance(value, Mapping):
        given = {_joint(joint, "sigmas", names, source): sigma for joint, sigma in value.items()}
        value = [given.get(index) for index in range(len(names))]
    value = [value] * len(names) if isinstance(value, int | float) else value
    if not isinstance(value, list | tuple) or len(value) != len(names) or not all(map(_positive, value)):
        raise InputError(f"{source}: sigmas must be positive numbers, one for all or {len(names)}, one a joint")
    return tuple(float(sigma) for sigma in value)


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _conversions(value: Any, skeleton: Skeleton, source: str) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    if not isinstance(value, Mapping) or not all(isinstance(table, Mapping) for table in value.values()):
        raise InputError(f"{source}: conversions must be a mapping of known joint sets, each a mapping of joints")
    tables = []
    for target, table in value.items():
        if target not in SKELETONS:
            raise InputError(f"{source}: converts to {target!r}, which is none of: {', '.join(SKELETONS)}")
        known = SKELETONS[target]
        if wrong := [joint for joint in table if joint not in known.names]:
            raise InputError(f"{source}: converts to {wrong[0]!r}, no joint of {target}: {', '.join(known.names)}")
        flat = {joint: " ".join([of] if isinstance(of, str) else map(str, of)) for joint, of in table.items()}
        try:
            by_means(skeleton, known, flat, mean_scores=False)
        except InputError as error:
            raise InputError(f"{source}: conversion to {target}: {error}") from None
        tables.append((target, tuple(flat.items())))
    return tuple(tables)
