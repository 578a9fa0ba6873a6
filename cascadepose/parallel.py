"""Several batches at the same time, each on one thread.

Networks as small as these keep the cores of a CPU busy with several frames, not with one: a layer of one frame is over
before its work has been handed out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def workers_on(device: torch.device) -> int:
    """How many threads keep a device busy: as many as torch has on a CPU, one for anything else."""
    import torch

    return torch.get_num_threads() if device.type == "cpu" else 1


def map_ahead(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int = 1
) -> Iterator[tuple[Item, Result]]:
    """Items with what `function` makes of them, in order; while one is waited for, the next are read and worked on.

    workers: threads, each with one thread of torch's; 1 works on every item when it is asked for, with all of them.
    Where reading items fails, the items before are finished first.
    """
    if workers == 1:
        yield from ((item, function(item)) for item in items)
        return
    import torch

    pending: deque[tuple[Item, Future[Result]]] = deque()
    problem: Exception | None = None
    with ThreadPoolExecutor(workers, "ahead", torch.set_num_threads, (1,)) as pool:
        try:
            reading, iterator = True, iter(items)
            while reading or pending:
                try:
                    while reading and len(pending) <= workers:
                        item = next(iterator)
                        pending.append((item, pool.submit(function, item)))
                except StopIteration:
                    reading = False
                except Exception as error:  # raised when what was read before it is done
                    reading, problem = False, error
                if pending:
                    item, answer = pending.popleft()
                    yield item, answer.result()
        finally:
            for _, answer in pending:
                answer.cancel()
    if problem is not None:
        raise problem
