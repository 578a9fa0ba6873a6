"""What training runs logged, as curves: one panel a metric, one colour a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cascadepose.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLORS = ("#1f86c9", "#e07a10", "#3a9d5d", "#b0468f", "#777777")
_NAMES = {"train": "in training", "val": "in validation"}

Curve = tuple[np.ndarray, np.ndarray]  # steps and values


def read_log(run: str | Path) -> dict[str, Curve]:
    """The curves of a run's folder or metrics.jsonl: "train/loss", "val/AP", ... -> steps [N] and values [N].

    Raises InputError for a file that is missing or holds no entries; the last line of a killed run may be cut off.
    """
    path = Path(run) / "metrics.jsonl" if Path(run).is_dir() else Path(run)
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give the output folder of a training run") from None
    curves: dict[str, list[tuple[float, float]]] = {}
    for entry in filter(None, map(_entry, lines)):
        for name, value in entry.items():
            if name not in ("kind", "step") and isinstance(value, int | float):
                curves.setdefault(f"{entry['kind']}/{name}", []).append((entry["step"], value))
    if not curves:
        raise InputError(f"{path}: holds no entries of a training run; give the output folder of one")
    return {name: tuple(np.array(points, float).T) for name, points in curves.items()}


def smoothed(values: np.ndarray, span: float) -> np.ndarray:
    """Mean of the values [N] so far, a value's weight falling to 1/e within `span` entries."""
    if span <= 0 or not len(values):
        return values
    decay = np.exp(-1 / span)
    out, total, weight = np.empty(len(values)), 0.0, 0.0
    for index, value in enumerate(values):
        total, weight = decay * total + value, decay * weight + 1
        out[index] = total / weight
    return out


def curves_figure(
    runs: dict[str, dict[str, Curve]], metrics: Sequence[str], span: float = 10.0, start: float = 0.0, columns: int = 2
) -> Figure:
    """A panel for each of `metrics` ("train/loss_keypoints", "val/AP") with the curves of the runs, by their labels.

    span: smoothing of what was logged in training, in log entries, over the faint raw values; 0 for none. start: steps
    before it are left out. Where a run has logged start_NAME beside NAME, that is a dashed line: what it started from.
    Raises InputError for a metric that no run has.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    known = sorted({name for curves in runs.values() for name in curves})
    if missing := [name for name in metrics if name not in known]:
        raise InputError(f"no run has logged {missing[0]}; they have {', '.join(known)}")
    columns = min(columns, len(metrics))
    rows = -(-len(metrics) // columns)
    figure = Figure(figsize=(4.0 * columns, 2.7 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, metric in zip(axes, metrics, strict=False):
        kind, _, name = metric.partition("/")
        for (label, curves), color in zip(runs.items(), _COLORS * len(runs), strict=False):
            if metric in curves:
                _draw(axis, *curves[metric], label, color, span if kind == "train" else 0.0, start)
            if (before := f"{kind}/start_{name}") in curves:
                axis.axhline(curves[before][1][-1], color=color, linewidth=1.0, linestyle="--", label=f"{label}, start")
        axis.set_title(f"{name}, {_NAMES.get(kind, kind)}", fontsize=10)
        axis.set_xlabel("step", fontsize=8)
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.25)
    for axis in axes[: len(metrics)]:
        axis.legend(fontsize=8)
    for axis in axes[len(metrics) :]:
        axis.set_visible(False)
    return figure


def _draw(axis, steps: np.ndarray, values: np.ndarray, label: str, color: str, span: float, start: float) -> None:
    shown = steps >= start
    if span:
        axis.plot(steps[shown], values[shown], color=color, linewidth=0.6, alpha=0.3)
    marker = "o" if not span and shown.sum() < 60 else ""
    axis.plot(steps[shown], smoothed(values, span)[shown], color=color, linewidth=1.6, marker=marker, ms=3, label=label)


def _entry(line: str) -> dict | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and {"kind", "step"} <= entry.keys() else None
