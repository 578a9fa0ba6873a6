"""A result as one HTML file to send to somebody: 3D skeletons to turn, the pictures beside them, a time slider.

The page is made of the files in page/ and needs nothing else: no network, no server, no other file.
"""

from __future__ import annotations

import base64
import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from cascadepose.export.schema import check_finite
from cascadepose.files import atomic_path
from cascadepose.skeletons import Skeleton
from cascadepose.types import Track, VideoResult
from cascadepose.visualize.scene import Scene, build_scene
from cascadepose.visualize.small_pictures import SmallPictures, pictures_or_reason
from cascadepose.visualize.style import LEFT, RIGHT, drawn_edges, edge_colors, person_color

_SCRIPTS = ("data.js", "canvas.js", "figure.js", "space.js", "picture.js", "lanes.js", "page.js")
_WHOLE = 32767  # the largest int16


def write(result: VideoResult, path: str | Path) -> list[Path]:
    """Write the page, with pictures where the frames can be read again; where not, the page says so.

    Raises InputError where the place cannot be written or a number is not finite.
    """
    pictures, reason = pictures_or_reason(result)
    return [write_html(result, path, pictures, reason)]


def write_html(result: VideoResult, path: str | Path, pictures: SmallPictures | None = None, note: str = "") -> Path:
    """Write the page with the given pictures of the frames (see `small_pictures`), or without.

    note: one more thing to tell the reader. The JPEG files take a third more in the page than by themselves; where only
    every second, fourth, ... frame has one, the page says so.

    Raises InputError where the place cannot be written or a number is not finite.
    """
    check_finite(result)
    content = json.dumps(_content(result, pictures, note), allow_nan=False, separators=(",", ":"))
    page = resources.files("cascadepose.visualize") / "page"
    parts = {
        "title": _escape(Path(result.source).name or "result"),
        "style": (page / "page.css").read_text("utf-8"),
        "script": "\n".join((page / name).read_text("utf-8") for name in _SCRIPTS),
        "content": content.replace("<", "\\u003c"),  # or a text in it could end the script element
    }
    template = (page / "page.html").read_text("utf-8")
    text = re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def _content(result: VideoResult, pictures: SmallPictures | None, note: str) -> dict[str, Any]:
    """Everything that the page shows, as JSON values; long arrays are base64 of little-endian numbers."""
    scene = build_scene(result) if any(track.poses3d is not None and len(track) for track in result.tracks) else None
    figures = {figure.track.track_id: figure.joints for figure in scene.figures} if scene else {}
    tracks = [track for track in result.tracks if len(track)]
    skeletons = {track.skeleton for track in tracks} | {t.poses3d.skeleton for t in tracks if t.poses3d}
    times = result.timestamps - result.timestamps[:1].sum()
    return {
        "version": result.version,
        "source": Path(result.source).name,
        "size": list(result.frame_size),
        "rate": result.fps,
        "times": _base64(times, "<f4"),
        "notes": _notes(result, pictures, scene, note),
        "colors": {"left": _css(LEFT), "right": _css(RIGHT)},
        "scene": {"layout": scene.layout, "radius": scene.radius, "height": scene.height} if scene else None,
        "skeletons": {item.name: _skeleton(item) for item in skeletons},
        "people": [_person(track, figures.get(track.track_id)) for track in tracks],
        "pictures": {
            "step": pictures.step,
            "frames": pictures.frames,
            "files": [base64.b64encode(file).decode() for file in pictures.files],
        }
        if pictures
        else None,
    }


def _notes(result: VideoResult, pictures: SmallPictures | None, scene: Scene | None, note: str) -> list[str]:
    """What the reader should know; without the folders of the machine where the page was made."""
    notes = [*result.notes, result.incomplete, note]
    if scene and scene.layout == "side by side" and len(scene.figures) > 1:
        notes.append("3D: people stand side by side in the order of the picture; where they were in space is not known")
    if scene and scene.layout == "in space" and scene.ground == "assumed":
        notes.append("3D: seen from a camera that is taken to be level; the ground is at the lowest feet")
    if pictures and pictures.size != result.frame_size:
        notes.append(f"pictures: {pictures.size[0]} \u00d7 {pictures.size[1]}")
    if pictures and pictures.step > 1:
        notes.append(f"a picture of one frame in {pictures.step}")
    return [note.replace(result.source, Path(result.source).name) for note in notes if note]


def _skeleton(skeleton: Skeleton) -> dict[str, Any]:
    """Names, and lines with the side of the body that they are on."""
    sides = {LEFT: "left", RIGHT: "right"}
    flat = [(a, b, c, sides.get(color, "middle")) for a, b, c, color in drawn_edges(skeleton)]
    lines = [
        (*edge, sides.get(color, "middle")) for edge, color in zip(skeleton.edges, edge_colors(skeleton), strict=True)
    ]
    return {"names": [name.replace("_", " ") for name in skeleton.names], "flat": flat, "lines": lines}


def _person(track: Track, joints: np.ndarray | None) -> dict[str, Any]:
    return {
        "id": track.track_id,
        "color": _css(person_color(track.track_id)),
        "first": int(track.frame_index[0]),
        "count": len(track),
        "observed": _base64(track.observed, "u1"),
        "skeleton": track.skeleton.name,
        "keypoints": _packed(track.keypoints),
        "scores": _base64(np.clip(track.scores * 255, 0, 255).round(), "u1"),
        "top": _packed(track.boxes_xyxy[:, 1]),
        "joints": None if joints is None else _packed(joints),
        "body": None if joints is None else track.poses3d.skeleton.name,
        "root": None if joints is None else track.poses3d.skeleton.parents.index(-1),
        "measured": None if joints is None else track.poses3d.measured.tolist(),
    }


def _packed(values: np.ndarray) -> dict[str, Any]:
    """Numbers as int16 and the unit that they count; 10 m of space are told apart by 0.3 mm, 4000 px by 0.12 px."""
    unit = max(float(np.abs(values).max(initial=0)), 1e-6) / _WHOLE
    return {"unit": unit, "data": _base64(np.round(values / unit), "<i2")}


def _base64(values: np.ndarray, dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values).astype(dtype).tobytes()).decode()


def _css(color: tuple[int, int, int]) -> str:
    return "#" + bytes(color).hex()


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
