"""Metrics of lifters: invariances, reflections, and agreement with a plain loop."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascadepose import rotations
from cascadepose.evaluation.lifting import mpjpe, mpjve, n_mpjpe, p_mpjpe, procrustes


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_procrustes_undoes_any_similarity(seed):
    rng = np.random.default_rng(seed)
    target = rng.normal(size=(4, 17, 3))
    turn = rotations.quaternion_to_matrix(rotations.normalize(rng.normal(size=(4, 4))))
    pred = rng.uniform(0.2, 5) * target @ turn + rng.normal(size=(4, 1, 3))
    np.testing.assert_allclose(procrustes(pred, target), target, atol=1e-9)
    assert p_mpjpe(pred, target).max() < 1e-6


def test_procrustes_does_not_mirror(rng):
    target = rng.normal(size=(17, 3))
    assert p_mpjpe(target * [-1, 1, 1], target) > 100


def test_procrustes_is_never_worse_than_scaling(rng):
    pred, target = rng.normal(size=(9, 17, 3)), rng.normal(size=(9, 17, 3))
    pred, target = pred - pred.mean(1, keepdims=True), target - target.mean(1, keepdims=True)
    squares = [((p - target) ** 2).sum((-2, -1)) for p in (procrustes(pred, target), pred)]
    assert (squares[0] <= squares[1] + 1e-9).all()


def test_degenerate_poses_stay_finite():
    flat = np.zeros((2, 17, 3))
    for metric in (mpjpe, n_mpjpe, p_mpjpe):
        assert np.isfinite(metric(flat, flat)).all()


def test_units_and_axes(rng):
    target = rng.normal(size=(2, 6, 17, 3))
    assert mpjpe(target + np.array([0.003, 0, 0.004]), target) == pytest.approx(np.full((2, 6), 5.0))
    assert n_mpjpe(target * 2, target).max() < 1e-9
    drift = np.arange(6)[None, :, None, None] * [0.01, 0, 0]
    assert mpjve(target + drift, target) == pytest.approx(np.full((2, 5), 10.0))
    assert p_mpjpe(target, target).shape == (2, 6)
