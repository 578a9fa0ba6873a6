"""The evaluation with the official numbers: from a dict as from a file, twice, and its inputs left as they were."""

import json
from pathlib import Path

import pytest

from cascadepose.evaluation.coco import KEYPOINT_METRICS, evaluate_keypoints
from cascadepose.parity.coco import SETS

FOLDER = Path(__file__).parent / "coco_eval"


@pytest.mark.parametrize("name", SETS)
def test_official_numbers_from_dicts(name):
    truth, results, expected, tolerance = SETS[name]
    truth, results = (json.loads((FOLDER / file).read_text()) for file in (truth, results))
    before = json.dumps([truth, results])
    metrics = evaluate_keypoints(truth, results)
    assert tuple(metrics) == KEYPOINT_METRICS
    assert list(metrics.values()) == pytest.approx(expected, abs=tolerance)
    assert evaluate_keypoints(truth, results) == metrics
    assert json.dumps([truth, results]) == before
