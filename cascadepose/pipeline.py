"""From frames to people in 3D: the only file that knows every stage.

    pose = cascadepose.load()
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
from cascadepose.errors import InputError
from cascadepose.normalization import presented_skeleton
from cascadepose.parallel import map_ahead
from cascadepose.skeletons import SKELETONS, Skeleton
from cascadepose.smoothing import CUTOFF, check_smoothing, smooth_track
from cascadepose.space import SpaceSettings
from cascadepose.timing import StageClock, progress_bar
from cascadepose.tracking import TrackBuilder, Tracker
from cascadepose.types import Poses2D, Poses3D, Track, VideoResult

if TYPE_CHECKING:
    from torch import nn

    from cascadepose.streaming import StreamFrame

LIFT = "lift: "  # how notes on people who were not lifted begin
INTERRUPTED = "interrupted"  # how VideoResult.incomplete begins after Ctrl-C
_SPACE = SpaceSettings()
_CLOSE = 20.0  # frames a second from which on a detector's boxes are good for the next frame, too


class Predictor(Protocol):
    """What the pipeline needs of a 2D stage; PosePredictor is one."""

    timings: dict[str, float]

    def predict(self, frames: list[np.ndarray], *, detect_every: int = 1) -> list[Poses2D]: ...


class Pipeline:
    """Image, video, folder or camera -> VideoResult.

    predictor     finds 2D poses; with a threshold of its own below `threshold`, weak sightings can carry on a track;
                  None for lifting only
    lifter        makes 3D of tracks; None for 2D only
    threshold     box score at which a person is believed
    batch_size    frames a batch
    detect_every  of a video's frames, the detector sees the middle one of so many, see PosePredictor.predict; in videos
                  of fewer than 20 frames a second, in streams and pictures it sees them all
    workers       batches that are worked on at the same time, each on one thread, see parallel.map_ahead
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
        workers: int = 1,
        detect_every: int = 1,
    ) -> None:
        check_smoothing(smooth, cutoff)
        self.predictor, self.lifter = predictor, lifter
        self.threshold, self.batch_size, self.flip_test = threshold, batch_size, flip_test
        self.max_gap, self.max_absence, self.space = max_gap, max_absence, space
        self.weights, self.notes = weights or {}, notes
        self.smooth, self.cutoff, self.workers, self.detect_every = smooth, cutoff, workers, detect_every

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
                    seen, size = islice(frames, max_frames), 1 if frames.live else None
                    for frame, poses in self.poses(seen, clock, size, self._detect_every(frames)):
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
            notes=self.notes + _notes(builder.left_out(tracker.ids), tracker.min_hits) + self.not_lifted(tracks),
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
        self,
        frames: Iterable[Frame],
        clock: StageClock | None = None,
        batch_size: int | None = None,
        detect_every: int = 1,
    ) -> Iterator[tuple[Frame, Poses2D]]:
        """Each frame with the people in it, in order, one batch a worker in memory at a time.

        detect_every: see PosePredictor.predict; only of frames that follow each other closely.

        Where the source raises InputError, the frames read before are finished first.
        """
        clock = clock or StageClock()
        workers = 1 if batch_size else self.workers
        batches = _batches(clock.waiting("decode", frames), batch_size or self.batch_size)

        def predict(batch: list[Frame]) -> list[Poses2D]:
            return self.predictor.predict([frame.image for frame in batch], detect_every=detect_every)

        answers = map_ahead(predict, batches, workers)
        while True:
            before = dict(self.predictor.timings)
            waited = clock.unnamed()
            if (answer := next(answers, None)) is None:
                return
            found = {stage: seconds - before.get(stage, 0.0) for stage, seconds in self.predictor.timings.items()}
            if workers > 1:  # theirs is the time that was waited for them, not what they counted side by side
                share = (clock.unnamed() - waited) / max(sum(found.values()), 1e-9)
                found = {stage: share * seconds for stage, seconds in found.items()}
            for stage, seconds in found.items():
                clock.add(stage, seconds)
            yield from zip(*answer, strict=True)

    def _detect_every(self, frames: FrameSource) -> int:
        """How many frames share a look of the detector: in a twentieth of a second people hardly move."""
        close = not (frames.live or frames.loose) and (frames.fps or 0.0) >= _CLOSE
        return self.detect_every if close else 1

    def lift(self, tracks: list[Track], frame_size: tuple[int, int], clock: StageClock | None = None) -> list[Track]:
        """The tracks with 3D joints; the windows of all people share batches.

        A track for which the lifter's answer is not finite stays as it is, see `not_lifted`; nobody else loses by it.
        """
        if self.lifter is None or not tracks:
            return tracks
        from cascadepose.models.lifters.window import Sequence2D, lift_sequences

        with (clock or StageClock()).stage("lift"):
            clips = [Sequence2D(t.keypoints, t.scores, frame_size, t.timestamp, t.observed, t.skeleton) for t in tracks]
            joints = lift_sequences(self.lifter, clips, flip_test=self.flip_test)
        target = SKELETONS[self.lifter.skeleton]
        measured = _measured(self.lifter, tracks[0].skeleton, target)
        return [
            replace(track, poses3d=Poses3D(points, "root-relative", measured, target) if finite else None)
            for track, points, finite in zip(tracks, joints, map(_finite, joints), strict=True)
        ]

    def not_lifted(self, tracks: Iterable[Track]) -> tuple[str, ...]:
        """Notes on those of lifted tracks that have no joints in 3D; none without a lifter."""
        lost = [track.track_id for track in tracks if track.poses3d is None] if self.lifter is not None else []
        return tuple(f"{LIFT}track {number} has no joints in 3D: the lifter answers NaN or infinity" for number in lost)


def _finite(points: np.ndarray) -> bool:
    return bool(np.isfinite(points).all())


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
