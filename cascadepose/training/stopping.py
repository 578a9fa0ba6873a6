"""Signals and decisions that all processes must take at the same step."""

import signal
import sys
import threading
import time
from datetime import timedelta
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist

ECHO_SECONDS = 5.0  # a launcher repeats the signal that the terminal already sent to all processes


class Interrupts:
    """Within the block, SIGINT or SIGTERM only sets `.signum`; another one, later than an echo, acts as ever."""

    def __init__(self) -> None:
        self.signum = 0
        self._noted_at = 0.0
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():  # Python allows handlers nowhere else
            self._previous = {s: signal.signal(s, self._note) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *exception: object) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self.signum:
            self.signum, self._noted_at = signum, now
        elif now - self._noted_at > ECHO_SECONDS:
            self.__exit__()
            signal.raise_signal(signum)


class Agreement:
    """Makes small decisions common to all processes, on CPU, so that no step waits for an accelerator."""

    def __init__(self) -> None:
        self.group = _gloo_group()

    def maximum(self, *values: int) -> list[int]:
        """Each value's maximum over the processes."""
        if self.group is None:
            return list(values)
        shared = torch.tensor(values)
        dist.all_reduce(shared, dist.ReduceOp.MAX, group=self.group)
        return shared.tolist()

    def gather(self, value: object) -> list:
        """Every process's `value`, by rank, on every process."""
        if self.group is None:
            return [value]
        values: list = [None] * dist.get_world_size(self.group)
        dist.all_gather_object(values, value, group=self.group)
        return values

    def from_main(self, value: object) -> object:
        """The main process's `value` on every process."""
        if self.group is None:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0, group=self.group)
        return values[0]


def quiet_worker(worker_id: int) -> None:
    """Set up a DataLoader worker: one thread, and signals left to the main process, which ends its workers itself."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
    torch.set_num_threads(1)
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(0)


def _gloo_group() -> dist.ProcessGroup | None:
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return None
    return dist.new_group(backend="gloo", timeout=timedelta(hours=6))  # the others wait here for a long validation
