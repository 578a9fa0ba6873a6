"""The lifter's input: alike in numpy and torch, differentiable, unmoved by outliers."""

import numpy as np
import pytest
import torch

from cascadepose.errors import InputError
from cascadepose.normalization import NORMALIZATIONS, crop_box, lifter_input

SIZE = (640, 480)


@pytest.fixture
def clip(rng):
    return rng.uniform(100, 300, (27, 17, 2)).astype(np.float32), rng.uniform(0.5, 1, (27, 17)).astype(np.float32)


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_numpy_and_torch_agree(name, clip):
    ours = lifter_input(*clip, SIZE, name)
    theirs = lifter_input(*map(torch.from_numpy, clip), SIZE, name)
    assert ours.shape == (27, 17, 3)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert lifter_input(*clip, SIZE, name, in_channels=2).shape == (27, 17, 2)


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_windows_of_a_batch_are_independent(name, clip):
    keypoints, scores = (np.stack([part, part[::-1] * 0.5]) for part in clip)
    together = lifter_input(keypoints, scores, SIZE, name)
    for i in range(2):
        np.testing.assert_allclose(together[i], lifter_input(keypoints[i], scores[i], SIZE, name), atol=1e-6)


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_gradients_flow(name, clip):
    keypoints = torch.from_numpy(clip[0]).requires_grad_()
    scores = torch.from_numpy(clip[1]).requires_grad_()
    lifter_input(keypoints, scores, SIZE, name).square().sum().backward()
    for tensor in (keypoints, scores):
        assert torch.isfinite(tensor.grad).all()
        assert (tensor.grad != 0).float().mean() > 0.5


def test_box_ignores_outliers_and_low_scores(clip):
    keypoints, scores = clip
    center, half = crop_box(keypoints, scores)
    spoiled, doubtful = keypoints.copy(), scores.copy()
    spoiled[3, 4] = 5000  # sure, but alone
    spoiled[5:20, 9], doubtful[5:20, 9] = -4000, 0.05  # many, but doubtful
    new_center, new_half = crop_box(spoiled, doubtful)
    np.testing.assert_allclose(new_center, center, atol=6)
    np.testing.assert_allclose(new_half, half, atol=6)


def test_one_point_does_not_divide_by_zero():
    for name in ("crop_scale", "crop_follow"):
        x = lifter_input(np.full((1, 17, 2), 7.0), np.zeros((1, 17)), SIZE, name)
        np.testing.assert_array_equal(x, 0)


def test_unknown_name(clip):
    with pytest.raises(InputError, match="crop_scale"):
        lifter_input(*clip, SIZE, "crop")


@pytest.mark.parametrize("name", sorted(NORMALIZATIONS))
def test_the_context_alone_decides_how_frames_are_seen(name, clip):
    keypoints, scores = clip
    later = keypoints.copy()
    later[..., 20:, :, :] *= 1.3
    first, second = (lifter_input(k, scores, SIZE, name, context=18) for k in (keypoints, later))
    np.testing.assert_array_equal(first[..., :20, :, :], second[..., :20, :, :])
    whole = lifter_input(keypoints[..., :18, :, :], scores[..., :18, :], SIZE, name)
    np.testing.assert_allclose(first[..., :18, :, :], whole, atol=1e-6)
