"""Signals and decisions that all processes must take at the same step."""

import signal
import threading
from types import TracebackType

import torch
import torch.distributed as dist


class Interrupts:
    """Within the block, the first SIGINT or SIGTERM only sets `.signum`; a second one acts as it would have without us."""

    def __init__(self) -> None:
        self.signum = 0
        self._previous: dict[int, object] = {}

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():  # Python allows handlers nowhere else
            self._previous = {s: signal.signal(s, self._note) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._restore()

    def _note(self, signum: int, frame: object) -> None:
        self.signum = signum
        self._restore()

    def _restore(self) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)
        self._previous = {}


class Agreement:
    """Makes small decisions common to all processes, on CPU, so that no step waits for an accelerator."""

    def __init__(self) -> None:
        self.group = dist.new_group(backend="gloo") if dist.is_initialized() and dist.get_world_size() > 1 else None

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
    """DataLoader worker: leave signals to the main process, which ends its workers itself, and keep OpenCV to one thread."""
    import sys

    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
    torch.set_num_threads(1)
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(0)
