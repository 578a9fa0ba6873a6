"""Where a lifter looks: from joint to joint within a frame, and from frame to frame, head by head.

    for layer in look_inside_lifter(lifter, result.tracks[0], result.frame_size):
        layer.name, layer.axis, layer.weights        # "Spatial_blocks.0.attn", "joints", [heads, 17, 17]

Any lifter with attention will do; PoseFormer's paper shows such maps of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import nn

from cascadepose.errors import InputError
from cascadepose.models.lifters.window import output_frame
from cascadepose.models.recording import record_attention
from cascadepose.normalization import declared_input, lifter_input
from cascadepose.skeletons import SKELETONS
from cascadepose.smoothing import resample
from cascadepose.types import Track
from cascadepose.visualize.attention_plots import save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WITHIN_FRAMES = ("attn_s", "Spatial_blocks")  # parts of the names of layers whose tokens are joints


@dataclass(frozen=True)
class LayerAttention:
    """Attention of one layer for one window.

    weights [heads, N, N]: rows attend to columns and sum to one. axis "joints": tokens are the joints of the frame that
    the answer is for. axis "frames": tokens are frames (or what the lifter makes of them), averaged over joints where
    each joint has its own. labels [N] name the tokens: a joint, or frames from the answered one.
    """

    name: str
    axis: Literal["joints", "frames"]
    weights: np.ndarray
    labels: tuple[str, ...]


@torch.inference_mode()
def look_inside_lifter(
    lifter: nn.Module, track: Track, frame_size: tuple[int, int], row: int | None = None
) -> list[LayerAttention]:
    """Run a lifter over the window around one frame of a track and return what its layers attended to.

    frame_size: (w, h) px of the video; row: position in the track (None: the middle of what was observed). The window
    has the lifter's own frame rate; beyond the ends of the track their frames are repeated.

    Raises InputError for a row that is not there and a lifter without attention.
    """
    if row is None:
        seen = np.flatnonzero(track.observed)
        row = int(seen[len(seen) // 2]) if len(seen) else len(track) // 2
    if not 0 <= row < len(track):
        raise InputError(f"track {track.track_id} has no frame {row}; it has {len(track)} frames from 0 on")
    with record_attention(lifter) as calls:
        lifter.eval()(_window(lifter, track, frame_size, row))
    if not calls:
        raise InputError(f"{type(lifter).__name__} has no attention to look at; use a lifter that is a transformer")
    return [_layer(lifter, name, found[-1].weights().cpu().numpy()) for name, found in calls.items()]


def _window(lifter: nn.Module, track: Track, frame_size: tuple[int, int], row: int) -> torch.Tensor:
    """[1, num_frames, J, in_channels] whose answered frame is the row."""
    span = np.ptp(track.timestamp)
    rate = lifter.frame_rate or ((len(track) - 1) / span if span else 1.0)
    times = track.timestamp[row] + (np.arange(lifter.num_frames) - output_frame(lifter)) / rate
    times = np.clip(times, track.timestamp[0], track.timestamp[-1])
    keypoints, scores = (resample(x, track.timestamp, times) for x in (track.keypoints, track.scores))
    x = lifter_input(keypoints, scores, frame_size, **declared_input(lifter))
    return torch.from_numpy(x.astype(np.float32))[None].to(next(lifter.parameters()).device)


def _layer(lifter: nn.Module, name: str, weights: np.ndarray) -> LayerAttention:
    """weights [n, heads, N, N]: n are frames where tokens are joints, and joints, or one, where they are frames."""
    if any(part in name for part in _WITHIN_FRAMES):
        answered = len(weights) - 1 if lifter.causal else len(weights) // 2
        seen = SKELETONS[declared_input(lifter)["skeleton"]]
        return LayerAttention(name, "joints", weights[answered], seen.names)
    return LayerAttention(name, "frames", weights.mean(0), _frame_labels(lifter, weights.shape[-1]))


def _frame_labels(lifter: nn.Module, count: int) -> tuple[str, ...]:
    """A token stands for the frame, the first frame of a stride, or (PoseFormerV2) a DCT coefficient of the window."""
    answered = output_frame(lifter)
    kept = getattr(lifter, "kept", None)
    if kept is not None:
        coefficients = [f"c{i}" for i in range(lifter.kept_coefficients)]
        return (*coefficients, *(_signed(i - answered) for i in range(kept.start, kept.stop)))
    return tuple(_signed(i * lifter.num_frames // count - answered) for i in range(count))


def _signed(offset: int) -> str:
    return f"{offset:+d}" if offset else "0"


def write_lifter_pictures(layers: list[LayerAttention], folder: str | Path) -> list[Path]:
    """Draw the maps into a folder: lifter_joints.png and lifter_frames.png, one row a layer and one column a head.

    Raises InputError where a file cannot be written.
    """
    groups = {axis: [layer for layer in layers if layer.axis == axis] for axis in ("joints", "frames")}
    return [
        save_figure(maps_figure(group), Path(folder) / f"lifter_{axis}.png") for axis, group in groups.items() if group
    ]


def maps_figure(layers: list[LayerAttention]) -> Figure:
    """Heat maps of all heads; every map has its own scale, from zero to its largest weight."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    heads, side = max(len(layer.weights) for layer in layers), 1.9
    width, height = heads * side + 1.3, len(layers) * (side + 0.2) + 1.3
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    what = "joint to joint" if layers[0].axis == "joints" else "frame to frame (0: the answered one)"
    figure.suptitle(f"{what}: rows attend to columns", fontsize=9, y=1 - 0.1 / height, va="top")
    margins = {"left": 1.0 / width, "right": 1 - 0.15 / width, "bottom": 0.85 / height, "top": 1 - 0.5 / height}
    axes = figure.subplots(len(layers), heads, squeeze=False, gridspec_kw=margins | {"wspace": 0.08, "hspace": 0.16})
    for number, layer in enumerate(layers):
        below = number + 1 == len(layers) or layer.labels != layers[number + 1].labels
        for head, axis in enumerate(axes[number]):
            axis.set_axis_off()
            if head < len(layer.weights):
                axis.set_axis_on()
                axis.imshow(layer.weights[head], cmap="inferno", vmin=0, interpolation="nearest", aspect="auto")
                axis.set_title(f"{layer.name}, head {head + 1}", fontsize=6, y=1.0, pad=2)
                _label(axis, layer, left=head == 0, below=below)
    return figure


def _label(axis, layer: LayerAttention, left: bool, below: bool) -> None:
    """Names of the tokens at the outer maps; of many frames only some."""
    count = len(layer.labels)
    step = 1 if layer.axis == "joints" else max(count // 9, 1)
    first = layer.labels.index("0") % step if "0" in layer.labels else 0  # the answered frame is among them
    ticks = range(first, count, step)
    names = [layer.labels[i].replace("_", " ") for i in ticks]
    axis.set_xticks(ticks, names if below else [], rotation=90, fontsize=5)
    axis.set_yticks(ticks, names if left else [], fontsize=5)
    axis.tick_params(length=1.5, pad=1)
