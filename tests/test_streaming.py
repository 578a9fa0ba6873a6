"""Streams: the same people and joints as afterwards, nothing kept, late frames dropped, clear words for bad input."""

import gc
import time
import tracemalloc

import numpy as np
import pytest
import torch

from cascadepose.data.frames import ArraySource, FrameSource
from cascadepose.data.live import newest_frames
from cascadepose.errors import InputError
from cascadepose.models.lifters.dstformer import DSTformer
from cascadepose.pipeline import Pipeline
from cascadepose.types import Poses2D

SIZE = (96, 64)


class Predictor:
    """Poses by the number that a frame shows: script(number) -> Poses2D."""

    def __init__(self, script):
        self.script, self.timings = script, {"detect": 0.0, "keypoints": 0.0}

    def predict(self, frames, detect_every=1):
        return [self.script(int(frame[0, 0, 0]) + 256 * int(frame[0, 0, 1])) for frame in frames]


class Counting(FrameSource):
    """`count` frames that show their number, at 30 Hz; `pause` seconds between them, as from a camera."""

    name, size, fps = "counting", SIZE, 30.0

    def __init__(self, count, pause=0.0):
        self.count, self.pause, self.live = count, pause, pause > 0

    def _images(self):
        for number in range(self.count):
            time.sleep(self.pause)
            image = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
            image[..., 0], image[..., 1] = number % 256, number // 256
            yield number / 30, image


@pytest.fixture(scope="module")
def lifter():
    torch.manual_seed(0)
    return DSTformer(
        dim=8, depth=1, num_heads=2, dim_rep=8, maxlen=9, causal=True, frame_rate=25.0, normalization="crop_follow"
    ).eval()


@pytest.fixture
def script(make_people):
    """One walks and is lost for eight frames, a second one comes later and goes."""

    def poses(number):
        people = [] if number % 40 in range(20, 28) else [(30 + number % 40 / 4, 30, 50, number / 4)]
        return make_people(people + [(75, 34, 40, number / 5)] * (number % 60 > 25))

    return poses


def test_joints_are_those_of_the_batch(script, lifter):
    pipeline = Pipeline(Predictor(script), lifter, smooth="none", flip_test=False)
    result = pipeline(Counting(70), progress=False)
    assert len(result) >= 2
    seen = {track.track_id: 0 for track in result}
    for frame in pipeline.stream(Counting(70), smooth="none"):
        expected = {track.track_id: (track, row) for track, row in result.people(frame.index) if track.observed[row]}
        for person in frame.people:
            track, row = expected.pop(person.track_id)
            np.testing.assert_allclose(person.joints, track.poses3d.joints[row], atol=1e-5)
            np.testing.assert_array_equal(person.keypoints, track.keypoints[row])
            seen[person.track_id] += 1
        assert all(row < 3 for _, row in expected.values())  # not confirmed yet
    assert all(seen[track.track_id] >= track.observed.sum() - 2 for track in result)


def test_memory_stays_flat(script, lifter):
    held = []
    try:
        for frame in Pipeline(Predictor(script), lifter).stream(Counting(301)):
            if frame.index == 60:
                tracemalloc.start()
            if frame.index in (120, 180, 240, 300):
                del frame
                gc.collect()
                held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert max(held) - min(held) < 50_000  # bytes


def test_what_a_frame_says(script):
    frames = list(Pipeline(Predictor(script)).stream(Counting(12), smooth="none", max_frames=10))
    assert [frame.index for frame in frames] == list(range(10))
    assert [len(frame.people) for frame in frames] == [0, 0] + [1] * 8
    (person,) = frames[5].people
    assert (person.track_id, person.joints, person.keypoints.shape) == (1, None, (17, 2))
    assert frames[5].timestamp == pytest.approx(5 / 30) and frames[5].latency > 0
    assert frames[5].image[0, 0, 0] == 5


def test_one_euro_calms_people_at_rest(make_people, lifter, rng):
    def noisy(number):
        poses = make_people([(40, 30, 50, 0)])
        noise = rng.normal(0, 1.0, poses.keypoints.shape).astype(np.float32)
        return Poses2D(poses.keypoints + noise, poses.scores, poses.sigma, poses.boxes_xyxy, poses.box_scores)

    def jitter(smooth):
        frames = list(Pipeline(Predictor(noisy), lifter).stream(Counting(40), smooth=smooth))[5:]
        return [np.diff([getattr(f.people[0], name) for f in frames], axis=0).std() for name in ("keypoints", "joints")]

    assert (np.array(jitter("one-euro")) < 0.8 * np.array(jitter("none"))).all()


def test_late_frames_are_dropped():
    """Work that takes five times as long as a frame sees every fifth frame, and always the newest one."""
    numbers = []
    for frame in newest_frames(Counting(60, pause=0.01)):
        numbers.append(frame.index)
        time.sleep(0.05)
    assert numbers[0] <= 1 and numbers[-1] == 59 and len(numbers) < 40
    assert np.all(np.diff(numbers) > 0)


def test_every_frame_of_a_file_is_worked_on(script):
    assert len(list(Pipeline(Predictor(script)).stream(ArraySource(np.zeros((30, 8, 8, 3), np.uint8))))) == 30
    assert [f.index for f in Pipeline(Predictor(script)).stream(Counting(9, 0.001), drop_late=False)] == list(range(9))


def test_a_camera_that_breaks_off():
    class Broken(Counting):
        def _images(self):
            yield from super()._images()
            raise InputError("camera 0: stopped giving pictures")

    numbers = []
    with pytest.raises(InputError, match="stopped"):
        for frame in newest_frames(Broken(3, pause=0.02)):
            numbers.append(frame.index)
    assert numbers[-1] == 2  # what was held is given first


def test_bad_input(script):
    ahead = DSTformer(dim=8, depth=1, num_heads=2, dim_rep=8, maxlen=9)
    with pytest.raises(InputError, match="causal"):
        Pipeline(Predictor(script), ahead).stream(Counting(3))
    with pytest.raises(InputError, match="one-euro"):
        Pipeline(Predictor(script)).stream(Counting(3), smooth="butterworth")
    with pytest.raises(InputError, match="butterworth"):
        Pipeline(Predictor(script), smooth="gauss")
    with pytest.raises(InputError, match="no such"):
        Pipeline(Predictor(script)).stream("nowhere.mp4")
