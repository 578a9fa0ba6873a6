"""Errors that are planted are measured, and drawn again as often as they were measured."""

import json

import numpy as np
import pytest

from cascadepose.data import noise
from cascadepose.data.error_model import ErrorModel, measure, read_error_model
from cascadepose.errors import InputError
from cascadepose.skeletons import COCO17


@pytest.fixture
def people(rng):
    """Spread-out joints [600, 17, 2] of people of 100 px."""
    return rng.uniform(0, 100, (600, 17, 2)), np.ones((600, 17), bool), np.full(600, 100.0)


def test_planted_errors_are_measured(people, rng):
    truth, visible, sizes = people
    keypoints = truth + rng.normal(0, 2, truth.shape)
    swapped, astray = rng.random((600, 17)) < 0.1, rng.random((600, 17)) < 0.05
    keypoints = np.where(swapped[..., None], keypoints[:, list(COCO17.flip_index)], keypoints)
    keypoints = np.where(astray[..., None], truth + 40, keypoints)
    scores = np.where(astray, 0.1, 0.9)
    model = measure(keypoints, scores, truth, visible, sizes)
    np.testing.assert_allclose(model.spread, 0.02, rtol=0.3)
    assert 0.03 < np.mean(model.outlier_rate) < 0.07
    np.testing.assert_allclose(model.outlier_spread, 0.566, rtol=0.15)
    assert model.swap_rate[0] == 0  # a nose has no other side
    assert 0.05 < np.mean(model.swap_rate[1:]) < 0.11
    assert np.median(model.scores[0]) == 0.9
    assert np.mean(model.scores[-1]) < 0.7


def test_what_is_drawn_measures_alike(rng):
    errors = read_error_model()
    body = rng.uniform(0, 100, (1, 17, 2)).astype(np.float32) + 200
    truth = np.repeat(body, 400, axis=0)
    runs = [noise.detect(truth, (600, 600), np.random.default_rng(seed), 1.0) for seed in range(12)]
    keypoints, scores = (np.concatenate(part) for part in zip(*runs, strict=True))
    found = scores.max(1) > 0
    sizes = np.full(found.sum(), noise.person_size(truth))
    again = measure(
        keypoints[found], scores[found], np.tile(truth, (12, 1, 1))[found], np.ones((len(sizes), 17), bool), sizes
    )
    assert 0.6 < np.mean(again.spread) / np.mean(errors.spread) < 1.5
    assert 0.6 < np.mean(again.outlier_rate) / np.mean(errors.outlier_rate) < 1.6
    assert 0.4 < np.mean(again.swap_rate) / np.mean(errors.swap_rate) < 1.6
    assert np.mean(again.scores[0]) > 1.5 * np.mean(again.scores[-1])


def test_round_trip_and_bad_files(tmp_path):
    path = tmp_path / "errors.json"
    read_error_model().save(path)
    assert read_error_model(path) == read_error_model()
    assert isinstance(read_error_model(path), ErrorModel)
    content = json.loads(path.read_text())
    for name, change, message in (
        ("short.json", {"spread": [0.1] * 16}, "of other joints"),
        ("none.json", {"spread": None}, "holds no error model"),
    ):
        (tmp_path / name).write_text(json.dumps(content | change))
        with pytest.raises(InputError, match=message):
            read_error_model(tmp_path / name)


def test_too_few_people(people):
    truth, visible, sizes = (part[:5] for part in people)
    with pytest.raises(InputError, match="too few"):
        measure(truth, np.ones((5, 17)), truth, visible, sizes)
