"""What a run is assembled from: the accelerator, the data loader, the optimiser."""

import multiprocessing

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState
from torch.utils.data import DataLoader

from cascadepose.data.sampling import SeededSampler
from cascadepose.errors import InputError
from cascadepose.training.settings import TrainConfig
from cascadepose.training.stopping import quiet_worker
from cascadepose.training.task import Task


def make_accelerator(config: TrainConfig) -> Accelerator:
    """The device, its precision, and the processes that share the run."""
    # said outright: where torchrun starts processes without an accelerator, accelerate would let each train alone
    on_cpu = config.device == "cpu" or not torch.accelerator.is_available()
    if config.mixed_precision == "fp16" and on_cpu:
        raise InputError("train.mixed_precision=fp16 needs a GPU: use bf16 or no")
    # accelerate keeps one state a process, and a second run in this process may want another precision or device
    AcceleratorState._reset_state(reset_partial_state=not torch.distributed.is_initialized())
    unused = DistributedDataParallelKwargs(find_unused_parameters=config.find_unused_parameters)
    return Accelerator(mixed_precision=config.mixed_precision, cpu=on_cpu, kwargs_handlers=[unused])


def make_sampler(task: Task, config: TrainConfig, accelerator: Accelerator) -> SeededSampler:
    """This process's share of the items, in epochs of whole optimiser steps."""
    return SeededSampler(
        len(task.train_set),
        seed=config.seed,
        weights=task.sample_weights,
        epoch_length=task.epoch_length,
        multiple_of=config.batch_size * config.accumulate * accelerator.num_processes,
        rank=accelerator.process_index,
        world_size=accelerator.num_processes,
    )


def make_loader(task: Task, config: TrainConfig, sampler: SeededSampler, accelerator: Accelerator) -> DataLoader:
    """Batches in the sampler's order; workers are forked where possible, so that data sets are shared, not pickled."""
    workers = config.num_workers
    fork = "fork" if workers and "fork" in multiprocessing.get_all_start_methods() else None
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
        pin_memory=accelerator.device.type == "cuda",
        # its own generator: to start an epoch again must not advance the one that dropout draws from
        generator=torch.Generator().manual_seed(config.seed),
    )


def make_optimizer(task: Task, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW over the task's groups. Raises InputError if there is nothing to train."""
    groups = task.parameter_groups(config.lr, config.weight_decay)
    if not any(list(group["params"]) for group in groups):
        raise InputError(f"{task.name}: every parameter is frozen: leave some of the model to train")
    return torch.optim.AdamW(groups, lr=config.lr, weight_decay=config.weight_decay, fused=True)
