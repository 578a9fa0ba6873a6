"""Gap filling and resampling against numpy's one-dimensional interpolation."""

import numpy as np
import pytest

from cascadepose.errors import InputError
from cascadepose.smoothing import OneEuro, fill_gaps, resample, smooth


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


def waves(frequencies, rate=60.0, seconds=4.0):
    """times, and a sine of each frequency [T, F]."""
    times = np.arange(int(seconds * rate)) / rate
    return times, np.sin(2 * np.pi * np.asarray(frequencies) * times[:, None])


@pytest.mark.parametrize("method", ["butterworth", "savgol"])
def test_the_cutoff_is_where_three_decibels_are_lost(method):
    times, signal = waves([0.5, 6.0, 20.0])
    gain = np.abs(smooth(signal, times, method, 6.0))[60:-60].max(0)
    np.testing.assert_allclose(gain[:2], [1, 0.707], atol=0.1)
    assert gain[2] < 0.3


@pytest.mark.parametrize("method", ["butterworth", "savgol"])
def test_smoothing_does_not_delay_and_keeps_lines(method):
    times, signal = waves([1.0], rate=30.0)
    np.testing.assert_allclose(smooth(signal, times, method)[15:-15], signal[15:-15], atol=0.02)
    line = np.stack([3 * times, 5 - times], -1)
    np.testing.assert_allclose(smooth(line, times, method), line, atol=1e-3)


def test_smoothing_times_that_are_not_even(rng):
    times = np.sort(rng.uniform(0, 4, 150))
    signal = np.sin(2 * np.pi * times)[:, None]
    noisy = signal + 0.1 * rng.standard_normal(signal.shape)
    found = smooth(noisy, times, cutoff=3.0)
    assert np.abs(found - signal).mean() < 0.6 * np.abs(noisy - signal).mean()


def test_frames_that_are_not_known_do_not_count(rng):
    times, signal = waves([1.0], rate=30.0)
    known = rng.random(len(times)) < 0.8
    known[[0, -1]] = True
    spoiled = np.where(known[:, None], signal, np.nan)
    np.testing.assert_allclose(smooth(spoiled, times, known=known)[15:-15], signal[15:-15], atol=0.1)


@pytest.mark.parametrize("method", ["butterworth", "savgol"])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_short_signals(method, count):
    values = np.arange(count, dtype=np.float32)[:, None]
    found = smooth(values, np.arange(count) / 30.0, method, 3.0)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, values, atol=0.05)


def test_what_is_left_alone():
    times, signal = waves([4.0], rate=10.0)
    assert smooth(signal, times, "none") is signal
    np.testing.assert_array_equal(smooth(signal, times, cutoff=6.0), signal)  # 10 Hz show nothing above 5 Hz


def test_bad_smoothing():
    for method, cutoff, message in (("gauss", 6.0, "butterworth"), ("savgol", 0.0, "Hz"), ("none", -1.0, "Hz")):
        with pytest.raises(InputError, match=message):
            smooth(np.zeros((9, 2)), np.arange(9.0), method, cutoff)


def test_one_euro_calms_at_rest_and_follows_motion(rng):
    times = np.arange(300) / 30
    place = np.where(times < 5, 0, 3 * (times - 5))[:, None]  # rests, then 3 m/s
    noisy = place + 0.01 * rng.standard_normal((300, 1))
    one_euro = OneEuro()
    found = np.stack([one_euro(time, value) for time, value in zip(times, noisy, strict=True)])
    assert np.diff(found[30:140], axis=0).std() < 0.6 * np.diff(noisy[30:140], axis=0).std()
    assert np.abs(found - place)[200:].mean() < 0.05  # lags by less than half a frame


def test_one_euro_forgets_in_a_pause():
    one_euro = OneEuro()
    one_euro(0.0, np.zeros(2))
    np.testing.assert_allclose(one_euro(10.0, np.ones(2)), 1, atol=0.02)
