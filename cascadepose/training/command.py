"""The command line of a training run."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cascadepose.config import parse, save_config
from cascadepose.errors import InputError
from cascadepose.training.settings import TrainConfig


def run(
    task_config: type,
    build_task: Callable[[Any], Any],
    argv: Sequence[str] | None = None,
    description: str = "",
    program: str | None = None,
) -> Path:
    """Parse `--train.*` and `--task.*`, build the task and train it; returns the best weights.

    program: how the help calls this command line (None: the name of the script).

    Bad input is one line on standard error and exit status 2.
    """
    config = parse({"train": TrainConfig, "task": task_config}, argv, description, program=program)

    import torch  # after parsing: --help answers at once
    from accelerate.utils import set_seed

    from cascadepose.train import fit

    try:
        set_seed(config.train.seed)  # the initial weights
        task = build_task(config.task)
        if int(os.environ.get("RANK", 0)) == 0:
            sections = {"train": asdict(config.train), "task": asdict(config.task)}
            save_config(sections, Path(config.train.output_dir) / "config.yaml")
        return fit(task, config.train)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
