"""Causal lifters over tracks and streams: nothing from the future, no lag, the same numbers either way."""

import numpy as np
import pytest
import torch
from torch import nn

from cascadepose import models
from cascadepose.models.lifters.causal import CausalTrack, Layout, causal_windows, grid_places
from cascadepose.models.lifters.feeding import answers, inputs
from cascadepose.models.lifters.stream import StreamLifter
from cascadepose.models.lifters.window import Sequence2D, lift_sequence, lift_sequences
from cascadepose.skeletons import COCO17

SIZE = (640, 480)
TINY = {"dim": 16, "depth": 1, "num_heads": 2, "dim_rep": 16}
LIFTERS = {
    "dstformer": TINY | {"maxlen": 9, "normalization": "crop_follow", "frame_rate": 25.0},
    "dstformer_at_any_rate": TINY | {"maxlen": 9},
    "poseformer": {"num_frames": 9, "embed_dim_ratio": 4, "depth": 1, "num_heads": 2, "frame_rate": 25.0},
    "tcn": {"widths": [3, 3], "dim": 16, "frame_rate": 25.0},
}


@pytest.fixture(params=LIFTERS)
def lifter(request):
    torch.manual_seed(0)
    return models.build(request.param.partition("_")[0], **LIFTERS[request.param], causal=True).eval()


def times_at(rate, rng, count=40):
    """Even times at a rate, or uneven ones as of a camera that loses frames."""
    return 7 + (np.arange(count) / rate if rate else np.cumsum(rng.uniform(0.01, 0.15, count)))


def person(times, rng):
    base, phase = rng.uniform(100, 400, (1, 17, 2)), rng.uniform(0, 6, (1, 17, 2))
    keypoints = base + 40 * np.sin(4 * times[:, None, None] + phase)
    return keypoints.astype(np.float32), rng.uniform(0.4, 1, (len(times), 17)).astype(np.float32)


RATES = [10.0, 25.0, 30.0, 60.0, None]


@pytest.mark.parametrize("rate", RATES)
def test_the_future_changes_nothing(lifter, rate, rng):
    times = times_at(rate, rng)
    keypoints, scores = person(times, rng)
    observed = rng.random(len(times)) < 0.8
    observed[0] = True
    joints = lift_sequence(lifter, keypoints, scores, SIZE, times, observed)
    for now in (1, 17, 30):
        other = np.concatenate([keypoints[:now], keypoints[now:] * rng.uniform(0.5, 1.5, (40 - now, 17, 2))])
        again = lift_sequence(lifter, np.float32(other), scores, SIZE, times, observed)
        np.testing.assert_allclose(again[:now], joints[:now], atol=1e-5)
        assert np.abs(again[now:] - joints[now:]).max() > 1e-4
        short = lift_sequence(lifter, keypoints[:now], scores[:now], SIZE, times[:now], observed[:now])
        np.testing.assert_allclose(short, joints[:now], atol=1e-5)


@pytest.mark.parametrize("rate", RATES)
def test_a_stream_gives_the_same(lifter, rate, rng):
    times = times_at(rate, rng)
    keypoints, scores = person(times, rng)
    joints = lift_sequence(lifter, keypoints, scores, SIZE, times)
    layout = Layout.of(lifter)
    track = CausalTrack(layout, lifter.frame_rate)
    ticks = times if lifter.frame_rate else np.arange(len(times))
    pushed = [track.push(*frame) for frame in zip(ticks, keypoints, scores, strict=True)]
    points, point_scores = (np.stack([windows[i] for windows, _ in pushed]) for i in range(2))
    places = np.array([[place] for _, place in pushed])
    assert points.shape[1] == lifter.num_frames
    with torch.no_grad():
        x = inputs(lifter, points, point_scores, SIZE, "coco17")
        found = answers(lifter, x, places if layout.tips else None, True)
    np.testing.assert_allclose(found[:, 0], joints, atol=1e-5)


@pytest.mark.parametrize("flip_test", [False, True])
@pytest.mark.parametrize("rate", RATES)
def test_people_who_come_and_go(lifter, rate, flip_test, rng):
    """A stream of four people, of whom not all are seen at any time, gives what their tracks give afterwards."""
    times = times_at(rate, rng, 60)
    crowd = {key: person(times, rng) for key in range(4)}
    seen = rng.random((4, 60)) < 0.8
    first = {0: 0, 1: 0, 2: 7, 3: 31}
    stream, found = StreamLifter(lifter, SIZE, COCO17, flip_test), {key: [] for key in crowd}
    for frame, time in enumerate(times):
        now = [key for key in crowd if frame == first[key] or (frame > first[key] and seen[key, frame])]
        poses = [np.array([crowd[key][i][frame] for key in now]).reshape(-1, 17, *(2,) * (i == 0)) for i in range(2)]
        for key, joints in zip(now, stream.push(time, now, *poses), strict=True):
            found[key].append((frame, joints))
    for key, (keypoints, scores) in crowd.items():
        start = first[key]
        observed = np.isin(np.arange(start, 60), [frame for frame, _ in found[key]])
        track = (keypoints[start:], scores[start:], SIZE, times[start:], observed)
        joints = lift_sequence(lifter, *track, flip_test=flip_test)
        np.testing.assert_allclose([joints for _, joints in found[key]], joints[observed], atol=1e-5)


def test_a_stream_looks_at_a_frame_once():
    """At the lifter's rate two tokens a frame, the grid point that has passed and the newest, and the context of 6 when
    every third frame begins a window; not the 9 of a window.
    """
    lifter = models.build("dstformer", **LIFTERS["dstformer"], causal=True)
    tokens = []
    lifter.joints_embed.register_forward_hook(lambda module, args, out: tokens.append(out.shape[1]))
    rng = np.random.default_rng(0)
    times = times_at(25.0, rng)
    stream = StreamLifter(lifter, SIZE, COCO17)
    for frame in zip(times, *person(times, rng), strict=True):
        stream.push(frame[0], [1], frame[1][None], frame[2][None])
    assert tokens == [7, 2, 2] * 13 + [7]


class Newest(nn.Module):
    """Answers with what it sees of the newest frames."""

    causal, frames_out, input_skeleton, skeleton, in_channels = True, "all", "coco17", "h36m17", 3
    num_frames, context, normalization, frame_rate = 9, 6, "screen", 25.0

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))
        self.windows = 0

    def forward(self, x, positions):
        self.windows += len(x)
        return x


@pytest.mark.parametrize("rate", RATES)
def test_an_answer_does_not_lag(rate, rng):
    times = times_at(rate, rng)
    keypoints, scores = person(times, rng)
    joints = COCO17.convert(keypoints)[0] * (2 / SIZE[0])
    found = lift_sequence(Newest(), keypoints, scores, SIZE, times, flip_test=False)
    np.testing.assert_allclose(found[..., :2], joints - joints[:, :1], atol=1e-5)


def test_windows_are_shared(rng):
    """A third of a window is new in each, however many frames fall on it."""
    times = times_at(30.0, rng, 300)
    lifter = Newest()
    lift_sequence(lifter, *person(times, rng), SIZE, times, flip_test=False)
    assert lifter.windows == 84  # 10 s at 25 Hz, three grid points a window


def test_what_a_window_holds():
    """Frames at 30 Hz, a lifter at 25 Hz with windows of 9 that answer for 3 places."""
    places = grid_places(np.arange(8) / 30, 0.0, 25.0)
    windows = causal_windows(Layout(6, 3, True), places, places[:, None])
    (poses,) = windows.poses
    seen = poses[windows.index][..., 0]
    np.testing.assert_allclose(seen[0, :11], [0, 0, 0, 0, 0, 0, 0, 1, 0, 5 / 6, 10 / 6], atol=1e-9)
    np.testing.assert_allclose(seen[1], [0, 0, 0, 0, 1, 2, 3, 4, 15 / 6, 20 / 6, 25 / 6, 5], atol=1e-9)
    assert windows.frames.tolist() == [[0, 1, 2, -1], [3, 4, 5, 6], [7, -1, -1, -1]]
    assert windows.positions[:2].tolist() == [[6, 7, 8, 8], [6, 7, 8, 8]]


def test_people_share_batches(lifter, rng):
    people = []
    for rate, count in ((30.0, 40), (60.0, 25), (25.0, 1)):
        times = times_at(rate, rng, count)
        people.append(Sequence2D(*person(times, rng), SIZE, times))
    for sequence, joints in zip(people, lift_sequences(lifter, people, batch_size=3), strict=True):
        alone = lift_sequence(lifter, sequence.keypoints, sequence.scores, SIZE, sequence.timestamps)
        np.testing.assert_allclose(joints, alone, atol=1e-5)


def test_a_track_forgets(rng):
    """Memory does not grow, and a pause of an hour costs no more than a frame."""
    layout = Layout(6, 3, True)
    track = CausalTrack(layout, 25.0)
    for time in [*np.arange(200) / 30, 3600.0, 3600.1]:
        (window,), _ = track.push(time, np.full(2, time, np.float32))
    assert len(track._points[0]) <= 9
    assert window[-1, 0] == np.float32(3600.1)


def test_tips_are_as_if_they_stood_in_the_window():
    """A tip at a place says what the frame says that stands there in a plain window; it is seen by nobody."""
    torch.manual_seed(0)
    model = models.build("dstformer", **TINY, maxlen=9, causal=True).eval()
    x = torch.randn(2, 11, 17, 3)
    positions = torch.tensor([[6, 7, 8], [8, 8, 2]])
    out = model(x, positions)
    for row in range(2):
        for tip, place in enumerate(positions[row].tolist()):
            plain = torch.cat([x[row, :place], x[row, 8 + tip : 9 + tip]])[None]
            torch.testing.assert_close(model(plain)[0, -1], out[row, 8 + tip], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model(x[:, :8]), out[:, :8], atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match="causal"):
        models.build("dstformer", **TINY, maxlen=9)(x, positions)
