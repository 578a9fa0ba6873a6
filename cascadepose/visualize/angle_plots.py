"""Joint angles over time as pictures and as a table."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cascadepose.angles import ANGLES, LIMB_ANGLES, SIDES, TRUNK_ANGLES, joint_angles
from cascadepose.errors import InputError
from cascadepose.files import atomic_path
from cascadepose.types import Track
from cascadepose.visualize.attention_plots import save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLORS = {"left": "#e07a10", "right": "#1f86c9"}  # those of the drawn skeletons, darker on white paper
_COLUMNS = 3


def write_angles(tracks: list[Track] | tuple[Track, ...], folder: str | Path) -> list[Path]:
    """Write angles_ID.png for every track and angles.csv for all of them; returns the files.

    Raises InputError where a track has no 3D joints and where a file cannot be written.
    """
    folder = Path(folder)
    angles = {track.track_id: _angles_of(track) for track in tracks}
    table = folder / "angles.csv"
    with atomic_path(table) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["track_id", "frame", "time_s", "observed", *(f"{name}_deg" for name in ANGLES)])
        for track in tracks:
            writer.writerows(_rows(track, angles[track.track_id]))
    figures = [(angles_figure(track, angles[track.track_id]), track.track_id) for track in tracks]
    return [table, *(save_figure(figure, folder / f"angles_{number}.png") for figure, number in figures)]


def angles_figure(track: Track, angles: dict[str, np.ndarray] | None = None) -> Figure:
    """Curves over time, left and right in one panel; frames in which the person was not seen are grey.

    angles: those of `joint_angles`, computed where they are not given. Raises InputError without 3D joints.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    angles = angles or _angles_of(track)
    names = [*LIMB_ANGLES, *TRUNK_ANGLES]
    rows = -(-len(names) // _COLUMNS)
    width, height = 4.2 * _COLUMNS, 1.9 * rows + 0.5
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    figure.suptitle(
        f"joint angles of person {track.track_id}, degrees over seconds", fontsize=10, y=1 - 0.1 / height, va="top"
    )
    margins = {"left": 0.4 / width, "right": 1 - 0.1 / width, "bottom": 0.3 / height, "top": 1 - 0.6 / height}
    spaces = {"wspace": 0.13, "hspace": 0.25}
    axes = figure.subplots(rows, _COLUMNS, sharex=True, squeeze=False, gridspec_kw=margins | spaces).ravel()
    marker = "." if len(track) < 3 else ""
    for axis, name in zip(axes, names, strict=False):
        _shade_unseen(axis, track)
        for side in SIDES if name in LIMB_ANGLES else ("",):
            curve = angles[f"{side}_{name}" if side else name]
            style = {"color": _COLORS.get(side, "#444444"), "linewidth": 1.2, "marker": marker}
            axis.plot(track.timestamp, _unwrapped(curve), label=side, **style)
        axis.set_title(name.replace("_", " "), fontsize=9, y=1.0, pad=3)
        axis.grid(alpha=0.25)
        axis.tick_params(labelsize=7)
    axes[0].legend(fontsize=7, loc="upper right")
    for axis in axes[len(names) :]:
        axis.set_visible(False)
    for axis in axes[len(names) - _COLUMNS : len(names)]:  # the lowest of each column
        axis.tick_params(labelbottom=True)
    return figure


def _angles_of(track: Track) -> dict[str, np.ndarray]:
    if track.poses3d is None:
        raise InputError(f"track {track.track_id} has no 3D joints; run `cascadepose infer` with a lifter")
    return joint_angles(track.poses3d)


def _rows(track: Track, angles: dict[str, np.ndarray]) -> list[list[Any]]:
    columns = [["" if np.isnan(x) else f"{x:.2f}" for x in angles[name]] for name in ANGLES]
    heads = zip(track.frame_index, track.timestamp, track.observed, strict=True)
    return [
        [track.track_id, frame, f"{time:.6f}", int(seen), *values]
        for (frame, time, seen), *values in zip(heads, *columns, strict=True)
    ]


def _unwrapped(curve: np.ndarray) -> np.ndarray:
    """The curve with a hole where it passes from one end of its range to the other, instead of a stroke across."""
    jumps = np.flatnonzero(np.abs(np.diff(curve)) > 180)
    broken = curve.copy()
    broken[jumps + 1] = np.nan
    return broken


def _shade_unseen(axis: Any, track: Track) -> None:
    """Grey bands over the frames in between which the person was not seen."""
    edges = np.flatnonzero(np.diff(np.concatenate([[1], track.observed.astype(int), [1]])))
    last = len(track) - 1
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        axis.axvspan(track.timestamp[max(start - 1, 0)], track.timestamp[min(stop, last)], color="#000000", alpha=0.1)
