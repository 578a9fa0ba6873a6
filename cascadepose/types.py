"""Result types: frozen records of numpy arrays, validated once when made, sliceable.

Axes: F frames of the video, T frames of one track, P people in one frame, K 2D keypoints, J 3D joints. Pixels are
those of the original (upright) frame, x right and y down. Times are seconds, 3D joints are metres.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cascadepose.errors import InputError
from cascadepose.skeletons import COCO17, H36M17, Skeleton

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pandas

__all__ = ["Camera", "Detections", "Poses2D", "Poses3D", "Track", "VideoResult"]

Frame = Literal["root-relative", "camera", "world"]
_FRAMES = ("root-relative", "camera", "world")


def _validate(record: Any, **specs: str) -> None:
    """Store each named field as a checked array of its own.

    A spec is "axes" or "axes:dtype" (default float32); equal axis letters mean equal lengths, numbers are fixed.
    """
    kind, lengths = type(record).__name__, {}
    for name, spec in specs.items():
        axes, _, dtype = spec.partition(":")
        wanted = axes.split()
        array = np.ascontiguousarray(getattr(record, name), dtype=dtype or "float32").copy()
        fits = array.ndim == len(wanted) and all(
            size == (int(axis) if axis.isdigit() else lengths.setdefault(axis, size))
            for axis, size in zip(wanted, array.shape, strict=True)
        )
        if not fits:
            known = {axis: lengths[axis] for axis in wanted if axis in lengths}
            raise InputError(f"{kind}.{name} has shape {array.shape}, expected [{', '.join(wanted)}] with {known}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            count = int((~np.isfinite(array)).sum())
            raise InputError(
                f"{kind}.{name} holds {count} NaN or infinite values; remove them or mark those frames as unobserved"
            )
        object.__setattr__(record, name, array)


def _select(record: Any, index: Any, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The named fields indexed along their first axis; a single number keeps the axis."""
    if isinstance(index, int | np.integer):
        count = len(record)
        if not -count <= index < count:
            raise IndexError(f"index {index} is out of range for {count} entries of {type(record).__name__}")
        index = [index]
    return {name: getattr(record, name)[index] for name in names}


def _given(record: Any, **specs: str) -> dict[str, str]:
    """Of optional fields those that are not None."""
    return {name: spec for name, spec in specs.items() if getattr(record, name) is not None}


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return str(list(value.shape))
    return value.name if isinstance(value, Skeleton) else repr(value)


class _Record:
    """Prints arrays as their shapes, so that a result fits on the screen."""

    def __repr__(self) -> str:
        shown = (f"{item.name}={_short(getattr(self, item.name))}" for item in fields(self))
        return f"{type(self).__name__}({', '.join(shown)})"


@dataclass(frozen=True, eq=False, repr=False)
class Detections(_Record):
    """Boxes of the people in one frame: boxes_xyxy [P,4] px, scores [P] in 0..1."""

    boxes_xyxy: np.ndarray
    scores: np.ndarray

    def __post_init__(self) -> None:
        _validate(self, boxes_xyxy="P 4", scores="P")

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: Any) -> Detections:
        return Detections(**_select(self, index, ("boxes_xyxy", "scores")))


@dataclass(frozen=True, eq=False, repr=False)
class Poses2D(_Record):
    """2D poses of the people in one frame.

    keypoints [P,K,2] px, scores [P,K] in 0..1, sigma [P,K,2] px (one standard deviation in x and y),
    boxes_xyxy [P,4] px, box_scores [P].
    """

    keypoints: np.ndarray
    scores: np.ndarray
    sigma: np.ndarray
    boxes_xyxy: np.ndarray
    box_scores: np.ndarray
    skeleton: Skeleton = COCO17

    _rows = ("keypoints", "scores", "sigma", "boxes_xyxy", "box_scores")

    def __post_init__(self) -> None:
        k = self.skeleton.num_joints
        shapes = {"keypoints": f"P {k} 2", "scores": f"P {k}", "sigma": f"P {k} 2"}
        _validate(self, **shapes, boxes_xyxy="P 4", box_scores="P")

    @classmethod
    def empty(cls, skeleton: Skeleton = COCO17) -> Poses2D:
        """A frame with nobody in it."""
        k = skeleton.num_joints
        shapes = ((0, k, 2), (0, k), (0, k, 2), (0, 4), (0,))
        return cls(*(np.zeros(shape, np.float32) for shape in shapes), skeleton)

    def __len__(self) -> int:
        return len(self.box_scores)

    def __getitem__(self, index: Any) -> Poses2D:
        """The chosen people (number, slice, mask or list of numbers)."""
        return Poses2D(**_select(self, index, self._rows), skeleton=self.skeleton)


@dataclass(frozen=True, eq=False, repr=False)
class Poses3D(_Record):
    """3D joints [T,J,3] in metres over time; measured [J] is False for joints synthesised from others.

    sigma [T,J,3]: one standard deviation in metres along each axis of the frame, where it is known.

    The frame they are in: "root-relative": pelvis at the origin, axes of the camera (x right, y down, z away);
    "camera": the same axes, origin at the camera centre; "world": y up, origin on the ground.
    """

    joints: np.ndarray
    frame: Frame = "root-relative"
    measured: np.ndarray | None = None
    skeleton: Skeleton = H36M17
    sigma: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.frame not in _FRAMES:
            raise InputError(f"Poses3D.frame is {self.frame!r}, expected one of {', '.join(_FRAMES)}")
        j = self.skeleton.num_joints
        if self.measured is None:
            object.__setattr__(self, "measured", np.ones(j, bool))
        _validate(self, joints=f"T {j} 3", measured=f"{j}:bool", **_given(self, sigma=f"T {j} 3"))

    def __len__(self) -> int:
        return len(self.joints)

    def __getitem__(self, index: Any) -> Poses3D:
        """The chosen frames."""
        return replace(self, **_select(self, index, ("joints", *_given(self, sigma=""))))


@dataclass(frozen=True, eq=False, repr=False)
class Camera(_Record):
    """A pinhole camera that stands still.

    focal (fx, fy) px, center (cx, cy) px, image_size (w, h) px, distortion (k1, k2, k3 radial, p1, p2 tangential; none
    by default). A world point X is at rotation @ X + translation in the camera frame (x right, y down, z away; metres).
    `origin` says where the intrinsics come from, so that an assumption is never passed on as a fact; `world` the same
    of rotation and translation: "none" (they mean nothing), "given", "fitted" to the feet of people, or "assumed".
    """

    focal: np.ndarray
    center: np.ndarray
    image_size: tuple[int, int]
    rotation: np.ndarray = field(default_factory=lambda: np.eye(3))
    translation: np.ndarray = field(default_factory=lambda: np.zeros(3))
    origin: Literal["given", "metadata", "assumed"] = "given"
    distortion: np.ndarray = field(default_factory=lambda: np.zeros(5))
    world: Literal["none", "given", "fitted", "assumed"] = "none"

    def __post_init__(self) -> None:
        _validate(self, focal="2:float64", center="2:float64", rotation="3 3:float64", translation="3:float64")
        _validate(self, distortion="5:float64")
        if (self.focal <= 0).any():
            raise InputError(f"Camera.focal is {tuple(self.focal)}, expected two lengths in pixels above zero")

    @property
    def matrix(self) -> np.ndarray:
        """The intrinsic matrix [3,3]."""
        (fx, fy), (cx, cy) = self.focal, self.center
        return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])

    @property
    def intrinsics(self) -> np.ndarray:
        """[9] as geometry.project and back_project take them."""
        return np.concatenate([self.focal, self.center, self.distortion])

    def to_camera(self, points: np.ndarray) -> np.ndarray:
        """World points [...,3] in the camera frame, metres."""
        return points @ self.rotation.T + self.translation

    def to_world(self, points: np.ndarray) -> np.ndarray:
        """Inverse of `to_camera`."""
        return (points - self.translation) @ self.rotation


@dataclass(frozen=True, eq=False, repr=False)
class Track(_Record):
    """One person through the video: every frame from the first to the last sighting, without holes.

    frame_index [T] (consecutive), timestamp [T] s, boxes_xyxy [T,4] px, box_scores [T], keypoints [T,K,2] px,
    scores [T,K], sigma [T,K,2] px, observed [T]. Where observed is False the person was not seen: boxes and keypoints
    are interpolated, scores are 0.

    Where the person is in space, if known: root [T,3], the pelvis in the camera frame (m; poses3d stays root-relative),
    root_sigma [T,3], one standard deviation (m); contacts [T,2], whether the left and the right foot stand still.
    """

    track_id: int
    frame_index: np.ndarray
    timestamp: np.ndarray
    boxes_xyxy: np.ndarray
    box_scores: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray
    sigma: np.ndarray
    observed: np.ndarray
    poses3d: Poses3D | None = None
    skeleton: Skeleton = COCO17
    root: np.ndarray | None = None
    root_sigma: np.ndarray | None = None
    contacts: np.ndarray | None = None

    _rows = ("frame_index", "timestamp", "boxes_xyxy", "box_scores", "keypoints", "scores", "sigma", "observed")
    _space = {"root": "T 3", "root_sigma": "T 3", "contacts": "T 2:bool"}

    def __post_init__(self) -> None:
        k = self.skeleton.num_joints
        shapes = {"keypoints": f"T {k} 2", "scores": f"T {k}", "sigma": f"T {k} 2"}
        times = {"frame_index": "T:int64", "timestamp": "T:float64", "observed": "T:bool"}
        _validate(self, **times, **shapes, boxes_xyxy="T 4", box_scores="T", **_given(self, **self._space))
        if (np.diff(self.frame_index) != 1).any():
            raise InputError(f"Track {self.track_id}: frame_index must rise by one; fill gaps with observed=False")
        if self.poses3d is not None and len(self.poses3d) != len(self):
            raise InputError(f"Track {self.track_id}: {len(self)} frames but {len(self.poses3d)} frames of 3D joints")

    def __len__(self) -> int:
        return len(self.frame_index)

    def __getitem__(self, index: int | slice) -> Track:
        """The chosen consecutive frames (positions in the track, not frame numbers)."""
        poses3d = None if self.poses3d is None else self.poses3d[index]
        rows = (*self._rows, *_given(self, **self._space))
        return replace(self, **_select(self, index, rows), poses3d=poses3d)

    def in_camera(self) -> Poses3D:
        """The 3D joints in the camera frame: root-relative joints moved to the root, their variances added.

        Raises InputError where joints or root are not known.
        """
        if self.poses3d is None or self.root is None:
            raise InputError(f"track {self.track_id}: has no place in space; it needs a lifter and space.place_people")
        pose, sigma = self.poses3d, self.poses3d.sigma
        if sigma is not None and self.root_sigma is not None:
            sigma = np.hypot(sigma, self.root_sigma[:, None])
        return replace(pose, joints=pose.joints + self.root[:, None], frame="camera", sigma=sigma)

    def in_world(self, camera: Camera) -> Poses3D:
        """The 3D joints in the world of `camera`: metres, y up, origin on the ground.

        Raises InputError where joints or root are not known, or the camera has no world.
        """
        if camera.world == "none":
            raise InputError(f"track {self.track_id}: the camera has no world; it comes with a ground plane")
        pose = self.in_camera()
        sigma = None if pose.sigma is None else np.sqrt(pose.sigma**2 @ camera.rotation**2)
        return replace(pose, joints=camera.to_world(pose.joints), frame="world", sigma=sigma)

    def row(self, frame_index: int) -> int | None:
        """The position of a video frame in this track, None where the track does not reach."""
        row = frame_index - int(self.frame_index[0]) if len(self) else -1
        return row if 0 <= row < len(self) else None


@dataclass(frozen=True, eq=False, repr=False)
class VideoResult(_Record):
    """Everything found in one image, folder, video or camera recording.

    tracks         one per person, by track_id
    frame_size     (w, h) px
    fps            average rate, None for a single image
    timestamps     [F] s of every frame processed, those without people too
    source         what was read
    weights        what each stage ran with
    incomplete     why the end of the source is missing, empty if all of it was processed
    notes          what else the user should know
    stage_seconds  time spent per stage
    camera         what the roots of the tracks were found with, None without them
    """

    tracks: tuple[Track, ...]
    frame_size: tuple[int, int]
    fps: float | None
    timestamps: np.ndarray
    source: str
    weights: dict[str, Any] = field(default_factory=dict)
    version: str = ""
    incomplete: str = ""
    notes: tuple[str, ...] = ()
    stage_seconds: dict[str, float] = field(default_factory=dict)
    camera: Camera | None = None

    def __post_init__(self) -> None:
        _validate(self, timestamps="F:float64")
        object.__setattr__(self, "tracks", tuple(self.tracks))
        object.__setattr__(self, "frame_size", tuple(int(side) for side in self.frame_size))

    def __len__(self) -> int:
        return len(self.tracks)

    def __iter__(self) -> Iterator[Track]:
        return iter(self.tracks)

    @property
    def num_frames(self) -> int:
        """How many frames were processed."""
        return len(self.timestamps)

    def people(self, frame_index: int) -> list[tuple[Track, int]]:
        """Each track that reaches this frame, with its row there."""
        return [(track, row) for track in self.tracks if (row := track.row(frame_index)) is not None]

    def save(self, path: str | Path, formats: Iterable[str] | None = None) -> list[Path]:
        """Write the result; returns the files made.

        path     a name ending in .json, .npz, .csv, .bvh, .trc, .c3d, .glb or .html makes that file, any other a folder
        formats  what the folder gets, such as ["json", "bvh"]; by default json and npz
        See docs/exports.md. Raises InputError where something cannot be written; no file is left half-written.
        """
        from cascadepose.export import save_result

        return save_result(self, path, formats)

    def to_frame(self) -> pandas.DataFrame:
        """A pandas frame with a row for each track, frame and joint; columns as in docs/exports.md.

        Raises InputError where pandas is missing.
        """
        from cascadepose.export.csv import to_frame

        return to_frame(self)

    def overlay(self, path: str | Path, source: Any = None, progress: Callable | None = None, **style: Any) -> Path:
        """Draw the poses over the source: .mp4 of a video, .png or .jpg of an image.

        The frames are read again from where they came, or from `source`.
        """
        from cascadepose.visualize.overlay import write_overlay

        return write_overlay(self, path, source=source, progress=progress, **style)

    def _repr_html_(self) -> str:
        """What a notebook shows: a frame with the poses drawn, and a table of the people."""
        from cascadepose.visualize.notebook import to_html

        return to_html(self)
