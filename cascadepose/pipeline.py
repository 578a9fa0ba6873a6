"""From frames to people in 3D: the only file that knows every stage.

    pose = load()
    result = pose("video.mp4")      # decode -> detect -> keypoints -> track -> lift
    result.save("out")

`Pipeline.poses` yields the 2D poses frame by frame as they are found; the tracker takes them one by one. Only lifting
looks at whole tracks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cascadepose import __version__
from cascadepose.data.frames import DEFAULT_FPS, Frame, FrameSource, open_source
from cascadepose.devices import pick_device
from cascadepose.errors import InputError
from cascadepose.normalization import presented_skeleton
from cascadepose.skeletons import SKELETONS, Skeleton
from cascadepose.smoothing import CUTOFF, check_smoothing, smooth_track
from cascadepose.space import SpaceSettings
from cascadepose.timing import StageClock, progress_bar
from cascadepose.tracking import TrackBuilder, Tracker
from cascadepose.types import Poses2D, Poses3D, Track, VideoResult

if TYPE_CHECKING:
    import torch
    from torch import nn

    from cascadepose.streaming import StreamFrame

PRTR_WEIGHTS, LIFTER_WEIGHTS = "prtr-mobilenetv2-small", "dstformer-small"
INTERRUPTED = "interrupted"  # how VideoResult.incomplete begins after Ctrl-C
_SPACE = SpaceSettings()
_CARRY_ON = 0.6  # share of the threshold at which a person who is known is still believed


class Predictor(Protocol):
    """What the pipeline needs of a 2D stage; PosePredictor is one."""

    timings: dict[str, float]

    def predict(self, frames: list[np.ndarray]) -> list[Poses2D]: ...


class Pipeline:
    """Image, video, folder or camera -> VideoResult.

    predictor     finds 2D poses; with a threshold of its own below `threshold`, weak sightings can carry on a track;
                  None for lifting only
    lifter        makes 3D of tracks; None for 2D only
    threshold     box score at which a person is believed
    batch_size    frames a batch
    flip_test     average the lifter's answer with that for the mirrored person
    max_gap       seconds, see Tracker; max_absence the same
    space         how lifted people are placed in space; None leaves them without a place
    smooth        of videos, keypoints and joints: "butterworth", "savgol" or "none", see smoothing.smooth
    cutoff        Hz from which motion counts as noise
    weights       facts about the weights, passed on to the result; notes: remarks, the same
    """

    def __init__(
        self,
        predictor: Predictor | None,
        lifter: nn.Module | None = None,
        threshold: float = 0.5,
        batch_size: int = 8,
        flip_test: bool = True,
        max_gap: float = 0.5,
        max_absence: float = 2.0,
        weights: dict[str, Any] | None = None,
        space: SpaceSettings | None = _SPACE,
        notes: tuple[str, ...] = (),
        smooth: str = "butterworth",
        cutoff: float = CUTOFF,
    ) -> None:
        check_smoothing(smooth, cutoff)
        self.predictor, self.lifter = predictor, lifter
        self.threshold, self.batch_size, self.flip_test = threshold, batch_size, flip_test
        self.max_gap, self.max_absence, self.space = max_gap, max_absence, space
        self.weights, self.notes = weights or {}, notes
        self.smooth, self.cutoff = smooth, cutoff

    def __call__(
        self,
        source: Any,
        fps: float | None = None,
        max_frames: int | None = None,
        record: str | Path | None = None,
        progress: bool | Callable[[int], Any] = True,
        clock: StageClock | None = None,
    ) -> VideoResult:
        """Find everybody in a source (see data.frames.open_source) and lift them to 3D.

        fps         rate of a folder of images or of arrays
        max_frames  stop after so many
        record      write the frames to this .mp4 while they come: a camera cannot be read again for an overlay
        progress    a bar with rate and time left, or a function that is told how many more frames are done
        clock       counts the time of each stage

        Where the source breaks off, the recording cannot be written on, or Ctrl-C is pressed, what was found until then
        is tracked, lifted and returned, and `incomplete` says why. Raises InputError where there is not one good frame.
        """
        clock = clock or StageClock()
        with clock.stage("decode"):
            frames = open_source(source, fps)
        placed = self.space is not None and self.lifter is not None
        camera = self.space.camera_for(frames.size, frames.focal_35mm) if placed else None
        tracker = Tracker(self.max_gap, self.max_absence, _min_hits(frames), self.threshold)
        builder, times, incomplete = TrackBuilder(), [], ""
        total = min((count for count in (frames.num_frames, max_frames) if count is not None), default=None)
        shown = bool(progress) and not frames.is_image
        bar = nullcontext(progress) if callable(progress) else progress_bar("poses", total, shown)
        try:
            with bar as advance, _recorder(record, frames) as recorder:
                try:
                    for frame, poses in self.poses(islice(frames, max_frames), clock, 1 if frames.live else None):
                        with clock.stage("track"):
                            builder.add(frame.index, poses, tracker.update(frame.timestamp, poses))
                        times.append(frame.timestamp)
                        if recorder is not None:
                            with clock.stage("write"):
                                recorder.write(frame.image, frame.timestamp)
                        advance(1)
                except InputError as error:
                    if not times:
                        raise
                    incomplete = str(error)
                except KeyboardInterrupt:
                    if not times:
                        raise
                    incomplete = f"{INTERRUPTED} after {len(times)} frame{'s'[: len(times) > 1]}"
        except InputError as error:  # the recording cannot be written on; or, without a frame, what the source says
            if not times:
                raise
            incomplete, record = str(error), None
        tracker.finish()
        tracks = self.lift(builder.tracks(tracker.ids, np.array(times)), frames.size, clock)
        if not (frames.is_image or frames.loose):
            with clock.stage("smooth"):
                tracks = [smooth_track(track, self.smooth, self.cutoff) for track in tracks]
        result = VideoResult(
            tracks=tracks,
            frame_size=frames.size,
            fps=frames.fps,
            timestamps=times,
            source=str(record) if record and frames.live else frames.name,
            weights=self.weights,
            version=__version__,
            incomplete=incomplete,
            notes=self.notes + _notes(builder.left_out(tracker.ids), tracker.min_hits),
        )
        if camera is not None:
            with clock.stage("place"):
                result = self.space.place(result, camera)
        return replace(result, stage_seconds=dict(clock.seconds))

    def stream(
        self,
        source: Any,
        fps: float | None = None,
        max_frames: int | None = None,
        smooth: str = "one-euro",
        flip_test: bool = False,
        drop_late: bool | None = None,
        clock: StageClock | None = None,
    ) -> Iterator[StreamFrame]:
        """Frames of a camera or a video with the people in them, each as soon as it is there; see streaming.py.

        smooth     "one-euro", or "none" for the joints that the pipeline, not smoothed, gives afterwards
        flip_test  average with the answer for the mirrored person, at twice the cost of lifting
        drop_late  leave out frames that came while another was worked on; None: of live sources only
        The other arguments are those of a call. The lifter has to be causal, or None. Raises InputError where it is
        not, where the source cannot be opened and, while frames are taken, where it breaks off.
        """
        from cascadepose.streaming import stream

        return stream(self, source, fps, max_frames, smooth, flip_test, drop_late, clock)

    def poses(
        self, frames: Iterable[Frame], clock: StageClock | None = None, batch_size: int | None = None
    ) -> Iterator[tuple[Frame, Poses2D]]:
        """Each frame with the people in it, in order, one batch in memory at a time.

        Where the source raises InputError, the frames read before are finished first.
        """
        clock = clock or StageClock()
        for batch in _batches(clock.waiting("decode", frames), batch_size or self.batch_size):
            before = dict(self.predictor.timings)
            poses = self.predictor.predict([frame.image for frame in batch])
            for stage, seconds in self.predictor.timings.items():
                clock.add(stage, seconds - before.get(stage, 0.0))
            yield from zip(batch, poses, strict=True)

    def lift(self, tracks: list[Track], frame_size: tuple[int, int], clock: StageClock | None = None) -> list[Track]:
        """The tracks with 3D joints; the windows of all people share batches."""
        if self.lifter is None or not tracks:
            return tracks
        from cascadepose.models.lifters.window import Sequence2D, lift_sequences

        with (clock or StageClock()).stage("lift"):
            clips = [Sequence2D(t.keypoints, t.scores, frame_size, t.timestamp, t.observed, t.skeleton) for t in tracks]
            joints = lift_sequences(self.lifter, clips, flip_test=self.flip_test)
        target = SKELETONS[self.lifter.skeleton]
        measured = _measured(self.lifter, tracks[0].skeleton, target)
        return [
            replace(track, poses3d=Poses3D(points, "root-relative", measured, target))
            for track, points in zip(tracks, joints, strict=True)
        ]


def load(
    weights: str | Path = PRTR_WEIGHTS,
    lifter: str | Path | None = LIFTER_WEIGHTS,
    device: str | None = None,
    threshold: float | None = None,
    batch_size: int = 8,
    flip_test: bool = True,
    backend: str = "torch",
    onnx_folder: str | Path | None = None,
    **settings: Any,
) -> Pipeline:
    """A pipeline with trained weights.

    weights    of the 2D stage: packaged name, path or hub address
    lifter     of the 3D stage, the same; None for 2D only
    device     such as "cpu" or "cuda:1"; None takes a GPU where there is one
    threshold  box score at which a person is believed; None takes the model's own
    backend    what the networks run on: "torch", or "onnx" for onnxruntime (docs/onnx.md)
    onnx_folder  of files of `export_onnx`; None keeps them in the user's cache directory, exported at first use
    batch_size, flip_test, settings: see Pipeline

    Weights whose joints the lifter cannot be given (see `skeletons`) make a pipeline for 2D only, whose results say so.
    Raises InputError for unknown names, weights of another kind, and devices that are not there.
    """
    from cascadepose.hub import load_model, weights_info
    from cascadepose.predictor import PosePredictor

    device = pick_device(device)
    prtr = load_model(weights, device=device, kind="prtr")
    threshold = prtr.threshold if threshold is None else threshold
    if not 0 < threshold < 1:
        raise InputError(f"threshold {threshold} is no score; give a number between 0 and 1, such as 0.5")
    prtr = _on_backend(backend, prtr, weights, device, onnx_folder)
    facts = {"keypoints": _facts(weights_info(weights)) | {"threshold": threshold}}
    model, notes = None, ()
    if lifter is not None:
        model, about = load_lifter(lifter, device, flip_test)
        if notes := _only_2d(model, prtr.skeleton):
            model = None
        else:
            model, facts["lifter"] = _on_backend(backend, model, lifter, device, onnx_folder), about
    predictor = PosePredictor(prtr, device=device, threshold=_CARRY_ON * threshold)
    return Pipeline(predictor, model, threshold, batch_size, flip_test, weights=facts, notes=notes, **settings)


def _only_2d(lifter: nn.Module, skeleton: Skeleton) -> tuple[str, ...]:
    """Why joints of this set stay in 2D, in one line; nothing where the lifter can be given them."""
    try:
        presented_skeleton(lifter, skeleton)
    except InputError as error:
        return (f"2D only: {error}",)
    return ()


def _on_backend(
    backend: str, model: nn.Module, weights: str | Path, device: torch.device, folder: str | Path | None
) -> nn.Module:
    if backend == "torch":
        return model
    if backend != "onnx":
        raise InputError(f"unknown backend {backend!r}: use torch or onnx")
    from cascadepose.hub import weights_info
    from cascadepose.onnx.runtime import on_onnxruntime

    return on_onnxruntime(model, weights_info(weights), device, folder)


def load_lifter(
    name_or_path: str | Path, device: str | None = None, flip_test: bool = True
) -> tuple[nn.Module, dict[str, Any]]:
    """A trained lifter, and what a result that it made says of it. Arguments and errors as for `load`."""
    from cascadepose.hub import load_model, weights_info

    model = load_model(name_or_path, device=pick_device(device))
    if not hasattr(model, "input_skeleton"):
        raise InputError(f"{name_or_path}: holds no lifter; use {LIFTER_WEIGHTS}, or None for 2D only")
    return model, _facts(weights_info(name_or_path)) | {"flip_test": flip_test}


def _measured(lifter: nn.Module, skeleton: Skeleton, target: Skeleton) -> np.ndarray:
    """Which joints [J] of `target` each stand for one keypoint of `skeleton`, on the way that a lifter sees them."""
    presented = presented_skeleton(lifter, skeleton)
    _, _, given = skeleton.convert(np.zeros((skeleton.num_joints, 1)), to=presented)
    made, _, measured = presented.convert(given[:, None].astype(np.float32), to=target)
    return measured & (made[:, 0] == 1)


def _batches(frames: Iterable[Frame], size: int) -> Iterator[list[Frame]]:
    batch: list[Frame] = []
    problem = None
    try:
        for frame in frames:
            batch.append(frame)
            if len(batch) == size:
                yield batch
                batch = []
    except InputError as error:
        problem = error
    if batch:
        yield batch
    if problem is not None:
        raise problem


def _min_hits(frames: FrameSource) -> int:
    """A flicker in a video is doubted; in pictures everybody is seen once."""
    return 1 if frames.is_image or frames.loose else 3


def _notes(left_out: int, min_hits: int) -> tuple[str, ...]:
    if not left_out:
        return ()
    return (f"{left_out} sighting{'s'[: left_out > 1]} of people seen in fewer than {min_hits} frames left out",)


def _recorder(record: str | Path | None, frames: FrameSource) -> AbstractContextManager[Any]:
    if record is None:
        return nullcontext()
    from cascadepose.data.video_writer import open_video_writer

    return open_video_writer(record, frames.fps or DEFAULT_FPS)


def _facts(info: Any) -> dict[str, Any]:
    """What a result says of the weights it was made with."""
    return {"name": info.name, "sha256": info.sha256, "licence": info.licence, "version": info.info.get("version", "")}
