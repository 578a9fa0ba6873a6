"""The root from 2D and 3D: exact where both are, robust, smooth, and honest about what nobody saw."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascadepose.errors import InputError
from cascadepose.space import trajectory
from cascadepose.space.trajectory import Sight, find_root

BODY = np.random.default_rng(1).normal(0, [0.25, 0.5, 0.2], (13, 3))


def sight(root: np.ndarray, noise: float = 0.0, rate: float = 30.0) -> Sight:
    rng = np.random.default_rng(2)
    joints = np.broadcast_to(BODY, (len(root), 13, 3)) + 0.02 * rng.standard_normal((len(root), 13, 3))
    place = joints + root[:, None]
    rays = place[..., :2] / place[..., 2:] + noise * rng.standard_normal((len(root), 13, 2))
    sigma = np.full(rays.shape, max(noise, 1e-4))
    return Sight(joints, rays, sigma, np.full(13, 1e-3), np.ones(rays.shape[:2]), np.arange(len(root)) / rate)


def straight(start, velocity, count: int, rate: float = 30.0) -> np.ndarray:
    return np.asarray(start) + np.asarray(velocity) * np.arange(count)[:, None] / rate


@settings(max_examples=15, deadline=None)
@given(
    st.tuples(st.floats(-2, 2), st.floats(-1, 1), st.floats(2, 15)),
    st.tuples(st.floats(-1, 1), st.floats(-0.2, 0.2), st.floats(-0.5, 1)),
    st.integers(1, 12),
)
def test_projection_is_undone(start, velocity, count):
    root = straight(start, velocity, count)
    assert find_root(sight(root))[0] == pytest.approx(root, abs=2e-4 * root[:, 2].max())


def test_noise_is_smoothed_and_its_size_known():
    root = straight((0, 0, 5), (0.3, 0, 0.8), 150)
    found, covariance = find_root(sight(root, noise=0.004))
    error = found - root
    assert np.abs(error[:, :2]).max() < 0.02 and np.sqrt((error[:, 2] ** 2).mean()) < 0.05
    assert (np.abs(error[:, 2]) < 2 * np.sqrt(covariance[:, 2, 2])).mean() > 0.9
    assert np.abs(np.diff(error[:, 2])).max() < 0.02  # m from one frame to the next


def test_outliers_count_little():
    root = straight((0.5, 0, 4), (0.3, 0, 0), 60)
    good = sight(root, noise=0.001)
    rays = good.rays.copy()
    rays[20:23, 4] += 0.3  # a wrist that is taken for somebody else's
    assert np.abs(find_root(replace(good, rays=rays))[0] - root).max() < 0.06


def test_frames_that_nobody_saw_follow_the_motion():
    root = straight((0, 0, 5), (0.6, 0, -0.4), 90)
    whole = sight(root, noise=0.001)
    weights, rays = whole.weights.copy(), whole.rays.copy()
    weights[40:55], rays[40:55] = 0, 7.0
    found, covariance = find_root(replace(whole, weights=weights, rays=rays))
    sigma = np.sqrt(covariance[:, 2, 2])
    assert np.abs(found - root)[40:55].max() < 0.05
    assert sigma[47] > 1.5 * sigma[30] and sigma[47] > sigma[41] > sigma[38]


def test_variance_of_a_person_who_is_hardly_seen():
    """Somebody seen at three moments of seven seconds: the inverse of all normal equations, whole, says the same."""
    whole = sight(straight((0, 0, 5), (0.1, 0, 0), 220), noise=0.004)
    seen = np.zeros_like(whole.weights)
    seen[[0, 1, 60, 61, 215]] = 0.3
    whole = replace(whole, weights=seen)
    root, found = find_root(whole)
    information, _ = trajectory._linearize(whole, root, linear=False)
    bands = trajectory._normal_bands(trajectory._motion_bands(whole.times), information / (trajectory.CORRELATION * 30))
    lower = sum(np.diag(band[: len(band) - k], -k) for k, band in enumerate(bands))
    inverse = np.linalg.inv(lower + np.tril(lower, -1).T).reshape(220, 3, 220, 3)
    blocks = inverse[np.arange(220), :, np.arange(220)]
    np.testing.assert_allclose(found, blocks, rtol=1e-2, atol=1e-3 * blocks.max())
    assert (np.linalg.eigvalsh(found) > 0).all()


def test_uneven_times():
    times = np.cumsum(np.random.default_rng(3).uniform(0.02, 0.09, 80))
    root = np.array([0.2, 0, 6]) + np.array([0.8, 0, 0.3]) * times[:, None]
    assert find_root(replace(sight(root, 0.001), times=times))[0] == pytest.approx(root, abs=0.04)


def test_what_does_not_fit_is_refused():
    good = sight(straight((0, 0, 5), (0, 0, 0), 3))
    with pytest.raises(InputError, match="do not fit"):
        replace(good, rays=good.rays[:, :4])
    with pytest.raises(InputError, match="no joint is seen"):
        replace(good, weights=0 * good.weights)
