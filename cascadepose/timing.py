"""Where the time goes: seconds per stage, the table that says so, and the bar that shows how much is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

Item = TypeVar("Item")


class StageClock:
    """Adds up the seconds spent in named stages; `seconds` keeps them in the order of first use."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._start = time.perf_counter()

    def add(self, stage: str, seconds: float) -> None:
        """Count seconds for a stage that was timed elsewhere."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a block."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - start)

    def waiting(self, name: str, items: Iterable[Item]) -> Iterator[Item]:
        """The same items; the time until each of them comes is counted."""
        iterator = iter(items)
        while True:
            with self.stage(name):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

    def unnamed(self) -> float:
        """Seconds since the clock was made that no stage has counted."""
        return self.elapsed - sum(self.seconds.values())

    @property
    def elapsed(self) -> float:
        """Seconds since the clock was made."""
        return time.perf_counter() - self._start

    def table(self, num_frames: int) -> str:
        """Lines of stage, milliseconds a frame and share of the time since the clock was made."""
        total = max(self.elapsed, 1e-9)
        rest = max(self.unnamed(), 0.0)
        rows = [*self.seconds.items(), ("other", rest), ("all", total)]
        frames = max(num_frames, 1)
        lines = [f"{'stage':<10}{'ms/frame':>10}{'share':>8}"]
        lines += [f"{name:<10}{1000 * seconds / frames:>10.1f}{seconds / total:>8.0%}" for name, seconds in rows]
        rate = f"{num_frames} frame{'s' if num_frames != 1 else ''} in {total:.1f} s, {num_frames / total:.1f} a second"
        return "\n".join([*lines, rate])


@contextmanager
def progress_bar(title: str, total: int | None, show: bool = True) -> Iterator[Callable[[int], Any]]:
    """A bar on stderr with rate and time left; the context gives the function to tell how many more frames are done."""
    if not show:
        yield lambda count: None
        return
    from tqdm.auto import tqdm

    with tqdm(total=total, desc=title, unit=" frames", dynamic_ncols=True) as bar:
        yield bar.update
