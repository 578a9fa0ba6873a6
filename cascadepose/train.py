"""The training loop of every stage: `fit(task, config)` returns the best weights.

    python tools/train_prtr.py --stage keypoints --config configs/prtr_keypoints.yaml
    torchrun --nproc_per_node 2 tools/train_prtr.py ...        # or: accelerate launch

A run is a pure function of its configuration: step n reads the items that `SeededSampler` names for it, the learning rate is a function
of n, and everything else is in `last.pt`. Killed anywhere and started again with the same command, it ends with the same weights.
"""

import math
import multiprocessing
import time
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState
from accelerate.utils import send_to_device, set_seed
from torch import nn
from torch.utils.data import DataLoader

from cascadepose.data.sampling import SeededSampler
from cascadepose.errors import InputError
from cascadepose.training.checkpoint import (
    BestWeights,
    load_state,
    random_state,
    restore_random_state,
    save_state,
    write_atomically,
)
from cascadepose.training.ema import EMA
from cascadepose.training.report import Meter, Report
from cascadepose.training.schedule import Schedule
from cascadepose.training.settings import TrainConfig
from cascadepose.training.stopping import Agreement, Interrupts, quiet_worker
from cascadepose.training.task import Task

__all__ = ["Interrupted", "Task", "TrainConfig", "fit"]


class Interrupted(SystemExit):
    """The run was stopped by a signal, after its state was written; exits with 128 + the signal's number."""


def fit(task: Task, config: TrainConfig) -> Path:
    """Train `task`; returns the best weights, or the last ones if nothing was validated yet.

    Raises:
        InputError: an empty training set, settings that do not fit the run to resume, or a loss that is no longer finite.
        Interrupted: after SIGINT or SIGTERM, when the state is on disk.
    """
    loop = Loop(task, config)
    try:
        return loop.run()
    finally:
        loop.close()


class Loop:
    """One run. `step` counts finished optimiser steps, and with the configuration says where everything else stands."""

    def __init__(self, task: Task, config: TrainConfig):
        self.task, self.config, self.started = task, config, time.monotonic()
        if config.num_threads is not None:
            torch.set_num_threads(config.num_threads)
        self.accelerator = _accelerator(config)
        self.agreement = Agreement()
        self.output_dir = Path(config.output_dir)
        self.output_dir.mkdir(parents=True, exist_ok=True)
        self.state_path = self.output_dir / "last.pt"

        world_size, rank = self.accelerator.num_processes, self.accelerator.process_index
        self.items_per_step = config.batch_size * config.accumulate * world_size
        self.sampler = SeededSampler(
            len(task.train_set),
            config.seed,
            task.sample_weights,
            task.epoch_length,
            self.items_per_step,
            rank,
            world_size,
        )
        self.loader = _loader(task, config, self.sampler, self.accelerator.device)
        self.steps_per_epoch = self.sampler.length // self.items_per_step
        self.total_steps = config.max_steps or config.epochs * self.steps_per_epoch

        self.plain_model = task.model.to(memory_format=torch.channels_last) if config.channels_last else task.model
        self.plain_model.to(self.accelerator.device)
        self.ema = EMA(self.plain_model, config.ema_decay) if config.ema_decay is not None else None
        groups = task.parameter_groups(config.lr, config.weight_decay)
        optimizer = torch.optim.AdamW(groups, lr=config.lr, weight_decay=config.weight_decay, fused=True)
        self.model, self.optimizer = self.accelerator.prepare(self.plain_model, optimizer)
        if self.ema is not None:  # every process now has the main one's weights
            self.ema.module.load_state_dict(self.plain_model.state_dict())
        self.schedule = Schedule(optimizer, self.total_steps, config.warmup_steps, config.min_lr_ratio, config.schedule)
        self.parameters = [p for group in optimizer.param_groups for p in group["params"]]

        self.step = self.validated_step = self.stale_validations = 0
        self.saved_step, self.saved_at = 0, time.monotonic()
        self.best = BestWeights(self.output_dir, task.metric, task.mode, config.keep_best)
        set_seed(config.seed + rank)
        self._resume()
        self.meter = Meter()
        self.report = Report(
            self.output_dir,
            task.name,
            self.step,
            self.total_steps,
            self.items_per_step,
            config.tensorboard,
            self.accelerator.is_main_process,
        )

    @property
    def epoch(self) -> int:
        """Epochs begun, 1 for the first."""
        return max(math.ceil(self.step / self.steps_per_epoch), 1)

    def run(self) -> Path:
        """Train to the end of the plan, a time limit, an early stop or a signal."""
        if self.step:
            self.report.say(f"resuming {self.state_path} at step {self.step} of {self.total_steps}")
        with Interrupts() as interrupts:
            time_is_up = False
            while not time_is_up:
                if self._validation_due():
                    self._validate()
                patience = self.config.early_stop_patience
                if self.step >= self.total_steps or (patience is not None and self.stale_validations >= patience):
                    break
                signum, time_is_up = self._train_epoch(interrupts)
                if signum:
                    self._say_where_it_stopped()
                    raise Interrupted(128 + signum)
        return self._finish()

    def close(self) -> None:
        """End workers, logs and the wrapping of the model."""
        self.loader._iterator = None  # persistent workers end with it
        self.report.close()
        self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False)
        self.accelerator.free_memory()

    def _train_epoch(self, interrupts: Interrupts) -> tuple[int, int]:
        """Train to the end of the epoch or until something ends it early: (signal number or 0, whether the time is up)."""
        epoch, done = divmod(self.step, self.steps_per_epoch)
        self.task.new_epoch(epoch)
        self.sampler.set_position(epoch, done * self.items_per_step)
        batches = iter(self.loader)
        self.model.train()
        for _ in range(min(self.steps_per_epoch - done, self.total_steps - self.step)):
            self._train_step(batches)
            if self.step % self.config.log_every == 0:
                self._log()
            signum, time_is_up, save = self.agreement.maximum(interrupts.signum, self._time_is_up(), self._save_due())
            if signum or time_is_up or save:
                self._save_state()
            if signum or time_is_up:
                return signum, time_is_up
        if self._validation_due():  # a validation can take long
            self._save_state()
        return 0, 0

    def _train_step(self, batches: Any) -> None:
        for micro in range(1, self.config.accumulate + 1):
            batch = send_to_device(next(batches), self.accelerator.device, non_blocking=True)
            with nullcontext() if micro == self.config.accumulate else self.accelerator.no_sync(self.model):
                losses = self.task.losses(self.model, batch)
                self.accelerator.backward(losses["loss"] / self.config.accumulate)
            self.meter.add(losses, self.step + 1)
        if self.config.clip_grad_norm is not None:
            norm = self.accelerator.clip_grad_norm_(self.parameters, self.config.clip_grad_norm)
            self.meter.add({"grad_norm": norm}, self.step + 1)
        self.schedule.set(self.step)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        if self.ema is not None:
            self.ema.update(self.plain_model, self.step)
        self.report.tick()

    def _log(self) -> None:
        """Report the means since the last time, over all processes; the one place where the loop looks at a loss."""
        if not self.meter.sums:
            return
        reads = self.agreement.gather(self.meter.read())
        values = {name: sum(means[name] for means, _ in reads) / len(reads) for name in reads[0][0]}
        first_bad = min(first for _, first in reads)
        if not math.isinf(first_bad):
            saved = (
                f"the last good state is {self.state_path}, step {self.saved_step}"
                if self.saved_step
                else "no state was saved before it"
            )
            culprits = ", ".join(name for name, value in values.items() if not math.isfinite(value))
            raise InputError(
                f"{self.task.name}: the loss is not finite at step {first_bad:.0f} ({culprits}): lower train.lr; {saved}"
            )
        self.report.log(self.step, self.epoch, {**values, "lr": self.optimizer.param_groups[0]["lr"]})

    def _validation_due(self) -> bool:
        at_epoch = self.step % (self.steps_per_epoch * self.config.validate_every) == 0
        return self.step > self.validated_step and (at_epoch or self.step >= self.total_steps)

    def _validate(self) -> None:
        model, metrics = self._weights_to_use(), None
        if self.accelerator.is_main_process:
            model.eval()
            with torch.no_grad():
                metrics = self.task.validate(model)
        metrics = self.agreement.from_main(metrics)
        info = self._info(metrics)
        save = (lambda path: self.task.save(model, path, info)) if self.accelerator.is_main_process else None
        improved = self.best.offer(float(metrics[self.task.metric]), self.step, save)
        self.stale_validations = 0 if improved else self.stale_validations + 1
        self.validated_step = self.step
        self.report.validation(self.step, self.epoch, metrics, self.task.metric, improved)
        self._save_state()

    def _weights_to_use(self) -> nn.Module:
        return self.plain_model if self.ema is None else self.ema.module

    def _info(self, metrics: dict[str, float] | None) -> dict[str, Any]:
        """What a weights file says of its origin."""
        return {
            "task": self.task.name,
            "step": self.step,
            "epoch": self.epoch,
            "metrics": metrics,
            "train": asdict(self.config),
        }

    def _time_is_up(self) -> bool:
        limit = self.config.max_minutes
        return limit is not None and time.monotonic() - self.started >= 60 * limit

    def _save_due(self) -> bool:
        steps, minutes = self.config.checkpoint_every_steps, self.config.checkpoint_every_minutes
        by_steps = steps is not None and self.step - self.saved_step >= steps
        return by_steps or (minutes is not None and time.monotonic() - self.saved_at >= 60 * minutes)

    def _plan(self) -> dict[str, int]:
        """What must not change between a run and its continuation, for a step to mean the same in both."""
        return {
            "items_per_step": self.items_per_step,
            "steps_per_epoch": self.steps_per_epoch,
            "seed": self.config.seed,
        }

    def _save_state(self) -> None:
        """Write everything that the next step depends on to `last.pt`."""
        self._log()  # weights behind a loss that is not finite must not replace good ones
        random_states = self.agreement.gather(random_state())
        if self.accelerator.is_main_process:
            scaler = self.accelerator.scaler
            state = {
                "task": self.task.name,
                "plan": self._plan(),
                "step": self.step,
                "validated_step": self.validated_step,
                "stale_validations": self.stale_validations,
                "best": self.best.state_dict(),
                "model": self.plain_model.state_dict(),
                "ema": None if self.ema is None else self.ema.module.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": None if scaler is None else scaler.state_dict(),
                "random": random_states,
            }
            save_state(self.state_path, state)
            self.best.prune()
        self.saved_step, self.saved_at = self.step, time.monotonic()

    def _resume(self) -> None:
        """Go on where `last.pt` stands, if the configuration asks for it and it exists."""
        found, wanted = self.state_path.exists(), self.config.resume
        if wanted is True and not found:
            raise InputError(f"{self.state_path} does not exist: nothing to resume; train.resume=auto starts a new run")
        if wanted is False and found:
            raise InputError(
                f"{self.state_path} holds a run: continue it with train.resume=auto, or choose another train.output_dir"
            )
        if not found:
            return
        state = load_state(self.state_path)
        if state["task"] != self.task.name or state["plan"] != self._plan():
            theirs, ours = {"task": state["task"], **state["plan"]}, {"task": self.task.name, **self._plan()}
            changed = ", ".join(
                f"{name} was {theirs[name]}, is {ours[name]}" for name in ours if theirs.get(name) != ours[name]
            )
            raise InputError(
                f"{self.state_path} belongs to another run ({changed}): restore the setting, or choose another train.output_dir"
            )
        fresh_groups = [{k: v for k, v in group.items() if k != "params"} for group in self.optimizer.param_groups]
        try:
            self.plain_model.load_state_dict(state["model"])
            if self.ema is not None:  # a run that averages only from now on starts from the trained weights
                self.ema.module.load_state_dict(state["ema"] or state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"{self.state_path} does not fit the model of the task section: {' '.join(str(error).split())[:300]}"
            ) from error
        for group, fresh in zip(self.optimizer.param_groups, fresh_groups, strict=True):
            group.update(fresh)  # the configuration of today decides rates and decays
        if self.accelerator.scaler is not None and state["scaler"] is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.step, self.validated_step, self.stale_validations = (
            state["step"],
            state["validated_step"],
            state["stale_validations"],
        )
        self.saved_step = self.step
        self.best.load_state_dict(state["best"])
        restore_random_state(state["random"][self.accelerator.process_index % len(state["random"])])

    def _say_where_it_stopped(self) -> None:
        self.report.say(
            f"interrupted at step {self.step} of {self.total_steps} (epoch {self.epoch}): state in {self.state_path}; "
            "the same command with --train.resume auto goes on from there"
        )

    def _finish(self) -> Path:
        """Write the last weights and say where everything is."""
        last = self.output_dir / "last.safetensors"
        if self.accelerator.is_main_process:
            write_atomically(last, lambda path: self.task.save(self._weights_to_use(), path, self._info(None)))
        best = self.best.kept[0] if self.best.kept else None
        if best is not None:
            self.report.say(
                f"best weights  {self.best.champion}  ({self.task.metric} {best.score:.4f} at step {best.step})"
            )
        self.report.say(f"last weights  {last}  (step {self.step} of {self.total_steps})")
        self.report.say(f"state to resume from  {self.state_path}; logs  {self.output_dir / 'metrics.jsonl'}")
        return last if best is None else self.best.champion


def _accelerator(config: TrainConfig) -> Accelerator:
    # accelerate keeps one global state; a second run in this process may ask for another precision
    AcceleratorState._reset_state(reset_partial_state=not torch.distributed.is_initialized())
    if config.mixed_precision == "fp16" and (config.device == "cpu" or not torch.cuda.is_available()):
        raise InputError("train.mixed_precision=fp16 needs a GPU: use bf16 or no")
    unused = DistributedDataParallelKwargs(find_unused_parameters=config.find_unused_parameters)
    return Accelerator(mixed_precision=config.mixed_precision, cpu=config.device == "cpu", kwargs_handlers=[unused])


def _loader(task: Task, config: TrainConfig, sampler: SeededSampler, device: torch.device) -> DataLoader:
    workers = config.num_workers
    fork = (
        "fork" if workers and "fork" in multiprocessing.get_all_start_methods() else None
    )  # data sets are shared, not pickled
    return DataLoader(
        task.train_set,
        batch_size=config.batch_size,
        sampler=sampler,
        collate_fn=task.collate,
        num_workers=workers,
        worker_init_fn=quiet_worker,
        multiprocessing_context=fork,
        persistent_workers=workers > 0,
        prefetch_factor=4 if workers else None,
        pin_memory=device.type == "cuda",
        generator=torch.Generator().manual_seed(
            config.seed
        ),  # its own: starting an epoch must not advance the model's dropout
    )
