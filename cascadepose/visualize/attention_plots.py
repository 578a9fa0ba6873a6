"""Pictures of what `attention.look_inside` and `lifter_attention.look_inside_lifter` found, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cascadepose.errors import InputError
from cascadepose.files import atomic_path
from cascadepose.visualize.attention import Gaze, ImageAttention, PersonAttention
from cascadepose.visualize.overlay import draw_pose

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INCHES = 2.1  # height of a panel
_TITLE = 0.22  # inches above each panel
_DPI = 110
_BELIEVED = 0.3  # joints below this score are left out where many share a picture
_SHOWN_JOINTS = ("nose", "left_shoulder", "right_wrist", "left_hip", "right_knee", "left_ankle")


def write_pictures(found: ImageAttention, folder: str | Path, layer: int | None = None) -> list[Path]:
    """Draw everything into a folder; returns the files.

    scene.png        self-attention of a point in the detector's encoder, every layer
    people.png       where each person's query looked, every layer of the detector's decoder
    person_N_joints.png, _image.png  cross-attention of the joints' queries over the crop, and over the image
    person_N_crop.png                self-attention of some joints' places in the keypoint stage's encoder
    person_N_heatmaps.png            what joints are read from, where the readout has heat maps

    layer: of the keypoint stage, from 0; None takes the last.

    Raises InputError for a layer that is not there and files that cannot be written.
    """
    folder = Path(folder)
    last = -1 if layer is None else layer
    if found.people and not -1 <= last < len(found.people[0].joints):
        raise InputError(f"layer {last + 1} is not there; the keypoint stage has {len(found.people[0].joints)}")
    pictures: dict[str, Figure] = {}
    if found.scene:
        pictures["scene"] = scene_figure(found)
    if found.people:
        pictures["people"] = people_figure(found)
    for number, person in enumerate(found.people, 1):
        name = f"person_{number}"
        queries = f"cross-attention of the joints' queries, decoder layer {last % len(person.joints) + 1}"
        pictures[f"{name}_joints"] = joints_figure(found, person, person.joints[last], queries)
        pictures[f"{name}_image"] = image_figure(found, person, person.joints[last])
        pictures[f"{name}_crop"] = crop_figure(found, person)
        if person.heatmaps is not None:
            pictures[f"{name}_heatmaps"] = joints_figure(found, person, person.heatmaps, "what joints are read from")
    return [save_figure(figure, folder / f"{name}.png") for name, figure in pictures.items()]


def scene_figure(found: ImageAttention) -> Figure:
    """The image with the point, then its self-attention in every layer of the detector's encoder."""
    whole = _whole(found.image)
    figure, axes = panels("self-attention of a point, person detector", 1, 1 + len(found.scene), whole, height=3.0)
    for layer, (axis, gaze) in enumerate(zip(axes, [None, *found.scene], strict=True)):
        _backdrop(axis, found.image, whole, f"encoder layer {layer}" if gaze else "the point", dim=gaze is not None)
        if gaze is not None:
            draw_gaze(axis, gaze)
        _mark(axis, found.point)
    return figure


def people_figure(found: ImageAttention) -> Figure:
    """One row a person: where the person's query looked in every layer of the detector's decoder."""
    whole = _whole(found.image)
    layers = len(found.people[0].detector)
    title = "where the person's query looked, person detector"
    figure, axes = panels(title, len(found.people), layers, whole, height=3.0)
    for slot, axis in enumerate(axes):
        number, layer = divmod(slot, layers)
        person = found.people[number]
        _backdrop(axis, found.image, whole, f"person {number + 1} ({person.box_score:.2f}), layer {layer + 1}")
        draw_gaze(axis, person.detector[layer])
        _box(axis, person.box_xyxy)
    return figure


def joints_figure(found: ImageAttention, person: PersonAttention, gazes: list[Gaze], title: str) -> Figure:
    """The crop with the pose, then one panel a joint with a cross where the joint was found."""
    region = person.region_xyxy
    figure, axes = panels(title, 3, -(-(1 + len(gazes)) // 3), region)
    posed = found.image.copy()
    draw_pose(posed, person.keypoints, person.scores, _BELIEVED, skeleton=found.skeleton)
    _backdrop(axes[0], posed, region, "pose", dim=False)
    for joint, (axis, gaze) in enumerate(zip(axes[1:], gazes, strict=False)):
        _backdrop(axis, found.image, region, f"{_name(found, joint)} {person.scores[joint]:.2f}")
        draw_gaze(axis, gaze)
        _mark(axis, person.keypoints[joint])
    for axis in axes[1 + len(gazes) :]:
        axis.set_visible(False)
    return figure


def image_figure(found: ImageAttention, person: PersonAttention, gazes: list[Gaze]) -> Figure:
    """The whole image with the attention of every joint that is believed, in a colour of its own."""
    from matplotlib import colormaps

    whole = _whole(found.image)
    figure, (axis,) = panels("where the joints' queries looked", 1, 1, whole, height=6.0, legend=1.3)
    _backdrop(axis, found.image, whole, "")
    believed = np.flatnonzero(person.scores >= _BELIEVED)
    colors = colormaps["hsv"](np.linspace(0, 0.92, len(gazes)))[:, :3]
    _draw_together(axis, [gazes[joint] for joint in believed], colors[believed])
    for joint in believed:
        style = {"color": colors[joint], "markersize": 6, "markeredgecolor": "white", "zorder": 5}
        axis.plot(*person.keypoints[joint], "o", label=_name(found, joint), **style)
    _box(axis, person.region_xyxy)
    if len(believed):
        axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8, frameon=False)
    return figure


def crop_figure(found: ImageAttention, person: PersonAttention) -> Figure:
    """One row an encoder layer of the keypoint stage: what the places of some joints attend to."""
    chosen = [found.skeleton.index(name) for name in _SHOWN_JOINTS if name in found.skeleton.names]
    chosen = chosen or list(range(min(len(_SHOWN_JOINTS), found.skeleton.num_joints)))  # of a declared joint set
    region = person.region_xyxy
    title = "self-attention of the joints' places, keypoint stage"
    figure, axes = panels(title, len(person.surroundings), len(chosen), region)
    for slot, axis in enumerate(axes):
        layer, column = divmod(slot, len(chosen))
        joint = chosen[column]
        _backdrop(axis, found.image, region, f"{_name(found, joint)}, layer {layer + 1}")
        draw_gaze(axis, person.surroundings[layer][joint])
        _mark(axis, person.keypoints[joint])
    return figure


def draw_gaze(axis: Axes, gaze: Gaze, color: Any = None) -> None:
    """A heat map, or points whose size is their weight; points in one colour (r, g, b) where it is given."""
    from matplotlib import colormaps

    if gaze.heat is not None:
        strength = _strength(gaze.heat)
        shades = colormaps["inferno"](0.15 + 0.85 * strength)
        shades[..., 3] = 0.85 * strength**0.7
        _show(axis, shades, gaze.region_xyxy)
        return
    strength = gaze.weights / max(gaze.weights.max(), 1e-12)
    order = np.argsort(strength)  # the heaviest on top
    shades = colormaps["inferno"](0.1 + 0.9 * strength[order]) if color is None else [color]
    style = {"s": 4 + 36 * strength[order], "edgecolors": "white", "linewidths": 0.25, "alpha": 0.9, "zorder": 3}
    axis.scatter(*gaze.places[order].T, c=shades, **style)


def _draw_together(axis: Axes, gazes: list[Gaze], colors: np.ndarray) -> None:
    """Several gazes over the same region, each in its colour, mixed where they meet."""
    if not gazes or gazes[0].heat is None:
        for gaze, color in zip(gazes, colors, strict=True):
            draw_gaze(axis, gaze, color)
        return
    strength = np.stack([_strength(gaze.heat) ** 1.5 for gaze in gazes], axis=-1)
    mixed = strength @ colors / np.maximum(strength.sum(-1, keepdims=True), 1e-12)
    _show(axis, np.concatenate([mixed, 0.85 * strength.max(-1, keepdims=True)], axis=-1), gazes[0].region_xyxy)


def _strength(heat: np.ndarray) -> np.ndarray:
    """0 at the least and 1 at the most attended cell."""
    return (heat - heat.min()) / max(np.ptp(heat), 1e-12)


def _show(axis: Axes, shades: np.ndarray, region: np.ndarray) -> None:
    left, top, right, bottom = region
    axis.imshow(shades, extent=(left, right, bottom, top), interpolation="bilinear", zorder=2)


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure, whole or not at all. Raises InputError where it cannot be written."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=_DPI, facecolor="white")
    return path


def panels(
    title: str, rows: int, columns: int, region: np.ndarray, height: float = _INCHES, legend: float = 0.0
) -> tuple[Figure, list[Axes]]:
    """A figure, drawn without a screen, with panels of the shape of a region [4] (xyxy); height and legend: inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    aspect = float(np.clip((region[2] - region[0]) / (region[3] - region[1]), 0.4, 3.0))
    width = max(columns * max(height * aspect, 1.2), 3.2) + legend
    tall = rows * (height + _TITLE) + 0.35
    figure = Figure(figsize=(width, tall))
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=9, y=1 - 0.06 / tall, va="top")
    margins = {"left": 0.01, "right": 1 - legend / width - 0.01, "bottom": 0.01, "top": 1 - (0.33 + _TITLE) / tall}
    spaces = {"wspace": 0.03, "hspace": _TITLE / height}
    axes = figure.subplots(rows, columns, squeeze=False, gridspec_kw=margins | spaces).ravel().tolist()
    for axis in axes:
        axis.set_axis_off()
    return figure, axes


def _backdrop(axis: Axes, image: np.ndarray, region: np.ndarray, title: str, dim: bool = True) -> None:
    """The part of the image in a region, grey and dark under heat maps; what lies outside of the image is black."""
    import cv2

    height, width = image.shape[:2]
    left, top = np.clip(np.floor(region[:2]), 0, (width, height)).astype(int)
    right, bottom = np.clip(np.ceil(region[2:]), 0, (width, height)).astype(int)
    axis.add_patch(_rectangle(region, facecolor="black", zorder=0))
    part = image[top:bottom, left:right]
    if part.size:
        scale = axis.get_window_extent().height * _DPI / axis.figure.dpi / part.shape[0]
        if scale < 1:
            part = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        if dim:
            part = np.repeat((part.mean(-1, keepdims=True) * 0.6).astype(np.uint8), 3, axis=-1)
        axis.imshow(part, extent=(left, right, bottom, top), zorder=1)
    axis.set(xlim=region[[0, 2]], ylim=region[[3, 1]], autoscale_on=False, aspect="equal")
    axis.set_title(title, fontsize=8, y=1.0, pad=3)  # a stated height saves matplotlib the search for one


def _box(axis: Axes, xyxy: np.ndarray) -> None:
    axis.add_patch(_rectangle(xyxy, fill=False, edgecolor="#5ed68c", linewidth=1.4, zorder=4))


def _rectangle(xyxy: np.ndarray, **style: Any) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(tuple(xyxy[:2]), *(xyxy[2:] - xyxy[:2]), **style)


def _mark(axis: Axes, place: Iterable[float]) -> None:
    x, y = place
    axis.plot(x, y, "+", color="black", markersize=9, markeredgewidth=2.6, zorder=5)
    axis.plot(x, y, "+", color="#40e0ff", markersize=8, markeredgewidth=1.2, zorder=6)


def _name(found: ImageAttention, joint: int) -> str:
    return found.skeleton.names[joint].replace("_", " ")


def _whole(image: np.ndarray) -> np.ndarray:
    return np.array([0.0, 0.0, image.shape[1], image.shape[0]])
