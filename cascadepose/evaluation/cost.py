"""What a model costs: multiply-accumulates of a forward pass, and of a lifter those per frame it answers for."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from cascadepose.errors import InputError
from cascadepose.models.lifters.window import Sequence2D, lift_sequences
from cascadepose.normalization import declared_input
from cascadepose.skeletons import SKELETONS

COUNTED = (
    "multiply-accumulates of matrix products, convolutions and attention (scores and mixing); norms, activations, "
    "softmax, additions, interpolation and products with a vector are not counted"
)
IMAGE_SIZE = (1280, 720)  # of the sequence that is timed


def count_macs(model: nn.Module, *inputs: Any) -> int:
    """Multiply-accumulates of `model(*inputs)`, see COUNTED: half the operations that PyTorch's counter finds.

    Attention takes its plain form meanwhile, a product for the scores and one for the mixing, whatever kernel the
    device would choose. Works on the meta device too. Fused layers of PyTorch (`nn.TransformerEncoderLayer` in eval
    mode) would count as nothing; no model of this package holds one.
    """
    return _counted(model, lambda: model(*inputs))


def _counted(model: nn.Module, call: Callable[[], Any]) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        for parameter in learned:  # the counter hooks gradients to parameters that a module is called with, even ...
            parameter.requires_grad_(False)
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            call()  # ... where there are none to come
    finally:
        for parameter in learned:
            parameter.requires_grad_(True)
    return counter.get_total_flops() // 2


@dataclass(frozen=True)
class LifterCost:
    """What a lifter costs.

    parameters; macs_per_window of one forward pass; frames_answered of it (1, or those of the window that
    are not only context); macs_per_frame: the one
    divided by the other; macs_per_frame_as_run: what `lift_sequence` spends on a frame of a long sequence, where
    windows overlap and, with a flip test, everything is computed twice.
    """

    parameters: int
    macs_per_window: int
    frames_answered: int
    macs_per_frame: float
    macs_per_frame_as_run: float


def lifter_cost(lifter: nn.Module, flip_test: bool = True, num_frames: int = 1000) -> LifterCost:
    """Count a lifter; `num_frames`: length of the sequence that macs_per_frame_as_run is an average over."""
    joints = SKELETONS[declared_input(lifter)["skeleton"]].num_joints
    like = next(lifter.parameters())
    window = torch.zeros(1, lifter.num_frames, joints, lifter.in_channels, device=like.device, dtype=like.dtype)
    training, answered = lifter.training, 1
    if lifter.frames_out == "all":
        answered = lifter.num_frames - getattr(lifter, "context", 0)
    macs = count_macs(lifter.eval(), window)
    person = swaying_person(lifter, num_frames)
    spent = _counted(lifter, lambda: lift_sequences(lifter, [person], flip_test=flip_test))
    lifter.train(training)
    parameters = sum(parameter.numel() for parameter in lifter.parameters())
    return LifterCost(parameters, macs, answered, macs / answered, spent / num_frames)


@dataclass(frozen=True)
class Speed:
    """Frames a second by the clock, and by the time that processors spent on this process alone, which other work on
    the machine does not change (on a GPU it says nothing of the lifter).
    """

    frames_per_second: float
    frames_per_cpu_second: float


def lifting_speed(
    lifter: nn.Module, num_frames: int = 1000, repeats: int = 5, flip_test: bool = True, batch_size: int = 16
) -> Speed:
    """How fast `lift_sequence` is: medians over `repeats`, after one run that does not count.

    The sequence is one person at the lifter's own frame rate; making the input and blending the windows are included.
    Raises InputError for fewer than one frame or repeat.
    """
    if num_frames < 1 or repeats < 1:
        raise InputError(f"cannot time {num_frames} frames {repeats} times; give numbers above zero")
    sequence, spent = swaying_person(lifter, num_frames), []
    for _ in range(repeats + 1):  # answers come as arrays on the host, so the device is done with them
        started = time.perf_counter(), time.process_time()
        lift_sequences(lifter, [sequence], batch_size, flip_test)
        spent.append((time.perf_counter() - started[0], time.process_time() - started[1]))
    clock, cpu = (statistics.median(seconds) for seconds in zip(*spent[1:], strict=True))
    return Speed(round(num_frames / clock, 1), round(num_frames / max(cpu, 1e-9), 1))


def swaying_person(lifter: nn.Module, num_frames: int) -> Sequence2D:
    """Joints that sway around random places: the content does not matter, only how much there is of it."""
    rng = np.random.default_rng(0)
    joints = SKELETONS[lifter.input_skeleton].num_joints
    places, phases = rng.uniform(200, 600, (joints, 2)), rng.uniform(0, 2 * np.pi, (joints, 2))
    keypoints = places + 20 * np.sin(np.arange(num_frames)[:, None, None] / 10 + phases)
    return Sequence2D(keypoints, np.full((num_frames, joints), 0.9), IMAGE_SIZE)
