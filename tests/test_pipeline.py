"""The whole run with scripted 2D poses: nothing dropped, nothing held in memory, broken sources answered with
results.
"""

import errno

import numpy as np
import pytest

from cascadepose.data.frames import ArraySource, open_source
from cascadepose.data.video_writer import VideoWriter, open_video_writer
from cascadepose.errors import InputError
from cascadepose.export import load_result
from cascadepose.lift import lift_result
from cascadepose.loading import load
from cascadepose.models.lifters import window
from cascadepose.models.lifters.dstformer import DSTformer
from cascadepose.pipeline import INTERRUPTED, LIFT, Pipeline
from cascadepose.timing import StageClock
from cascadepose.types import Poses2D

SIZE = (96, 64)


class ScriptedPredictor:
    """Gives the poses of script[0], script[1], ... whatever the frames show; counts the batches."""

    def __init__(self, script, stop_at: int | None = None):
        self.script, self.stop_at, self.done, self.batches = script, stop_at, 0, []
        self.timings = {"detect": 0.0, "keypoints": 0.0}

    def predict(self, frames, detect_every=1):
        if self.stop_at is not None and self.done + len(frames) > self.stop_at:
            raise KeyboardInterrupt
        self.batches.append(len(frames))
        self.timings["detect"] += 0.25
        poses = self.script[self.done : self.done + len(frames)]
        self.done += len(frames)
        return poses


@pytest.fixture(scope="module")
def lifter():
    return DSTformer(dim=16, depth=1, num_heads=2, dim_rep=16, maxlen=9).eval()


def video(count: int, width: int = SIZE[0]) -> list[np.ndarray]:
    return [np.full((SIZE[1], width, 3), index, np.uint8) for index in range(count)]


def run(script, source, lifter=None, progress=False, **settings):
    return Pipeline(ScriptedPredictor(script), lifter, **settings)(source, progress=progress)


def test_single_image(make_people, lifter):
    result = run([make_people([(40, 30, 50, 0)])], video(1)[0], lifter)
    assert result.fps is None and result.num_frames == 1 and len(result) == 1
    (track,) = result
    assert track.poses3d.joints.shape == (1, 17, 3) and np.abs(track.poses3d.joints[:, 0]).max() < 1e-6
    assert not track.poses3d.measured[0] and track.poses3d.measured[1]


@pytest.mark.parametrize("count", [4, 9, 31])
def test_video_shorter_and_longer_than_the_window(make_people, lifter, count):
    script = [make_people([(30 + t, 30, 50, t / 4)]) for t in range(count)]
    result = run(script, video(count), lifter)
    (track,) = result
    assert len(track) == count == result.num_frames and track.poses3d.joints.shape == (count, 17, 3)
    assert result.frame_size == SIZE and result.fps == 30 and result.version and not result.incomplete


def test_nobody_in_any_frame(lifter):
    result = run([Poses2D.empty()] * 5, video(5), lifter)
    assert result.tracks == () and result.num_frames == 5


def test_person_who_leaves_and_returns(make_people, lifter):
    person = make_people([(40, 30, 50, 0)])
    script = [person] * 10 + [Poses2D.empty()] * 6 + [person] * 4 + [Poses2D.empty()] * 90 + [person] * 5
    result = run(script, video(len(script)), lifter)
    assert [(track.track_id, track.frame_index[0], len(track)) for track in result] == [(1, 0, 20), (2, 110, 5)]
    assert result.tracks[0].observed.sum() == 14 and len(result.tracks[0].poses3d) == 20
    assert [track.track_id for track, _ in result.people(12)] == [1] and result.people(60) == []


def test_two_dimensions_only(make_people):
    assert run([make_people([(40, 30, 50, 0)])], video(1)[0]).tracks[0].poses3d is None


def test_an_answer_that_is_not_finite_costs_nobody_else_anything(make_people, lifter, monkeypatch, tmp_path):
    """One of two people is too much for the lifter, then both: their 2D stays, and is written."""
    everybody = [make_people([(20, 30, 30, 0), (70, 30, 30, 0)])] * 9
    whole = run(everybody, video(9), lifter)
    lift = window.lift_sequences

    def overflow(*given, **settings):
        return [joints + offset for joints, offset in zip(lift(*given, **settings), offsets, strict=True)]

    monkeypatch.setattr(window, "lift_sequences", overflow)
    offsets = (np.inf, 0)
    first, second = (result := run(everybody, video(9), lifter))
    assert first.poses3d is None and np.array_equal(first.keypoints, whole.tracks[0].keypoints)
    assert np.array_equal(second.poses3d.joints, whole.tracks[1].poses3d.joints)
    (note,) = (note for note in result.notes if note.startswith(LIFT))
    assert "track 1 " in note and second.track_id == 2
    assert not any(note.startswith(LIFT) for note in lift_result(result, None).notes), "of the lifting before"
    offsets = (0, np.nan)
    saved = result.save(tmp_path)
    assert [track.poses3d is None for track in load_result(saved[0])] == [True, False]
    offsets = (np.nan, np.nan)
    assert all(track.poses3d is None and len(track) == 9 for track in run(everybody, video(9), lifter))


def test_flicker_is_noted(make_people):
    script = [make_people([(40, 30, 50, 0)] + [(80, 40, 20, 0)] * (t == 4)) for t in range(10)]
    result = run(script, video(10))
    assert len(result) == 1 and "1 sighting of people seen in fewer than 3 frames" in result.notes[0]


def test_everybody_in_a_folder_of_pictures_counts(make_people, tmp_path):
    from PIL import Image

    for index, frame in enumerate(video(4)):
        Image.fromarray(frame).save(tmp_path / f"{index}.png")
    script = [make_people([(20 + 20 * (t % 2), 30, 20 + 10 * t, t)]) for t in range(4)]
    result = Pipeline(ScriptedPredictor(script))(tmp_path, fps=1, progress=False)
    assert sum(len(track) for track in result) >= 4 and not result.notes


def test_weak_sightings_carry_on(make_people):
    strong, weak = make_people([(40, 30, 50, 0)], 0.9), make_people([(40, 30, 50, 0)], 0.4)
    result = run([strong, weak, weak, strong, weak], video(5), threshold=0.5)
    assert [len(track) for track in result] == [5]
    assert len(run([weak] * 5, video(5), threshold=0.5)) == 0


def test_batches_progress_and_times(make_people):
    script = [make_people([(40, 30, 50, 0)])] * 10
    predictor, clock, told = ScriptedPredictor(script), StageClock(), []
    result = Pipeline(predictor, batch_size=4)(video(10), progress=told.append, clock=clock)
    assert predictor.batches == [4, 4, 2] and sum(told) == 10
    assert result.stage_seconds["detect"] == pytest.approx(0.75) and "track" in clock.seconds
    table = clock.table(10)
    assert "detect" in table and "ms/frame" in table and "10 frames in" in table


def test_only_one_batch_is_in_memory(make_people):
    """The source is never asked for more than a batch ahead of what is finished."""
    read, done = 0, 0

    def frames():
        nonlocal read
        for frame in ArraySource(video(20)):
            read += 1
            assert read - done <= 4
            yield frame

    pipeline = Pipeline(ScriptedPredictor([Poses2D.empty()] * 20), batch_size=4)
    for _ in pipeline.poses(frames()):
        done += 1
    assert done == 20


def test_max_frames(make_people):
    result = Pipeline(ScriptedPredictor([Poses2D.empty()] * 20))(video(20), max_frames=7, progress=False)
    assert result.num_frames == 7 and not result.incomplete


def test_broken_source_gives_what_was_found(make_people, lifter):
    script = [make_people([(40, 30, 50, 0)])] * 10
    frames = ArraySource(video(7) + video(3, width=50))
    result = run(script, frames, lifter, batch_size=4)
    assert result.num_frames == 7 and len(result.tracks[0].poses3d) == 7
    assert "96x64 to 50x64 at frame 7" in result.incomplete


def test_interruption_gives_what_was_found(make_people, lifter):
    predictor = ScriptedPredictor([make_people([(40, 30, 50, 0)])] * 20, stop_at=8)
    result = Pipeline(predictor, lifter, batch_size=4)(video(20), progress=False)
    assert result.num_frames == 8 and result.incomplete == f"{INTERRUPTED} after 8 frames"
    assert len(result.tracks[0].poses3d) == 8
    with pytest.raises(KeyboardInterrupt):
        Pipeline(ScriptedPredictor([], stop_at=0))(video(3), progress=False)


def test_recording_holds_the_processed_frames(tmp_path):
    predictor = ScriptedPredictor([Poses2D.empty()] * 20, stop_at=8)
    result = Pipeline(predictor, batch_size=4)(video(20), record=tmp_path / "r.mp4", progress=False)
    assert len(list(open_source(tmp_path / "r.mp4"))) == 8 == result.num_frames


def test_full_disk_ends_the_recording_but_not_the_result(tmp_path, monkeypatch):
    predictor, whole = ScriptedPredictor([Poses2D.empty()] * 20), VideoWriter.write

    def write(writer, image, timestamp):
        if timestamp > 0.3:
            raise OSError(errno.ENOSPC, "full")
        whole(writer, image, timestamp)

    monkeypatch.setattr(VideoWriter, "write", write)
    result = Pipeline(predictor, batch_size=1)(video(20), record=tmp_path / "r.mp4", progress=False)
    assert 3 < result.num_frames < 20
    assert result.incomplete.startswith(f"{tmp_path}/r.mp4: cannot be written, the disk is full: free some space")
    assert list(tmp_path.iterdir()) == []


def test_live_source_is_read_frame_by_frame_and_points_to_its_recording(tmp_path):
    source = ArraySource(video(5))
    source.live = True
    predictor = ScriptedPredictor([Poses2D.empty()] * 5)
    result = Pipeline(predictor)(source, record=tmp_path / "r.mp4", progress=False)
    assert predictor.batches == [1] * 5 and result.source == str(tmp_path / "r.mp4")
    assert result.overlay(tmp_path / "o.mp4").exists()


def test_true_times_of_a_video_reach_the_tracks(make_people, tmp_path):
    times = [0.0, 0.04, 0.1, 0.5, 0.54]
    with open_video_writer(tmp_path / "v.mp4", 25) as writer:
        for frame, time in zip(video(5), times, strict=True):
            writer.write(frame, time)
    result = run([make_people([(40, 30, 50, 0)])] * 5, tmp_path / "v.mp4")
    np.testing.assert_allclose(result.tracks[0].timestamp, times, atol=1e-4)


def test_bad_settings_are_named():
    with pytest.raises(InputError, match=r"no weights are named 'prtr-resnet'"):
        load("prtr-resnet")
    with pytest.raises(InputError, match="device 'gpu9'"):
        load(device="gpu9")


@pytest.mark.slow
def test_real_video(shared):
    """The juggler is one person, found in nearly every frame."""
    from cascadepose.hub import list_models

    if not {"prtr-mobilenetv2-small-320x256", "dstformer-small"} <= {model.name for model in list_models()}:
        pytest.skip("no packaged weights in this working copy")
    result = load(device="cpu")(shared / "data/videos/juggle.mp4", progress=False)
    longest = max(result.tracks, key=lambda track: int(track.observed.sum()))
    assert longest.observed.sum() >= 0.95 * result.num_frames
    height = np.ptp(longest.poses3d.joints[..., 1], axis=1)
    assert 1.0 < np.median(height) < 2.2


@pytest.mark.parametrize(("fps", "together"), [(25.0, 3), (20.0, 3), (12.0, 1)])
def test_frames_share_a_look_of_the_detector_where_they_are_close(make_people, fps, together):
    asked = []

    class Asked(ScriptedPredictor):
        def predict(self, frames, detect_every=1):
            asked.append(detect_every)
            return super().predict(frames)

    predictor = Asked([make_people([(40, 30, 50, 0)])] * 8)
    Pipeline(predictor, batch_size=4, detect_every=3)(video(8), fps=fps, progress=False)
    assert set(asked) == {together}


def test_presets_differ_in_the_work_they_do():
    accurate, fast = load(device="cpu"), load(device="cpu", preset="fast")
    assert fast.predictor.prtr.detector_side < accurate.predictor.prtr.detector_side
    assert (accurate.predictor.flip_test, accurate.flip_test) == (True, True)
    assert (fast.predictor.flip_test, fast.flip_test) == (False, False)
    assert (accurate.detect_every, fast.detect_every) == (1, 3)
    assert [pose.weights["keypoints"]["preset"] for pose in (accurate, fast)] == ["accurate", "fast"]
    assert [pose.weights["keypoints"]["name"] for pose in (accurate, fast)] == [
        "prtr-mobilenetv2-small-320x256",
        "prtr-mobilenetv2-small",
    ]
    assert load("prtr-mobilenetv2-small", device="cpu").predictor.prtr.crop_size == (256, 192), "named weights go first"
    assert load(device="cpu", preset="fast", flip_test=True).flip_test
    with pytest.raises(InputError, match="accurate, fast"):
        load(preset="slow")
