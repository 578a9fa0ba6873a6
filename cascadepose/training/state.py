"""Everything that the next step of a run depends on, in one file."""

from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from cascadepose.errors import InputError
from cascadepose.training.checkpoint import BestWeights, load_state, restore_random_state, save_state
from cascadepose.training.ema import EMA


class RunState:
    """The parts of a run that change with its steps, and `last.pt`, where they are kept.

    Args:
        path: the file to resume from.
        identity: what must be the same in a run and its continuation, for a step to mean the same in both.
        model, ema, optimizer, scaler, best: the parts, restored in place; ema and scaler may be None.
    """

    def __init__(
        self,
        path: Path,
        identity: dict[str, Any],
        model: nn.Module,
        ema: EMA | None,
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler | None,
        best: BestWeights,
    ):
        self.path, self.identity = path, identity
        self.model, self.ema, self.optimizer, self.scaler, self.best = model, ema, optimizer, scaler, best
        self.step = 0  # optimiser steps done
        self.validated_step = 0  # the step of the last validation
        self.stale_validations = 0  # validations since the last best
        self.saved_step = 0  # the step that the file holds

    def save(self, random_states: list[dict[str, Any]] | None) -> None:
        """Write the file; `random_states` are those of all processes, None on the processes that write nothing."""
        self.saved_step = self.step
        if random_states is None:
            return
        state = {
            "identity": self.identity,
            "step": self.step,
            "validated_step": self.validated_step,
            "stale_validations": self.stale_validations,
            "best": self.best.state_dict(),
            "model": self.model.state_dict(),
            "ema": None if self.ema is None else self.ema.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
            "random": random_states,
        }
        save_state(self.path, state)
        self.best.prune()

    def resume(self, mode: bool | Literal["auto"], rank: int) -> None:
        """Go on where the file stands, if it exists.

        Raises:
            InputError: `mode` is True without a file or False with one, or the file belongs to another run or model.
        """
        found = self.path.exists()
        if mode is True and not found:
            raise InputError(f"{self.path} does not exist: nothing to resume; train.resume=auto starts a new run")
        if mode is False and found:
            remedy = "continue it with train.resume=auto, or choose another train.output_dir"
            raise InputError(f"{self.path} already holds a run: {remedy}")
        if found:
            self._restore(load_state(self.path), rank)

    def _restore(self, state: dict[str, Any], rank: int) -> None:
        theirs = state.get("identity", {})
        changed = [f"{k} was {theirs.get(k)}, is {v}" for k, v in self.identity.items() if theirs.get(k) != v]
        if changed:
            remedy = "restore the setting, or choose another train.output_dir"
            raise InputError(f"{self.path} belongs to another run ({', '.join(changed)}): {remedy}")
        try:
            self.model.load_state_dict(state["model"])
            if self.ema is not None:  # a run that averages only from now on starts at the trained weights
                self.ema.module.load_state_dict(state["ema"] or state["model"])
            self._restore_optimizer(state["optimizer"])
        except (RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:300]
            raise InputError(f"{self.path} does not fit the model of the task section: {reason}") from error
        if self.scaler is not None and state["scaler"] is not None:
            self.scaler.load_state_dict(state["scaler"])
        self.step = self.saved_step = state["step"]
        self.validated_step, self.stale_validations = state["validated_step"], state["stale_validations"]
        self.best.load_state_dict(state["best"])
        restore_random_state(state["random"][rank % len(state["random"])])

    def _restore_optimizer(self, state: dict[str, Any]) -> None:
        """Moments from the file; rates and decays from today's configuration."""
        settings = [{k: v for k, v in group.items() if k != "params"} for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(state)
        for group, todays in zip(self.optimizer.param_groups, settings, strict=True):
            group.update(todays)
