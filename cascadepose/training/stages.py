"""What can be trained: a word for each stage, as `cascadepose train` and the scripts of tools/ take it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path


@dataclass(frozen=True)
class Stage:
    """module, config_class: the task and its settings; what: one line of help; examples: arguments that make sense."""

    module: str
    config_class: str
    what: str
    examples: tuple[str, ...]


STAGES = {
    "detector": Stage(
        "cascadepose.tasks.detector",
        "DetectorTaskConfig",
        "the person detector (DETR), on images with boxes",
        ("--config configs/prtr_detector_small.yaml",),
    ),
    "keypoints": Stage(
        "cascadepose.tasks.keypoints",
        "KeypointTaskConfig",
        "the keypoint transformer of two-stage PRTR, on crops of people",
        (
            "--config configs/prtr_keypoints_small.yaml",
            "--config configs/prtr_keypoints_small.yaml --train.batch_size 64 --train.mixed_precision bf16",
        ),
    ),
    "joint": Stage(
        "cascadepose.tasks.joint",
        "JointTaskConfig",
        "detector and keypoint transformer as one network (end-to-end PRTR)",
        ("--config configs/prtr_joint_small.yaml",),
    ),
    "cascade": Stage(
        "cascadepose.tasks.cascade",
        "CascadeTaskConfig",
        "2D stage and lifter as one network, from pixels to 3D joints",
        ("--config configs/cascade_small.yaml",),
    ),
    "lifter": Stage(
        "cascadepose.tasks.lifter",
        "LifterTaskConfig",
        "a lifter from 2D to 3D joints, on motion capture or Human3.6M",
        (
            "--config configs/dstformer_small.yaml",
            "--config configs/dstformer_finetune.yaml --task.weights runs/dstformer_pretrain/last.safetensors",
        ),
    ),
    "pretrain": Stage(
        "cascadepose.tasks.pretrain",
        "PretrainTaskConfig",
        "DSTformer on 2D motion with noise and holes (MotionBERT's pre-training)",
        ("--config configs/dstformer_pretrain.yaml",),
    ),
}
_ENDING = """
Every key of a configuration is an option, too, and is listed below. Stopped by Ctrl-C, SIGTERM or a crash, the same
command goes on where it stopped. On several processes:

  torchrun --nproc_per_node 2 -m {program} --config FILE
"""


def train(stage: str, argv: Sequence[str] | None = None) -> Path:
    """Train one of `STAGES` with the options `argv` (None: those of the command line); returns the best weights.

    Bad input is one line on standard error and exit status 2.
    """
    from cascadepose.training.command import run

    chosen, program = STAGES[stage], f"cascadepose train {stage}"
    examples = "\n".join(f"  {program} {example}" for example in chosen.examples)
    description = f"Train {chosen.what}.\n\nexamples:\n{examples}\n{_ENDING.format(program=program)}"
    module = import_module(chosen.module)
    return run(getattr(module, chosen.config_class), module.build_task, argv, description, program=program)
