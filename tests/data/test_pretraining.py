"""Clips of pre-training: normalised, root-relative, reproducible; tracks cut and normalised as lifters see them."""

import numpy as np
import pytest

from cascadepose.data.motion import MotionDataset
from cascadepose.data.pretraining import PretrainingDataset, at_rate, crop_scale_3d
from cascadepose.data.windows import whole_clips


@pytest.fixture
def motion(rng):
    base = rng.normal(0, 0.3, (1, 17, 3)) + np.array([0, 1, 0])
    swing = 0.1 * np.sin(np.arange(90)[:, None, None] / 9 + rng.uniform(0, 6, (1, 17, 3)))
    return MotionDataset({"one": (base + swing).astype(np.float32)}, num_frames=9)


@pytest.fixture
def tracks(rng):
    return [np.concatenate([rng.uniform(0, 500, (n, 17, 2)), rng.random((n, 17, 1))], -1) for n in (20, 4)]


def test_items(motion, tracks):
    dataset = PretrainingDataset(motion, tracks)
    assert len(dataset) == len(motion)
    for item in (0, (0, 7)):
        sample = dataset[item]
        assert {name: (a.shape, a.dtype) for name, a in sample.items()} == {
            name: ((9, 17, 3), np.dtype(np.float32)) for name in ("x", "joints", "x_2d")
        }
        again = dataset[item]
        assert all((again[name] == sample[name]).all() for name in sample)
        np.testing.assert_allclose(sample["joints"][:, 0], 0)
        np.testing.assert_allclose(sample["joints"][..., :2], sample["x"][..., :2] - sample["x"][:, :1, :2], atol=1e-6)
        assert (sample["x"][..., 2] == 1).all()
        assert np.abs(sample["x"][..., :2]).max() == pytest.approx(1, abs=1e-5)
        assert np.abs(sample["x_2d"]).max() <= 2
    assert (dataset[(0, 7)]["x"] != dataset[(0, 8)]["x"]).any()
    assert "x_2d" not in PretrainingDataset(motion)[0]


def test_depth_has_the_scale_of_the_image(rng):
    joints = rng.normal(size=(5, 17, 3))
    scaled = crop_scale_3d(joints)
    scale = (joints[..., :2].max((0, 1)) - joints[..., :2].min((0, 1))).max() / 2
    np.testing.assert_allclose(scaled - scaled[:, :1], (joints - joints[:, :1]) / scale)
    np.testing.assert_allclose(crop_scale_3d(3 * joints + 5), scaled)
    assert (crop_scale_3d(np.ones((2, 17, 3))) == 0).all()


def test_whole_clips():
    clips = whole_clips([10, 3, 4], num_frames=4, stride=3)
    assert [(number, frames.tolist()) for number, frames in clips] == [
        (0, [0, 1, 2, 3]),
        (0, [3, 4, 5, 6]),
        (0, [6, 7, 8, 9]),
        (1, [0, 0, 1, 2]),
        (2, [0, 1, 2, 3]),
    ]


def test_tracks_at_another_rate():
    times = 2 + np.arange(31) / 30
    track = np.arange(31.0)[:, None]
    half = at_rate(track, times, 15)
    np.testing.assert_allclose(half[:, 0], np.arange(0, 31, 2))
    assert len(at_rate(track[:1], times[:1], 15)) == 1
