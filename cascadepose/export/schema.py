"""What a result file holds, whatever its format: a header of plain values, and named arrays for each track."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from cascadepose.errors import InputError
from cascadepose.skeletons import SKELETONS, Skeleton, declaration, declare
from cascadepose.types import Camera, Poses3D, Track, VideoResult

FORMAT = "cascadepose-poses/1"
DECIMALS = {  # of text formats: 1 microsecond, 0.01 px, 0.1 mm
    "timestamp": 6,
    "boxes_xyxy": 2,
    "box_scores": 4,
    "keypoints": 2,
    "scores": 4,
    "sigma": 2,
    "joints": 4,
    "joints_sigma": 4,
    "root": 4,
    "root_sigma": 4,
}
TRACK_ARRAYS = ("frame_index", "timestamp", "observed", "boxes_xyxy", "box_scores", "keypoints", "scores", "sigma")
SPACE_ARRAYS = {"root": 3, "root_sigma": 3, "contacts": 2}  # where a track has them, and their last axis

_CAMERA_ARRAYS = ("focal", "center", "distortion", "rotation", "translation")


def header(result: VideoResult) -> dict[str, Any]:
    """Everything of a result except timestamps and tracks, as plain JSON values."""
    used = {track.skeleton for track in result.tracks} | {t.poses3d.skeleton for t in result.tracks if t.poses3d}
    return {
        "format": FORMAT,
        "version": result.version,
        "source": result.source,
        "frame_size": list(result.frame_size),
        "fps": result.fps,
        "num_frames": result.num_frames,
        "incomplete": result.incomplete,
        "notes": list(result.notes),
        "weights": result.weights,
        "camera": _describe_camera(result.camera),
        "stage_seconds": {name: round(seconds, 4) for name, seconds in result.stage_seconds.items()},
        "skeletons": {item.name: _describe(item) for item in sorted(used, key=lambda item: item.name)},
    }


def track_header(track: Track) -> dict[str, Any]:
    """What a track states besides its arrays."""
    pose = track.poses3d
    return {
        "track_id": track.track_id,
        "skeleton": track.skeleton.name,
        "joints_skeleton": pose.skeleton.name if pose else None,
        "joints_frame": pose.frame if pose else None,
        "joints_unit": "metre" if pose else None,
        "root_frame": None if track.root is None else "camera",
    }


def track_arrays(track: Track) -> dict[str, np.ndarray]:
    """The arrays of a track by name."""
    arrays = {name: getattr(track, name) for name in (*TRACK_ARRAYS, *SPACE_ARRAYS)}
    if track.poses3d is not None:
        arrays |= {"joints": track.poses3d.joints, "joints_measured": track.poses3d.measured}
        arrays["joints_sigma"] = track.poses3d.sigma
    return {name: array for name, array in arrays.items() if array is not None}


def check_finite(result: VideoResult) -> None:
    """Raises InputError for NaN and infinite numbers, which records refuse but their arrays can be given later."""
    arrays = [("timestamps", result.timestamps)]
    for track in result.tracks:
        arrays += [(f"{name} of track {track.track_id}", array) for name, array in track_arrays(track).items()]
    for name, array in arrays:
        wrong = array.size - int(np.isfinite(array).sum())
        if wrong:
            raise InputError(f"{result.source}: {wrong} values in the {name} are NaN or infinite; nothing is written")


def build_track(head: dict[str, Any], array: Callable[[str], Any], described: dict[str, Any] | None = None) -> Track:
    """A track from its header and a function that gives its arrays by name; described: the header's `skeletons`."""
    pose = None
    if head["joints_skeleton"]:
        measured = np.asarray(array("joints_measured"), bool)
        skeleton = _skeleton(head["joints_skeleton"], described)
        sigma = _optional(array, "joints_sigma")
        sigma = None if sigma is None else _shaped(sigma, skeleton, 3)
        pose = Poses3D(_shaped(array("joints"), skeleton, 3), head["joints_frame"], measured, skeleton, sigma)
    skeleton = _skeleton(head["skeleton"], described)
    arrays = {name: array(name) for name in TRACK_ARRAYS}
    for name, size in (("keypoints", 2), ("sigma", 2)):
        arrays[name] = _shaped(arrays[name], skeleton, size)
    for name, size in SPACE_ARRAYS.items():
        values = _optional(array, name)
        arrays[name] = None if values is None else np.asarray(values).reshape(-1, size)
    return Track(int(head["track_id"]), **arrays, poses3d=pose, skeleton=skeleton)


def build_result(head: dict[str, Any], timestamps: Any, tracks: list[Track]) -> VideoResult:
    """A result from its header, times and tracks."""
    return VideoResult(
        tuple(tracks),
        tuple(head["frame_size"]),
        head["fps"],
        np.asarray(timestamps, np.float64),
        head["source"],
        head["weights"],
        head["version"],
        head["incomplete"],
        tuple(head["notes"]),
        head["stage_seconds"],
        _build_camera(head.get("camera")),
    )


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong while a result file is read into one line that names it."""
    try:
        yield
    except InputError as error:
        raise InputError(error if str(path) in str(error) else f"{path}: {error}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); check the path") from None
    except Exception as error:  # a damaged file can fail anywhere
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path}: no readable poses ({reason}); the file is damaged or cut off, make it again"
        ) from None


def check_format(path: Path, head: Any) -> dict[str, Any]:
    """The header if it is one of ours and of this version."""
    found = head.get("format") if isinstance(head, dict) else None
    if not isinstance(found, str) or not found.startswith(FORMAT.split("/")[0]):
        raise InputError(f"{path}: holds no poses of cascadepose; give a file that `cascadepose infer` wrote")
    if found != FORMAT:
        raise InputError(f"{path}: has format {found}, this version reads {FORMAT}; update cascadepose")
    return head


def _describe(skeleton: Skeleton) -> dict[str, Any]:
    """Names, edges and parents; all there is of a joint set that is not known by its name."""
    described = {
        "names": list(skeleton.names),
        "edges": [list(edge) for edge in skeleton.edges],
        "parents": list(skeleton.parents),
    }
    declared = declaration(skeleton)
    return described if isinstance(declared, str) else described | declared


def _skeleton(name: str, described: dict[str, Any] | None) -> Skeleton:
    if name in SKELETONS:
        return SKELETONS[name]
    if not described or name not in described:
        raise InputError(f"has joints of the unknown skeleton {name!r}; known: {', '.join(SKELETONS)}")
    return declare(described[name], f"skeleton {name}", name)


def _optional(array: Callable[[str], Any], name: str) -> Any:
    """An array that files need not have, None without it."""
    try:
        return array(name)
    except KeyError:
        return None


def _describe_camera(camera: Camera | None) -> dict[str, Any] | None:
    if camera is None:
        return None
    arrays = {name: getattr(camera, name).tolist() for name in _CAMERA_ARRAYS}
    return arrays | {"image_size": list(camera.image_size), "origin": camera.origin, "world": camera.world}


def _build_camera(described: dict[str, Any] | None) -> Camera | None:
    if described is None:
        return None
    arrays = {name: np.asarray(described[name], np.float64) for name in _CAMERA_ARRAYS}
    size = tuple(described["image_size"])
    return Camera(**arrays, image_size=size, origin=described["origin"], world=described["world"])


def _shaped(values: Any, skeleton: Skeleton, size: int) -> np.ndarray:
    """An array [T, joints, size] even where T is 0 and a text format has lost the shape."""
    values = np.asarray(values, np.float32)
    return values if values.size else values.reshape(0, skeleton.num_joints, size)
