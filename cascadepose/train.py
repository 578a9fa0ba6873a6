"""The training loop of every stage: `fit(task, config)` returns the best weights.

    python tools/train_prtr.py --stage keypoints --config configs/prtr_keypoints.yaml
    torchrun --nproc_per_node 2 tools/train_prtr.py ...        # or: accelerate launch

A run is a function of its configuration: step n reads the items that `SeededSampler` names for it, the learning rate
is a function of n, and everything else is in `last.pt`. Killed anywhere and started again with the same command, it
ends with the same weights.
"""

import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import send_to_device, set_seed
from torch import nn

from cascadepose.errors import InputError
from cascadepose.files import make_folder
from cascadepose.training.checkpoint import (
    BestWeights,
    random_state,
    remove_partial_files,
    restore_random_state,
    write_weights,
)
from cascadepose.training.ema import EMA
from cascadepose.training.parts import make_accelerator, make_loader, make_optimizer, make_sampler
from cascadepose.training.precision import faster_steps
from cascadepose.training.report import Meter, Report
from cascadepose.training.schedule import Schedule
from cascadepose.training.settings import TrainConfig
from cascadepose.training.state import RunState
from cascadepose.training.stopping import Agreement, Interrupts
from cascadepose.training.task import Task

__all__ = ["Interrupted", "Task", "TrainConfig", "fit"]


class Interrupted(SystemExit):
    """A signal stopped the run, after its state was written; exits with 128 + the signal's number."""


def fit(task: Task, config: TrainConfig) -> Path:
    """Train `task`; returns the best weights, or the last ones if nothing was validated yet.

    Raises:
        InputError: an empty training set, settings that do not fit the run to resume, a loss that is no longer finite.
        Interrupted: after SIGINT or SIGTERM, when the state is on disk.
    """
    loop = Loop(task, config)
    try:
        return loop.run()
    finally:
        loop.close()


class Loop:
    """One run. `state.step` counts finished optimiser steps; the configuration and it say where everything stands."""

    def __init__(self, task: Task, config: TrainConfig):
        self.task, self.config, self.started = task, config, time.monotonic()
        if config.num_threads is not None:
            torch.set_num_threads(config.num_threads)
        self.accelerator = make_accelerator(config)
        self.agreement = Agreement()
        self.is_main, rank = self.accelerator.is_main_process, self.accelerator.process_index

        self.sampler = make_sampler(task, config, self.accelerator)
        self.loader = make_loader(task, config, self.sampler, self.accelerator)
        self.items_per_step = config.batch_size * config.accumulate * self.accelerator.num_processes
        self.steps_per_epoch = self.sampler.length // self.items_per_step
        self.total_steps = config.max_steps or config.epochs * self.steps_per_epoch

        self.plain_model = task.model.to(self.accelerator.device)
        if config.channels_last:
            self.plain_model.to(memory_format=torch.channels_last)
        self.ema = EMA(self.plain_model, config.ema_decay) if config.ema_decay is not None else None
        optimizer = make_optimizer(task, config)
        self.model, self.optimizer = self.accelerator.prepare(self.plain_model, optimizer)
        if self.ema is not None:  # every process has the main one's weights only now
            self.ema.module.load_state_dict(self.plain_model.state_dict())
        self.parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self.schedule = Schedule(optimizer, self.total_steps, self.steps_per_epoch, config)

        self.output_dir = make_folder(config.output_dir)
        self.best = BestWeights(self.output_dir, task.metric, task.mode, config.keep_best)
        self.state = RunState(
            self.output_dir / "last.pt",
            {
                "task": task.name,
                "seed": config.seed,
                "items_per_step": self.items_per_step,
                "steps_per_epoch": self.steps_per_epoch,
            },
            self.plain_model,
            self.ema,
            self.optimizer,
            self.accelerator.scaler,
            self.best,
        )
        set_seed(config.seed + rank)
        self.state.resume(config.resume, rank)
        self.schedule.set(max(self.state.step - 1, 0))  # as the last step left it
        self.saved_at = time.monotonic()
        if self.is_main:
            remove_partial_files(self.output_dir)
        self.meter = Meter()
        self.report = Report(self.output_dir, task.name, self.state.step, self.total_steps, self.items_per_step)
        self.report.open(speak=self.is_main, tensorboard=config.tensorboard)

    def run(self) -> Path:
        """Train to the end of the plan, a time limit, an early stop or a signal."""
        if self.state.step:
            self.report.say(f"resuming {self.state.path} at step {self.state.step} of {self.total_steps}")
        time_is_up = 0
        with Interrupts() as interrupts:
            while not time_is_up:
                if self._validation_due():
                    self._validate()
                if self._plan_is_done():
                    break
                signum, time_is_up = self._train_epoch(interrupts)
                if signum:
                    self._say_where_it_stopped()
                    raise Interrupted(128 + signum)
        return self._finish()

    def close(self) -> None:
        """End workers and logs, and give the model back unwrapped."""
        del self.loader
        self.report.close()
        self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False)
        self.accelerator.free_memory()

    # steps

    def _train_epoch(self, interrupts: Interrupts) -> tuple[int, int]:
        """Train to the end of the epoch, or until a signal or the clock ends it: (signal number or 0, time is up)."""
        epoch, done = divmod(self.state.step, self.steps_per_epoch)
        self.task.new_epoch(epoch)
        self.sampler.set_position(epoch, done * self.items_per_step)
        batches = iter(self.loader)
        self.model.train()
        for _ in range(min(self.steps_per_epoch - done, self.total_steps - self.state.step)):
            self._train_step(batches)
            if self.state.step % self.config.log_every == 0:
                self._log()
            signum, time_is_up, save = self.agreement.maximum(interrupts.signum, self._time_is_up(), self._save_due())
            if signum or time_is_up or save:
                self._save_state()
            if signum or time_is_up:
                return signum, time_is_up
        if self._validation_due() and self.state.saved_step < self.state.step:  # a validation can take long
            self._save_state()
        return 0, 0

    def _train_step(self, batches: Iterator[Any]) -> None:
        number = self.state.step + 1
        for micro in range(1, self.config.accumulate + 1):
            batch = send_to_device(next(batches), self.accelerator.device, non_blocking=True)
            last = micro == self.config.accumulate  # processes exchange gradients only once a step
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                with faster_steps(self.config, self.accelerator.device):
                    losses = self.task.losses(self.model, batch)
                self.accelerator.backward(losses["loss"] / self.config.accumulate)
            self.meter.add(losses, number)
        if self.config.clip_grad_norm is not None:
            norm = self.accelerator.clip_grad_norm_(self.parameters, self.config.clip_grad_norm)
            self.meter.add({"grad_norm": norm}, number)
        self.schedule.set(self.state.step)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.state.step = number
        if self.ema is not None:
            self.ema.update(self.plain_model, number)
        self.report.tick()

    def _log(self) -> None:
        """Report the means since the last time, over all processes; the one place where the loop looks at a loss."""
        if not self.meter.sums:
            return
        reads = self.agreement.gather(self.meter.read())
        values = {name: sum(means[name] for means, _ in reads) / len(reads) for name in reads[0][0]}
        first_bad = min(step for _, step in reads)
        if not math.isinf(first_bad):
            raise InputError(self._not_finite(first_bad, values))
        values["lr"] = self.optimizer.param_groups[0]["lr"]
        self.report.log(self.state.step, self._epochs_begun(), values)

    # validation

    def _validation_due(self) -> bool:
        step = self.state.step
        at_epoch = step % (self.steps_per_epoch * self.config.validate_every) == 0
        return step > self.state.validated_step and (at_epoch or step >= self.total_steps)

    def _validate(self) -> None:
        metrics, save = None, None
        if self.is_main:
            model, before = self._weights_to_use().eval(), random_state()
            with torch.no_grad():
                metrics = self.task.validate(model)
            restore_random_state(before)  # how often one validates does not change what is trained
            info = self._info(metrics)
            save = lambda path: self.task.save(model, path, info)  # noqa: E731
        metrics = self.agreement.from_main(metrics)
        self.state.validated_step = self.state.step
        if metrics:
            improved = self.best.offer(float(metrics[self.task.metric]), self.state.step, save)
            self.state.stale_validations = 0 if improved else self.state.stale_validations + 1
            self.report.validation(self.state.step, self._epochs_begun(), metrics, self.task.metric, improved)
        self._save_state()

    def _weights_to_use(self) -> nn.Module:
        return self.plain_model if self.ema is None else self.ema.module

    def _info(self, metrics: dict[str, float] | None) -> dict[str, Any]:
        """What a weights file says of its origin."""
        run = {"task": self.task.name, "step": self.state.step, "epoch": self._epochs_begun()}
        return {**run, "metrics": metrics, "train": asdict(self.config)}

    # stopping and saving

    def _epochs_begun(self) -> int:
        return max(math.ceil(self.state.step / self.steps_per_epoch), 1)

    def _plan_is_done(self) -> bool:
        patience = self.config.early_stop_patience
        stale = patience is not None and self.state.stale_validations >= patience
        return stale or self.state.step >= self.total_steps

    def _time_is_up(self) -> bool:
        limit = self.config.max_minutes
        return limit is not None and time.monotonic() - self.started >= 60 * limit

    def _save_due(self) -> bool:
        steps, minutes = self.config.checkpoint_every_steps, self.config.checkpoint_every_minutes
        by_steps = steps is not None and self.state.step - self.state.saved_step >= steps
        return by_steps or (minutes is not None and time.monotonic() - self.saved_at >= 60 * minutes)

    def _save_state(self) -> None:
        self._log()  # weights behind a loss that is not finite must not replace good ones
        random_states = self.agreement.gather(random_state())
        self.state.save(random_states if self.is_main else None)
        self.saved_at = time.monotonic()

    def _finish(self) -> Path:
        """Write the last weights and say where everything is."""
        last = self.output_dir / "last.safetensors"
        if self.is_main:
            write_weights(last, lambda path: self.task.save(self._weights_to_use().eval(), path, self._info(None)))
        if self.best.kept:
            score = f"{self.task.metric} {self.best.kept[0].score:.4f} at step {self.best.kept[0].step}"
            self.report.say(f"best weights: {self.best.champion} ({score})")
        self.report.say(f"last weights: {last} (step {self.state.step} of {self.total_steps})")
        self.report.say(f"state to resume from: {self.state.path}; log: {self.output_dir / 'metrics.jsonl'}")
        return self.best.champion if self.best.kept else last

    def _say_where_it_stopped(self) -> None:
        where = f"interrupted at step {self.state.step} of {self.total_steps} (epoch {self._epochs_begun()})"
        self.report.say(f"{where}: state in {self.state.path}; the same command (--train.resume auto) goes on from it")

    def _not_finite(self, step: float, values: dict[str, float]) -> str:
        culprits = ", ".join(name for name, value in values.items() if not math.isfinite(value))
        good = f"the last good state is {self.state.path} of step {self.state.saved_step}"
        saved = good if self.state.saved_step else "no state had been saved"
        return f"{self.task.name}: the loss is not finite at step {step:.0f} ({culprits}): lower train.lr; {saved}"
