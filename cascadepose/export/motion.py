"""The 3D joints of one person as tools for animation and biomechanics want them: upright axes, a constant rate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cascadepose.errors import InputError
from cascadepose.files import atomic_paths, writing
from cascadepose.skeletons import H36M17, Skeleton
from cascadepose.smoothing import resample
from cascadepose.space.feet import lock_feet
from cascadepose.types import Camera, Track, VideoResult

# Half a turn about x: camera axes (x right, y down, z away) -> x right, y up, z towards the camera.
CAMERA_TO_Y_UP = np.diag([1.0, -1.0, -1.0])
# A quarter turn about x: y up -> z up, where the tools of a gait laboratory have it.
Y_UP_TO_Z_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])

IMAGE_RATE = 30.0  # Hz stated for a single image, which has none
_LATE = 0.5  # frames by which a time may be off an even clock before joints are interpolated


@dataclass(frozen=True)
class Motion:
    """One person's joints on an even clock.

    track_id  of the track
    skeleton  of the joints
    rate      frames a second
    start     s, time of the first frame
    frame     number of the first frame in the video
    joints    [T, J, 3] float64 metres, y up. Where the person's place is known, in the world of the result's camera
              (origin on the floor), without one with the camera at the origin, and feet that stand do not move; else
              as they are in the result. x is right and z towards the camera as it was, or the given world's axes
    observed  [T], False where the person was not seen and the pose is interpolated
    sigma     [T, J] metres, one standard deviation relative to the pelvis: the mean over the axes (root of the mean
              variance) where the result knows it; else the 2D standard deviation at the person's size, without the
              error along the line of sight, which is usually the larger one
    """

    track_id: int
    skeleton: Skeleton
    rate: float
    start: float
    frame: int
    joints: np.ndarray
    observed: np.ndarray
    sigma: np.ndarray

    def __len__(self) -> int:
        return len(self.joints)

    @property
    def times(self) -> np.ndarray:
        """Seconds of every frame [T]."""
        return self.start + np.arange(len(self)) / self.rate


def motions(result: VideoResult) -> list[Motion]:
    """Every person of a result that has 3D joints.

    Where the times of a track leave an even clock by more than half a frame, joints are interpolated onto it. Raises
    InputError where nobody has 3D joints, or not a single frame.
    """
    lifted = [track for track in result.tracks if track.poses3d is not None and len(track)]
    if not lifted:
        reason = "nobody was found" if not result.tracks else "it was made without a lifter"
        raise InputError(f"{result.source}: the result has no 3D joints to write ({reason}); use json, npz or csv")
    return [_motion(track, result.fps, result.camera) for track in lifted]


def person_paths(path: Path, people: list[Motion]) -> list[Path]:
    """The file of each person: `path` itself for one person, with the track's id at the end of its name for several."""
    if len(people) == 1:
        return [path]
    return [path.with_name(f"{path.stem}-{person.track_id}{path.suffix}") for person in people]


def write_people(path: Path, people: list[Motion], write: Callable[[Motion, Path, str], None]) -> list[Path]:
    """Write the file of each person, all of them or none: `write` gets the person, a temporary path and the name that
    the file will have. Returns the files, see `person_paths`. Raises InputError where the place cannot be written.
    """
    paths = person_paths(path, people)
    with atomic_paths(paths) as temporaries:
        for person, file, temporary in zip(people, paths, temporaries, strict=True):
            with writing(file):
                write(person, temporary, file.name)
    return paths


def to_y_up(joints: np.ndarray, frame: str) -> np.ndarray:
    """Joints [..., 3] of a `Poses3D.frame` -> y up, float64; "world" has it already."""
    joints = np.asarray(joints, np.float64)
    return joints if frame == "world" else joints @ CAMERA_TO_Y_UP.T


def place_joints(track: Track, camera: Camera | None) -> np.ndarray:
    """The joints of a track [T, J, 3] where Motion.joints says that they are."""
    pose = track.poses3d
    if track.root is None or pose.frame != "root-relative":
        return to_y_up(pose.joints, pose.frame)
    world = camera is not None and camera.world != "none"
    pose = track.in_world(camera) if world else track.in_camera()
    joints = to_y_up(pose.joints, pose.frame)
    if track.contacts is None or not track.contacts.any() or pose.skeleton != H36M17:
        return joints
    return lock_feet(joints, track.contacts, track.timestamp, track.observed, 0.0 if world else None)


def _motion(track: Track, fps: float | None, camera: Camera | None) -> Motion:
    pose, times = track.poses3d, track.timestamp
    rate = fps or (1 / np.diff(times).mean() if len(times) > 1 else IMAGE_RATE)
    values = {"joints": place_joints(track, camera), "observed": track.observed, "sigma": _sigma(track)}
    even = times[0] + np.arange(len(times)) / rate
    if np.abs(times - even).max() * rate > _LATE:
        even = times[0] + np.arange(round((times[-1] - times[0]) * rate) + 1) / rate
        values = {name: resample(np.asarray(value, np.float64), times, even) for name, value in values.items()}
        values["observed"] = values["observed"] > 0.5
    return Motion(track.track_id, pose.skeleton, float(rate), float(times[0]), int(track.frame_index[0]), **values)


def _sigma(track: Track) -> np.ndarray:
    """As Motion.sigma: pixels -> metres by the size of the person in the image and in space, where nothing better is
    known.
    """
    pose = track.poses3d
    if pose.sigma is not None:
        return np.sqrt((pose.sigma.astype(np.float64) ** 2).mean(-1))
    keypoints, sigma = track.keypoints, track.sigma.mean(-1, keepdims=True)
    if track.skeleton != pose.skeleton:
        keypoints = track.skeleton.convert(keypoints, to=pose.skeleton)[0]
        sigma = track.skeleton.convert(sigma, to=pose.skeleton)[0]  # of a mean: at most the mean of theirs
    pixels, metres = keypoints.std(1).max(-1), pose.joints[..., :2].std(1).max(-1)
    scale = np.divide(metres, pixels, out=np.zeros_like(metres), where=pixels > 1e-6)
    return (sigma[..., 0] * scale[:, None]).astype(np.float64)
