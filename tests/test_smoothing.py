"""Gap filling and resampling against numpy's one-dimensional interpolation."""

import numpy as np
import pytest

from cascadepose.smoothing import fill_gaps, resample


@pytest.mark.parametrize("shape", [(23,), (23, 5)], ids=["frames", "joints"])
def test_gaps_are_interpolated(shape, rng):
    values, known = rng.normal(size=(23, 5, 2)), rng.random(shape) < 0.4
    known[11] = True
    times = np.sort(rng.random(23))
    spoiled = np.where(np.broadcast_to(known.reshape(*shape, *[1] * (3 - known.ndim)), values.shape), values, np.nan)
    filled = fill_gaps(spoiled, known, times)
    for j in range(5):
        mask = known if known.ndim == 1 else known[:, j]
        for d in range(2):
            np.testing.assert_allclose(filled[:, j, d], np.interp(times, times[mask], values[mask, j, d]), atol=1e-12)


def test_known_entries_are_untouched(rng):
    values, known = rng.normal(size=(9, 3)).astype(np.float32), np.arange(9) % 3 != 1
    filled = fill_gaps(values, known)
    np.testing.assert_array_equal(filled[known], values[known])
    assert filled.dtype == np.float32


def test_nothing_known_is_zero():
    assert (fill_gaps(np.full((4, 2), np.nan), np.zeros(4, bool)) == 0).all()
    assert (fill_gaps(np.full((4, 2, 3), np.nan), np.zeros((4, 2), bool)) == 0).all()


def test_resample_is_linear_and_holds_the_ends():
    values, times = np.array([[0.0], [2.0], [3.0]]), np.array([0.0, 1.0, 3.0])
    np.testing.assert_allclose(resample(values, times, np.array([-1, 0.5, 1, 2, 9])).ravel(), [0, 1, 2, 2.5, 3])
    np.testing.assert_array_equal(resample(values[:1], times[:1], np.zeros(4)), np.zeros((4, 1)))
