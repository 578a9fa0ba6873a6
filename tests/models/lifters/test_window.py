"""Lifting sequences of any length: shapes, seams, rates, gaps, bad input."""

import numpy as np
import pytest
import torch
from torch import nn

from cascadepose import models
from cascadepose.errors import InputError
from cascadepose.geometry import flip_horizontal
from cascadepose.models.lifters.window import Sequence2D, lift_sequence, lift_sequences
from cascadepose.skeletons import COCO17, H36M17

SIZE = (640, 480)


class Echo(nn.Module):
    """A lifter whose answer is its input: x, y as joints, the score as depth."""

    causal, input_skeleton, skeleton, in_channels = False, "coco17", "h36m17", 3

    def __init__(self, num_frames=9, normalization="screen", frame_rate=None, frames_out="all"):
        super().__init__()
        self.num_frames, self.normalization, self.frame_rate = num_frames, normalization, frame_rate
        self.frames_out = frames_out
        self.unused = nn.Parameter(torch.zeros(1))
        self.lengths = []

    def forward(self, x):
        self.lengths.append(x.shape[1])
        return x[:, x.shape[1] // 2][:, None] if self.frames_out == "center" else x


@pytest.fixture
def person(rng):
    """person(T): smooth keypoints and scores."""

    def make(count, rate=30.0):
        t = np.arange(count)[:, None, None] / rate
        base, phase = rng.uniform(100, 400, (1, 17, 2)), rng.uniform(0, 6, (1, 17, 2))
        return (base + 40 * np.sin(4 * t + phase)).astype(np.float32), np.full((count, 17), 0.8, np.float32)

    return make


def expected(keypoints):
    joints = COCO17.convert(keypoints)[0] * (2 / SIZE[0])
    return joints - joints[:, :1]


@pytest.mark.parametrize("frames_out", ["all", "center"])
@pytest.mark.parametrize("count", [1, 2, 8, 9, 10, 13, 40])
def test_any_length_without_seam(count, frames_out, person):
    """Where every window says the same of a frame, blending must not show."""
    keypoints, scores = person(count)
    lifter = Echo(frames_out=frames_out)
    joints = lift_sequence(lifter, keypoints, scores, SIZE, flip_test=False)
    assert joints.shape == (count, 17, 3)
    assert joints.dtype == np.float32
    assert set(lifter.lengths) == {9}
    np.testing.assert_allclose(joints[..., :2], expected(keypoints), atol=1e-5)


def test_windows_that_disagree_are_blended_smoothly(person):
    """A lifter with a constant error per window must not jump where one window ends."""

    class Offset(Echo):
        def forward(self, x):
            out = x.clone()
            out[:, :, 1:] += torch.arange(len(x))[:, None, None, None] % 2
            return out

    keypoints, scores = person(90)
    joints = lift_sequence(Offset(27), keypoints, scores, SIZE, flip_test=False)
    error = joints[:, 1:, 0] - expected(keypoints)[:, 1:, 0]
    assert np.abs(np.diff(error, axis=0)).max() < 0.15
    assert error.max() > 0.9


def test_flip_test_averages_with_the_mirror(person):
    torch.manual_seed(0)
    lifter = models.build("dstformer", dim=16, depth=1, num_heads=2, dim_rep=16, maxlen=9)
    keypoints, scores = person(9)
    joints = lift_sequence(lifter, keypoints, scores, SIZE)
    middle = np.array([320, 240])
    mirrored = flip_horizontal(keypoints - middle, COCO17.flip_index) + middle
    again = lift_sequence(lifter, mirrored, scores, SIZE)
    np.testing.assert_allclose(flip_horizontal(again, H36M17.flip_index), joints, atol=1e-5)


@pytest.mark.parametrize("rate", [12.0, 25.0, 30.0, 60.0])
def test_rates_are_resampled_to_the_lifters(rate, person):
    keypoints, scores = person(int(3 * rate), rate)
    times = 5 + np.arange(len(keypoints)) / rate
    joints = lift_sequence(Echo(27, frame_rate=25.0), keypoints, scores, SIZE, times, flip_test=False)
    assert len(joints) == len(keypoints)
    np.testing.assert_allclose(joints[..., :2], expected(keypoints), atol=0.02)


def test_uneven_timestamps(person):
    keypoints, scores = person(60)
    keep = np.r_[0:20, 22:60:2]
    joints = lift_sequence(Echo(27, frame_rate=30.0), keypoints[keep], scores[keep], SIZE, keep / 30, flip_test=False)
    np.testing.assert_allclose(joints[..., :2], expected(keypoints[keep]), atol=0.02)


def test_unobserved_frames_are_filled_with_score_zero(person):
    keypoints, scores = person(20)
    observed = np.ones(20, bool)
    observed[[0, 7, 8]] = False
    spoiled = np.where(observed[:, None, None], keypoints, np.nan)
    joints = lift_sequence(Echo(), spoiled, scores, SIZE, observed=observed, flip_test=False)
    assert np.isfinite(joints).all()
    np.testing.assert_allclose(joints[observed][..., :2], expected(keypoints[observed]), atol=1e-5)
    clean = lift_sequence(Echo(), keypoints, scores, SIZE, flip_test=False)
    np.testing.assert_allclose(joints[[7, 8]], clean[[7, 8]], atol=0.02)


def test_what_a_lifter_sees_is_what_it_declares(person):
    """COCO-17 as it is, or another way of making the joints; mirrored by the joints that are seen."""
    keypoints, scores = person(9)
    seen = []
    lifter = models.build("tcn", widths=[3, 3], dim=8, seen_skeleton="coco17")
    lifter.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    lift_sequence(lifter, keypoints, scores, SIZE, batch_size=9)
    plain, mirrored = (x[4, 4].numpy() for x in seen)
    np.testing.assert_allclose(plain, (keypoints[4] - [320, 240]) / 320, atol=1e-5)
    np.testing.assert_allclose(mirrored, flip_horizontal(plain, COCO17.flip_index), atol=1e-6)
    gast = models.build("strided", num_frames=3, strides=[3], dim=16, style="gast")
    gast.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    lift_sequence(gast, keypoints, scores, SIZE, batch_size=9, flip_test=False)
    joints = COCO17.convert(keypoints, style="gast")[0]
    np.testing.assert_allclose(seen[2][4, 1].numpy(), (joints[4] - [320, 240]) / 320, atol=1e-5)


def test_image_units_become_metres_of_an_ordinary_adult(person):
    """Whatever the scale of the answer, the limbs are those of an adult; directions stay."""
    keypoints, scores = person(9)
    answers = []
    for factor in (1.0, 7.0):
        lifter = Echo()
        lifter.unit = "image"
        lifter.register_forward_hook(lambda _module, _inputs, output, factor=factor: output * factor)
        answers.append(lift_sequence(lifter, keypoints, scores, SIZE, flip_test=False))
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-5)
    limbs = np.linalg.norm(answers[0][:, [1, 4, 2, 5]] - answers[0][:, [2, 5, 3, 6]], axis=-1)
    assert 0.05 < np.median(limbs) < 2
    plain = lift_sequence(Echo(), keypoints, scores, SIZE, flip_test=False)
    ratio = np.linalg.norm(answers[0]) / np.linalg.norm(plain)
    np.testing.assert_allclose(answers[0], plain * ratio, atol=1e-4)


def test_people_share_batches_and_stay_apart(person):
    people = [Sequence2D(*person(count), SIZE) for count in (3, 30, 1)]
    torch.manual_seed(0)
    lifter = models.build("dstformer", dim=16, depth=1, num_heads=2, dim_rep=16, maxlen=9)
    together = lift_sequences(lifter, people, batch_size=4)
    for sequence, joints in zip(people, together, strict=True):
        alone = lift_sequence(lifter, sequence.keypoints, sequence.scores, SIZE)
        np.testing.assert_allclose(joints, alone, atol=1e-5)
    assert lift_sequences(lifter, []) == []
    assert lifter.training  # as it was


@pytest.mark.parametrize("normalization", ["crop_scale", "crop_follow"])
def test_place_and_size_in_the_image_do_not_matter(normalization, person):
    torch.manual_seed(0)
    settings = {"dim": 16, "depth": 1, "num_heads": 2, "dim_rep": 16, "maxlen": 9}
    lifter = models.build("dstformer", normalization=normalization, **settings)
    keypoints, scores = person(12)
    joints = lift_sequence(lifter, keypoints, scores, SIZE)
    moved = lift_sequence(lifter, keypoints * 2.5 + [300, -20], scores, (1920, 1080))
    np.testing.assert_allclose(moved, joints, atol=1e-3)


def test_bad_input(person):
    keypoints, scores = person(5)
    spoiled = keypoints.copy()
    spoiled[2, 3, 0] = np.nan
    cases = (
        (lambda: lift_sequence(Echo(), spoiled, scores, SIZE), "NaN"),
        (lambda: lift_sequence(Echo(), keypoints, np.full_like(scores, np.inf), SIZE), "NaN or infinity"),
        (lambda: lift_sequence(Echo(), keypoints[:0], scores[:0], SIZE), "at least one"),
        (lambda: lift_sequence(Echo(), keypoints[:, :5], scores, SIZE), "do not fit"),
        (lambda: lift_sequence(Echo(), keypoints, scores, SIZE, np.zeros(5)), "ascending"),
        (lambda: lift_sequence(Echo(), keypoints, scores, SIZE, observed=np.zeros(5, bool)), "observed"),
        (lambda: lift_sequence(Echo(normalization="nope"), keypoints, scores, SIZE), "crop_scale"),
    )
    for call, message in cases:
        with pytest.raises(InputError, match=message):
            call()
