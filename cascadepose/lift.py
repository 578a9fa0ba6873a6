"""2D poses that somebody else found, or an earlier run, to 3D.

    result = lift_file("alphapose-results.json", size=(1280, 720), fps=30)
    result.save("out")

Tracks keep the joints of the file; the lifter sees them as its own, see `normalization.presented_skeleton`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cascadepose import __version__
from cascadepose.data.frames import FrameSource, open_source
from cascadepose.data.results2d import FORMATS, People2D, read_people
from cascadepose.errors import InputError
from cascadepose.export import is_result, load_result
from cascadepose.loading import LIFTER_WEIGHTS, load_lifter, on_backend
from cascadepose.pipeline import LIFT, Pipeline
from cascadepose.smoothing import CUTOFF, check_smoothing
from cascadepose.smoothing import smooth as smooth_signal
from cascadepose.space import SpaceSettings, make_camera
from cascadepose.timing import StageClock
from cascadepose.types import Track, VideoResult

__all__ = ["OWN", "lift_file", "lift_result", "read_poses"]

OWN = "cascadepose"  # the format of our own results, beside those of `read_people`
_SEEN = ("track_id", "frame_index", "timestamp", "boxes_xyxy", "box_scores", "keypoints", "scores", "sigma", "observed")
_SEEN += ("skeleton",)  # what a track knows before it is lifted
_SPACE = SpaceSettings()
_MIN_HITS = 3  # frames in which a person without an id has to be seen, as in a video
_MARGIN = 0.25  # of the frame's size by which joints may lie beyond its border
_FRACTIONS = 2.0  # px; a file whose joints all lie within it counts in something else than pixels


def lift_file(
    path: str | Path,
    lifter: str | Path | None = LIFTER_WEIGHTS,
    *,
    format: str | None = None,
    joints: str | None = None,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    video: Any = None,
    first_frame: int = 0,
    device: str | None = None,
    flip_test: bool = True,
    smooth: str = "butterworth",
    cutoff: float | None = None,
    clock: StageClock | None = None,
    space: SpaceSettings | None = _SPACE,
    backend: str = "torch",
    onnx_folder: str | Path | None = None,
) -> VideoResult:
    """Read 2D poses from a file and lift them: `read_poses`, then `lift_result`, whose arguments these are.

    clock  counts the time of each stage
    Raises InputError as they do.
    """
    clock = clock or StageClock()
    with clock.stage("read"):
        what = {"format": format, "joints": joints, "size": size, "fps": fps, "video": video}
        result = read_poses(path, **what, first_frame=first_frame)
    return lift_result(result, lifter, device, flip_test, smooth, cutoff, clock, space, backend, onnx_folder)


def lift_result(
    result: VideoResult,
    lifter: str | Path | None = LIFTER_WEIGHTS,
    device: str | None = None,
    flip_test: bool = True,
    smooth: str = "butterworth",
    cutoff: float | None = None,
    clock: StageClock | None = None,
    space: SpaceSettings | None = _SPACE,
    backend: str = "torch",
    onnx_folder: str | Path | None = None,
) -> VideoResult:
    """The same 2D tracks with the 3D joints of this lifter instead of those they may have, placed in space anew.

    lifter     packaged name, path or hub address; None for 2D only
    device     such as "cpu" or "cuda:1"; None takes a GPU where there is one
    flip_test  average the lifter's answer with that for the mirrored person
    smooth     of the 3D joints: "butterworth", "savgol" or "none", see smoothing.smooth; 2D stays as it is
    cutoff     Hz from which motion counts as noise; None: smoothing.CUTOFF
    space      how people are placed in space; None leaves them without a place
    backend    what the lifter runs on, "torch" or "onnx"; onnx_folder: of its file, see loading.load

    A track for which the lifter answers NaN stays in 2D, and a note says so. Raises InputError for an unknown lifter,
    device, backend or method, and for joints that the lifter cannot be given.
    """
    cutoff = CUTOFF if cutoff is None else cutoff
    check_smoothing(smooth, cutoff)
    clock, model = clock or StageClock(), None
    facts = {name: value for name, value in result.weights.items() if name != "lifter"}
    if lifter is not None:
        model, facts["lifter"] = load_lifter(lifter, device, flip_test)
        model = on_backend(backend, model, lifter, onnx_folder)
    pipeline = Pipeline(None, model, flip_test=flip_test)
    tracks = pipeline.lift(_flat(result), result.frame_size, clock)
    notes = [note for note in result.notes if not note.startswith(LIFT)] + [*pipeline.not_lifted(tracks)]
    with clock.stage("smooth"):
        tracks = [_smoothed(track, smooth, cutoff) for track in tracks]
    result = replace(result, tracks=tuple(tracks), weights=facts, version=__version__, notes=tuple(notes))
    if space is not None and model is not None:
        with clock.stage("place"):
            result = space.place(result)
    return replace(result, stage_seconds=dict(clock.seconds))


def read_poses(
    path: str | Path,
    *,
    format: str | None = None,
    joints: str | None = None,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    video: Any = None,
    first_frame: int = 0,
) -> VideoResult:
    """2D poses of other programs, or a result of our own, as tracks without 3D joints.

    format       one of data.results2d.FORMATS, or "cascadepose"; None: by the file's name and content
    joints       name of the joint set, or a file that declares one (see skeletons.find_skeleton), where the number or
                 names of the joints do not say it
    size         (w, h) px of the frames; None: as the file or the video states
    fps          frame rate; None: as the file or the video states
    video        the frames that the poses were found in (see data.frames.open_source), for size, times and drawing
    first_frame  number that the file gives the first frame of the video

    Ids of the file are kept; where it has none, people are followed by their poses. A frame in which somebody is
    missing is part of the track, not observed. Raises InputError for a file that is missing, empty or of another
    layout, for joints of no known set, where size or fps are not known, and for poses that do not fit them.
    """
    path = Path(path)
    if format not in (None, OWN, *FORMATS):
        raise InputError(f"unknown format {format!r}; use one of: {', '.join([OWN, *FORMATS])}")
    if format == OWN or (format is None and is_result(path)):
        return _own(path, joints, size, fps)
    people = _renumbered(path, read_people(path, format, joints), first_frame)
    count = max([people.num_frames, *(entry.frame + 1 for entry in people.sightings)])
    if not count:
        raise InputError(f"{path}: holds no frames; is it the right file?")
    camera = None
    if video is not None:
        frames = _open_video(video, size, fps)
        times, size, fps, source = _times_of(frames, path, count), tuple(frames.size), frames.fps, frames.name
        if frames.focal_35mm:
            camera = make_camera(size, focal_35mm=frames.focal_35mm)
    else:
        size, fps, source = size or people.size, fps or people.fps, path
        _check_known(path, size, fps, count)
        times = np.arange(count) / (fps or 1.0)
    _check_pixels(path, people, size)
    tracks = people.tracks(fps, 1 if fps is None else _MIN_HITS, times)
    notes = _notes(len(people.sightings), sum(int(track.observed.sum()) for track in tracks))
    facts = {"keypoints": {"name": path.name, "joints": people.skeleton.name}}
    return VideoResult(tuple(tracks), size, fps, times, str(source), facts, __version__, notes=notes, camera=camera)


def _own(path: Path, joints: str | None, size: tuple[int, int] | None, fps: float | None) -> VideoResult:
    """A result of our own, which knows its joints, size and times. Raises InputError where they are given otherwise."""
    result = load_result(path)
    stated = {"frame size": result.frame_size, "frame rate": result.fps}
    if result.tracks:
        stated["joint set"] = result.tracks[0].skeleton.name
    given = {"frame size": size, "frame rate": fps, "joint set": joints}
    for name, value in stated.items():
        if given[name] not in (None, value):
            raise InputError(f"{path}: states its own {name}, {value}, not {given[name]}; leave that out")
    return replace(result, tracks=_flat(result))


def _flat(result: VideoResult) -> list[Track]:
    """The tracks with what was found in 2D alone."""
    return [Track(**{name: getattr(track, name) for name in _SEEN}) for track in result.tracks]


def _smoothed(track: Track, method: str, cutoff: float) -> Track:
    if track.poses3d is None:
        return track
    joints = smooth_signal(track.poses3d.joints, track.timestamp, method, cutoff)
    return replace(track, poses3d=replace(track.poses3d, joints=joints))


def _renumbered(path: Path, people: People2D, first: int) -> People2D:
    """The people with frames counted from 0 where the file counts from `first`."""
    if not first:
        return people
    lowest = min((entry.frame for entry in people.sightings), default=first)
    if lowest < first:
        raise InputError(f"{path}: has a frame {lowest}, before the first one, {first}; give a lower first frame")
    moved = tuple(replace(entry, frame=entry.frame - first) for entry in people.sightings)
    return replace(people, sightings=moved, num_frames=max(people.num_frames - first, 0))


def _check_known(path: Path, size: tuple[int, int] | None, fps: float | None, count: int) -> None:
    if size is None:
        raise InputError(
            f"{path}: does not state the size of the frames; give it (--size 1280x720) or the video (--video FILE)"
        )
    if fps is None and count > 1:
        raise InputError(f"{path}: does not state the frame rate; give it (--fps 25) or the video (--video FILE)")
    if fps is not None and not 0 < fps < float("inf"):
        raise InputError(f"{path}: {fps} is no frame rate; give one in frames a second, such as 25")


def _open_video(video: Any, size: tuple[int, int] | None, fps: float | None) -> FrameSource:
    """The frames that poses were found in. Raises InputError where they have no end, or another size than was said."""
    frames = open_source(video, fps)
    if frames.live:
        raise InputError(f"{frames.name}: has no frames that can be counted; give the recording")
    if size is not None and tuple(size) != tuple(frames.size):
        sizes = " not ".join("x".join(map(str, pair)) for pair in (frames.size, size))
        raise InputError(f"{frames.name}: its frames are {sizes}; leave the size out")
    return frames


def _times_of(frames: FrameSource, path: Path, count: int) -> np.ndarray:
    """Seconds of every frame [F]. Raises InputError where the poses of `path` number more, `count`."""
    times = np.array([frame.timestamp for frame in frames])
    if count > len(times):
        raise InputError(
            f"{path}: speaks of frame {count - 1}, but {frames.name} has {len(times)}, counted from 0; is it the video "
            "that the poses were found in? Where the file counts from 1, say so (--first-frame 1)"
        )
    return times


def _check_pixels(path: Path, people: People2D, size: tuple[int, int]) -> None:
    """Raises InputError where most of the joints cannot be pixels of such a frame."""
    points = [entry.keypoints[entry.scores > 0] for entry in people.sightings]
    if not points:
        return
    points, extent = np.concatenate(points), np.array(size)
    far = np.abs(points).max(0)
    if (far < _FRACTIONS).all():
        raise InputError(f"{path}: its joints reach {far.max():.2g}, which are no pixels; multiply by the frame size")
    inside = ((points > -_MARGIN * extent) & (points < (1 + _MARGIN) * extent)).all(1)
    if inside.mean() < 0.5:
        raise InputError(
            f"{path}: most joints lie outside of {size[0]}x{size[1]} (they reach {far[0]:.0f}, {far[1]:.0f}); give the "
            "size of the frames that the poses were found in"
        )


def _notes(sightings: int, kept: int) -> tuple[str, ...]:
    if not sightings:
        return ("nobody is in the file",)
    left = sightings - kept
    if left <= 0:
        return ()
    return (f"{left} sighting{'s'[: left > 1]} left out: of people seen in fewer than {_MIN_HITS} frames, or twice",)
