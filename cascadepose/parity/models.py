"""Official models: tensors -> conversion -> strict fill -> forward."""

from __future__ import annotations

from pathlib import Path

import torch

from cascadepose.checkpoints import Checkpoint
from cascadepose.conversion import translate
from cascadepose.errors import InputError
from cascadepose.parity.cases import Case
from cascadepose.parity.compare import NORMALISED, Comparison, compare
from cascadepose.parity.fill import official_state_dict


def is_model(case: Case) -> bool:
    """Whether a case lists the tensors of a model; criteria list the weights of their classes alone."""
    return any(entry[0] != "empty_weight" for entry in case.description.get("state_dict") or ())


@torch.inference_mode()
def check_model(case: Case) -> list[Comparison]:
    """Every official output, and the number of parameters. Raises InputError for an output that is not answered."""
    checkpoint = Checkpoint(Path(case.name), official_state_dict(case.description))
    translation = translate(checkpoint, hints=case.config)
    answers = translation.family.run(translation.build(), case.inputs)
    wanted = {name: value for name, value in case.outputs.items() if not _is_placeholder(value)}
    if missing := [name for name in wanted if name not in answers]:
        raise InputError(f"{translation.family.name} does not answer {', '.join(missing)}")
    return [compare(name, answers[name], theirs, case.tolerance(name, NORMALISED)) for name, theirs in wanted.items()]


def _is_placeholder(value) -> bool:
    """One zero: the official code gave no such output in this case."""
    return value.shape == (1,) and value[0] == 0
