"""What a run says: means of the losses, a progress bar, metrics.jsonl and TensorBoard."""

import io
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

SECONDS_BETWEEN_LINES = 30.0  # where standard error is a file and a bar would fill it


class Meter:
    """Sums of losses that stay on the device until `read`: no step waits for a number that nobody looks at."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}
        self.first_bad: Tensor | None = None

    def add(self, losses: dict[str, Tensor], step: int) -> None:
        """Add scalars of optimiser step `step`; remembers the first step whose total, "loss", was not finite."""
        for name, value in losses.items():
            value = value.detach().float()
            self.sums[name] = self.sums[name] + value if name in self.sums else value
            self.counts[name] = self.counts.get(name, 0) + 1
        if "loss" in losses:
            bad = torch.where(torch.isfinite(losses["loss"].detach()), math.inf, float(step))
            self.first_bad = bad if self.first_bad is None else torch.minimum(self.first_bad, bad)

    def read(self) -> tuple[dict[str, float], float]:
        """Means since the last read, and the first step whose total was not finite (else infinity). Waits once."""
        names = list(self.sums)
        *values, first_bad = torch.stack([*self.sums.values(), self.first_bad]).tolist()
        means = {name: value / self.counts[name] for name, value in zip(names, values, strict=True)}
        self.__init__()
        return means, first_bad


class Report:
    """The main process's voice; on the others every call does nothing."""

    def __init__(self, output_dir: Path, name: str, step: int, total_steps: int, items_per_step: int):
        self.output_dir, self.name, self.total_steps, self.items_per_step = (
            output_dir,
            name,
            total_steps,
            items_per_step,
        )
        self.last_step, self.last_log, self.last_line = step, time.monotonic(), time.monotonic()
        self.speak = False

    def open(self, speak: bool, tensorboard: bool) -> None:
        """Start the bar and the files if this process is the one to speak."""
        self.speak = speak
        if not speak:
            return
        self.live = sys.stderr.isatty()
        hidden = None if self.live else io.StringIO()  # the bar still counts
        self.bar = tqdm(
            desc=self.name, initial=self.last_step, total=self.total_steps, unit="step", file=hidden, dynamic_ncols=True
        )
        self.jsonl = _continued(self.output_dir / "metrics.jsonl", self.last_step)
        self.board = _summary_writer(self.output_dir / "tensorboard", self.last_step) if tensorboard else None

    def tick(self) -> None:
        """One more step is done."""
        if self.speak:
            self.bar.update()

    def log(self, step: int, epoch: int, values: dict[str, float]) -> None:
        """Training values at `step`: to the files, and loss and rate to the bar."""
        if not self.speak:
            return
        now = time.monotonic()
        rate = (step - self.last_step) * self.items_per_step / max(now - self.last_log, 1e-9)
        self.last_step, self.last_log = step, now
        self._write("train", step, {"epoch": epoch, **values, "items_per_second": rate})
        self.bar.set_postfix(epoch=epoch, loss=f"{values['loss']:.4g}", items_per_s=f"{rate:.1f}", refresh=False)
        if not self.live and now - self.last_line > SECONDS_BETWEEN_LINES:
            self.last_line = now
            print(self.bar, file=sys.stderr, flush=True)

    def validation(self, step: int, epoch: int, metrics: dict[str, float], metric: str, improved: bool) -> None:
        """Metrics of a validation: to the files, and one line."""
        if not self.speak:
            return
        self._write("val", step, {"epoch": epoch, **metrics})
        others = "".join(f", {name} {value:.4f}" for name, value in metrics.items() if name != metric)
        best = " (best so far)" if improved else ""
        self.say(f"epoch {epoch}, step {step}: {metric} {metrics[metric]:.4f}{best}{others}")
        self.last_log, self.last_step = time.monotonic(), step
        self.bar.unpause()

    def say(self, line: str) -> None:
        """One line on standard error, beside the bar."""
        if self.speak:
            self.bar.write(line, file=sys.stderr)
            sys.stderr.flush()

    def close(self) -> None:
        """End the bar and the files."""
        if self.speak:
            self.bar.close()
            self.jsonl.close()
            if self.board is not None:
                self.board.close()

    def _write(self, kind: str, step: int, values: dict[str, float]) -> None:
        self.jsonl.write(json.dumps({"kind": kind, "step": step, **values}) + "\n")
        self.jsonl.flush()
        if self.board is not None:
            for name, value in values.items():
                self.board.add_scalar(f"{kind}/{name}", value, step)


def _continued(path: Path, step: int) -> Any:
    """Open a log for appending after dropping what lies beyond `step`, where the run goes on from."""
    lines = path.read_text().splitlines() if path.exists() else []
    path.write_text("".join(line + "\n" for line in lines if _step_of(line) <= step))
    return path.open("a")


def _step_of(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):  # the last line of a killed run
        return math.inf


def _summary_writer(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        print(
            "TensorBoard logs are off: pip install tensorboard to have them; metrics.jsonl holds the same values",
            file=sys.stderr,
        )
        return None
    return SummaryWriter(str(folder), purge_step=step + 1)
