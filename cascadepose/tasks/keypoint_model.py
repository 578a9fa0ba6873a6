"""The stage that keypoint training starts with: fresh, or from weights whose joints may be others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from cascadepose.errors import InputError
from cascadepose.models.keypoints import KeypointEstimator
from cascadepose.skeletons import declaration, find_skeleton, stated_skeleton
from cascadepose.tasks.common import take_over

if TYPE_CHECKING:
    from cascadepose.tasks.keypoints import KeypointTaskConfig

Weights = str | Sequence[str] | Mapping[str, float]

HEAD, QUERIES = "transformer.class_embed.", "transformer.query_embed.weight"


def start_model(config: KeypointTaskConfig) -> tuple[KeypointEstimator, KeypointEstimator | None]:
    """The stage that `config` describes, not yet filled, and that of `config.initial_weights`, which it is like where
    `config.model` says nothing. Raises InputError for what does not go together.
    """
    source = None if config.initial_weights is None else load_stage(config.initial_weights)
    arguments: dict[str, Any] = config.model or ({} if source is None else source.config)
    if config.skeleton is not None:
        arguments = arguments | {"skeleton": declaration(find_skeleton(config.skeleton))}
    try:
        return KeypointEstimator(**_for_joints(arguments)), source
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(f"task.model: the keypoint stage cannot be built from it: {error}") from None


def fill(model: KeypointEstimator, source: KeypointEstimator, weights: Weights, new_parts: Sequence[str] = ()) -> None:
    """Take over the weights of another stage. Joints with the same name keep what is known of them, new ones start
    fresh, as do the modules named in `new_parts`. Raises InputError where anything else differs.
    """
    tensors = source.state_dict()
    if model.skeleton.names != source.skeleton.names:
        tensors |= _by_name(model, source, tensors, model.state_dict())
    take_over(model, tensors, weights if isinstance(weights, str) else ", ".join(weights), new_parts)


def load_stage(weights: Weights) -> KeypointEstimator:
    """The keypoint stage of a weights file, which may be a whole PRTR's, or the mean of several; in training mode."""
    from cascadepose.packaging import mean_of_weights

    return mean_of_weights([weights] if isinstance(weights, str) else weights).train()


def _for_joints(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments with one query a joint where queries are joints, so that only the joint set need be named."""
    transformer = dict(arguments.get("transformer", {}))
    if arguments.get("skeleton") is None:
        return arguments
    transformer.pop("num_joints", None)
    if transformer.get("matching") == "ordered":
        transformer["num_queries"] = stated_skeleton(arguments["skeleton"]).num_joints
    return arguments | {"transformer": transformer}


def _by_name(
    model: KeypointEstimator, source: KeypointEstimator, tensors: dict[str, Tensor], own: dict[str, Tensor]
) -> dict[str, Tensor]:
    """What belongs to joints: classes (the last is "no joint") and, where each joint has its query, queries."""
    known = source.skeleton.names
    pairs = [(index, known.index(name)) for index, name in enumerate(model.skeleton.names) if name in known]
    to, of = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).unbind(1)
    moved = {}
    for name in (f"{HEAD}weight", f"{HEAD}bias", QUERIES):
        moved[name] = own[name].clone()
        if name == QUERIES and "hungarian" in (model.transformer.matching, source.transformer.matching):
            moved[name] = tensors[name]
            continue
        moved[name][to] = tensors[name][of]
        if name != QUERIES:
            moved[name][-1] = tensors[name][-1]
    return moved
