"""What this machine reaches, and ratios of speed: this project's way beside the plain way of the codes it builds on.

Both ways of a case get the same input, take turns, and must give the same answer; a machine that is slow or busy slows
both. The plain ways are written here from their descriptions: DETR (matching, attention), two-stage PRTR (crops cut one
by one on the host), end-to-end PRTR (maps repeated for each person, all queries through the keypoint stage), the demos
of PoseFormer and Strided Transformer (a window a frame) and of MotionBERT (clip after clip). `benchmark.stages` has the
rates.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from cascadepose.devices import pick_device
from cascadepose.errors import InputError

Clock = Literal["wall", "cpu"]


@dataclass(frozen=True)
class Case:
    """Two ways to one answer. tolerance: largest difference allowed, None where the answers are not comparable."""

    name: str
    setting: str
    plain: Callable[[], Tensor]
    ours: Callable[[], Tensor]
    tolerance: float | None = 1e-4


@dataclass(frozen=True)
class Timing:
    """Medians in milliseconds, and how many times longer the plain way takes."""

    name: str
    setting: str
    plain_ms: float
    ours_ms: float

    @property
    def ratio(self) -> float:
        """plain / ours: above 1 where ours is faster."""
        return self.plain_ms / self.ours_ms


def run(device: str | None = "cpu", repeats: int = 10, size: str = "full", clock: Clock = "wall") -> Iterator[Timing]:
    """Measure every case in turn.

    size: "small" is for tests. clock: "cpu" counts seconds of computing, which other programs on the machine do not
    stretch; it says nothing of a GPU and adds up threads.

    Raises InputError for an unknown device, size or clock, and for the clock "cpu" with a device that is none.
    """
    import cv2

    from cascadepose.benchmark import cases, videos

    if size not in ("full", "small"):
        raise InputError(f"size is {size!r}, expected 'full' or 'small'")
    place = pick_device(device)
    if clock not in ("wall", "cpu") or (clock == "cpu" and place.type != "cpu"):
        raise InputError(f"clock is {clock!r} on {place}: give 'wall', or 'cpu' with --device cpu")
    small, threads = size == "small", cv2.getNumThreads()
    try:
        cv2.setNumThreads(torch.get_num_threads())  # the same for both ways
        for make in (*cases.CASES, *videos.CASES):
            with torch.random.fork_rng(), torch.inference_mode():
                torch.manual_seed(0)
                yield measure(make(place, small), repeats, place, clock)
    finally:
        cv2.setNumThreads(threads)


def measure(case: Case, repeats: int, device: torch.device, clock: Clock = "wall") -> Timing:
    """Time both ways in turn after a warm-up that also compares their answers."""
    answers = [way().float() for way in (case.plain, case.ours)]
    if case.tolerance is not None:
        difference = (answers[0] - answers[1]).abs().max().item()
        if not difference <= case.tolerance:
            raise RuntimeError(f"{case.name}: the two ways differ by {difference}")
    now = time.perf_counter if clock == "wall" else time.process_time
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for way, spent in zip((case.plain, case.ours), seconds, strict=True):
            _wait(device)
            started = now()
            way()
            _wait(device)
            spent.append(now() - started)
    return Timing(case.name, case.setting, *(1000 * statistics.median(spent) for spent in seconds))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
