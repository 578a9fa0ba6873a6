"""Poses drawn over the frames they were found in, with a strip of 3D skeletons beside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cascadepose.data.frames import FrameSource, open_source
from cascadepose.errors import InputError
from cascadepose.files import atomic_path
from cascadepose.skeletons import COCO17, Skeleton
from cascadepose.timing import StageClock
from cascadepose.types import Track, VideoResult
from cascadepose.visualize.plot3d import Panel, fitting_scale, floor_height
from cascadepose.visualize.scene import assign_slots
from cascadepose.visualize.style import (
    MIDDLE,
    OUTLINE,
    Color,
    draw_dot,
    draw_line,
    draw_tag,
    drawn_edges,
    person_color,
)

_MAX_SLOTS = 8
_FACE = ("nose", "eye", "ear")
_PICTURES = (".png", ".jpg", ".jpeg", ".webp")


def draw_pose(
    image: np.ndarray,
    keypoints: np.ndarray,
    scores: np.ndarray,
    min_score: float = 0.3,
    width: float | None = None,
    skeleton: Skeleton = COCO17,
) -> None:
    """Draw one 2D skeleton in place: left orange, right blue, the rest white.

    image uint8 [H,W,3] RGB; keypoints [K,2] px; scores [K], joints below min_score are left out; width of the limbs in
    px, by default fitted to the size of the person.
    """
    shown = scores >= min_score
    if width is None:
        width = _limb_width(keypoints[shown], image.shape)
    lines = _lines(keypoints, shown, skeleton)
    for a, b, _ in lines:
        draw_line(image, a, b, OUTLINE, width * 1.9)
    for a, b, color in lines:
        draw_line(image, a, b, color, width)
    for joint in np.flatnonzero(shown):
        radius = width * (0.75 if skeleton.names[joint].endswith(_FACE) else 1.05)
        draw_dot(image, keypoints[joint], OUTLINE, radius)
        draw_dot(image, keypoints[joint], MIDDLE, radius * 0.67)


def _lines(keypoints: np.ndarray, shown: np.ndarray, skeleton: Skeleton) -> list[tuple[np.ndarray, np.ndarray, Color]]:
    """The visible lines with their colours."""
    return [
        (keypoints[a], keypoints[[b, c]].mean(0), color)
        for a, b, c, color in drawn_edges(skeleton)
        if shown[[a, b, c]].all()
    ]


class OverlayPainter:
    """Paints the frames of one result; the layout (one slot of the 3D strip for each person) stays fixed throughout.

    boxes: draw the boxes too; panel: the strip of 3D skeletons; min_score: keypoints below it are not drawn.
    """

    def __init__(
        self, result: VideoResult, boxes: bool = False, panel: bool = True, min_score: float = 0.3, yaw: float = 28.0
    ) -> None:
        self._result, self._boxes, self._min_score = result, boxes, min_score
        width, height = result.frame_size
        self._unit = max(min(width, height) / 480, 0.5)
        self._slots = assign_slots([t for t in result.tracks if panel and t.poses3d is not None], _MAX_SLOTS)
        count = max(self._slots.values(), default=-1) + 1
        self._columns, self._rows, panel_width, panel_height = _grid(count, width, height)
        self._panel = Panel(panel_width, panel_height, yaw=yaw) if count else None
        self._strip_width = self._columns * panel_width
        self._floors = {track.track_id: floor_height(track.poses3d.joints) for track in self._shown()}
        self._scales = {track.track_id: fitting_scale(track.poses3d.joints) for track in self._shown()}

    def paint(self, frame_index: int, image: np.ndarray) -> np.ndarray:
        """The frame uint8 [H,W,3] RGB with everything drawn, and the 3D strip to its right: [H,W',3]."""
        height, width = image.shape[:2]
        canvas = np.empty((height, width + self._strip_width, 3), np.uint8)
        frame = canvas[:, :width]
        frame[:] = image
        people = sorted(self._result.people(frame_index), key=lambda item: item[0].boxes_xyxy[item[1], 3])
        seen = [(track, row) for track, row in people if track.observed[row]]
        for track, row in seen:
            self._draw_person(frame, track, row)
        for track, row in seen:
            left, top, right, _ = track.boxes_xyxy[row]
            anchor = ((left + right) / 2 - 6 * self._unit, top - 2 * self._unit)
            draw_tag(frame, f"{track.track_id}", anchor, person_color(track.track_id), 15 * self._unit)
        if self._panel is not None:
            self._fill_strip(canvas[:, width:], people)
        return canvas

    def _shown(self) -> list[Track]:
        return [track for track in self._result.tracks if track.track_id in self._slots]

    def _draw_person(self, canvas: np.ndarray, track: Track, row: int) -> None:
        color, box = person_color(track.track_id), track.boxes_xyxy[row]
        if self._boxes:
            corners = box[[0, 1, 2, 1, 2, 3, 0, 3]].reshape(4, 2)
            for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
                draw_line(canvas, a, b, color, 1.5 * self._unit)
        draw_pose(canvas, track.keypoints[row], track.scores[row], self._min_score, skeleton=track.skeleton)

    def _fill_strip(self, strip: np.ndarray, people: list[tuple[Track, int]]) -> None:
        tiles = dict.fromkeys(range(self._columns * self._rows), self._panel.empty())
        for track, row in people:
            if track.track_id in self._slots:
                tiles[self._slots[track.track_id]] = self._draw_tile(track, row)
        strip[:] = 0
        for slot, tile in tiles.items():
            x, y = slot // self._rows * tile.shape[1], slot % self._rows * tile.shape[0]
            strip[y : y + tile.shape[0], x : x + tile.shape[1]] = tile

    def _draw_tile(self, track: Track, row: int) -> np.ndarray:
        number, pose = track.track_id, track.poses3d
        floor, scale = self._floors[number][row], self._scales[number]
        tile = self._panel.draw(pose.joints[row], floor, scale, bool(track.observed[row]), pose.skeleton)
        draw_tag(tile, f"{number}", (8 * self._unit, 29 * self._unit), person_color(number), 15 * self._unit)
        return tile


def write_overlay(
    result: VideoResult,
    path: str | Path,
    source: Any = None,
    progress: Callable[[int], Any] | None = None,
    clock: StageClock | None = None,
    **style: Any,
) -> Path:
    """Draw a result over its frames: .mp4 of a video, .png, .jpg or .webp of a single image.

    source: what to draw on, by default what the result was made from, read again so that no frame is kept in memory;
    progress: called with the number of frames each time some are done; clock: counts decode, draw and write;
    style: arguments of OverlayPainter.

    Raises InputError where the suffix does not fit, the source cannot be read again or the place cannot be written.
    """
    path = Path(path)
    single = result.fps is None
    _check_suffix(path, single)
    if not result.num_frames:
        raise InputError(f"{path}: no frame was processed, so there is nothing to draw")
    clock = clock or StageClock()
    frames = reopen_source(result, source)
    if path.exists() and Path(frames.name).exists() and path.samefile(frames.name):
        raise InputError(f"{path}: the overlay would take the place of its own input; choose another name or folder")
    painter = OverlayPainter(result, **style)
    if single:
        with clock.stage("draw"):
            picture = painter.paint(0, next(iter(frames)).image)
        with clock.stage("write"):
            write_picture(path, picture)
    else:
        _write_video(result, path, frames, painter, clock, progress or (lambda count: None))
    return path


def _write_video(
    result: VideoResult,
    path: Path,
    frames: FrameSource,
    painter: OverlayPainter,
    clock: StageClock,
    progress: Callable[[int], Any],
) -> None:
    from cascadepose.data.video_writer import open_video_writer

    with open_video_writer(path, result.fps or 30.0) as video:
        for frame in clock.waiting("decode", frames):
            with clock.stage("draw"):
                picture = painter.paint(frame.index, frame.image)
            with clock.stage("write"):
                video.write(picture, result.timestamps[frame.index] - result.timestamps[0])
            progress(1)
            if frame.index + 1 == result.num_frames:  # what lies beyond was never processed, perhaps for a reason
                break


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Write uint8 [H,W,3] RGB in the format of the suffix. Raises InputError where it cannot be written."""
    from PIL import Image

    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary, quality=92)


def _check_suffix(path: Path, single: bool) -> None:
    wanted = _PICTURES if single else (".mp4",)
    if path.suffix.lower() not in wanted:
        kind = "an image" if single else "a video"
        raise InputError(f"{path}: the overlay of {kind} is written as {' or '.join(wanted)}; change the suffix")


def reopen_source(result: VideoResult, source: Any = None) -> FrameSource:
    """The frames that a result was made from, or `source`. Raises InputError where they do not fit the result."""
    frames = open_source(result.source if source is None else source, result.fps)
    if frames.live and source is None:
        raise InputError(
            f"{result.source}: a live source cannot be read again; record it, or give the frames as `source`"
        )
    if tuple(frames.size) != result.frame_size:
        sizes = " and ".join("x".join(map(str, size)) for size in (result.frame_size, frames.size))
        raise InputError(
            f"{frames.name}: poses and frames are of different size ({sizes}); give the frames they came from"
        )
    return frames


def _limb_width(points: np.ndarray, shape: tuple[int, ...]) -> float:
    """Limbs are thin on small people and in small frames."""
    if len(points) < 2:
        return 1.0
    extent = float(np.ptp(points, axis=0).max())
    largest = max(min(shape[:2]) / 140, 1.5)
    return float(np.clip(extent / 75, 1.0, largest))


def _grid(count: int, width: int, height: int) -> tuple[int, int, int, int]:
    """Columns, rows, and the size of each panel in a strip as high as the frame."""
    columns = 1 if count <= 3 else 2
    rows = max(-(-count // columns), 1)
    panel_height = height // rows
    panel_width = int(min(0.5 * min(width, height), 1.1 * panel_height)) if count else 0
    return columns, rows, panel_width, panel_height
