"""The evaluation gives the official numbers on two sets that come with cocoapi and faster-coco-eval."""

import json
from pathlib import Path

import pytest

from cascadepose.evaluation.coco import KEYPOINT_METRICS, evaluate_keypoints

FOLDER = Path(__file__).parent / "coco_eval"
CASES = {
    "cocoapi": (
        "person_keypoints_val2014_100_rebuilt.json",
        "person_keypoints_val2014_fakekeypoints100_results.json",
        (0.372, 0.636, 0.348, 0.384, 0.386, 0.514, 0.734, 0.504, 0.508, 0.522),
        5e-4,
    ),
    "faster-coco-eval": (
        "keypoints_dataset/gt_dataset.json",
        "keypoints_dataset/dt_dataset.json",
        (0.504884, 0.722772, 0.633663, 0.466337, 0.750495, 0.518182, 0.727273, 0.636364, 0.466667, 0.75),
        1e-6,
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("as_dict", [False, True])
def test_official_numbers(case, as_dict):
    truth, results, expected, tolerance = CASES[case]
    source = json.loads((FOLDER / truth).read_text()) if as_dict else FOLDER / truth
    metrics = evaluate_keypoints(source, json.loads((FOLDER / results).read_text()))
    assert tuple(metrics) == KEYPOINT_METRICS
    assert list(metrics.values()) == pytest.approx(expected, abs=tolerance)


def test_inputs_are_left_as_they_were():
    truth, results, _, _ = CASES["cocoapi"]
    truth, results = (json.loads((FOLDER / name).read_text()) for name in (truth, results))
    before = json.dumps([truth, results])
    first = evaluate_keypoints(truth, results)
    assert evaluate_keypoints(truth, results) == first
    assert json.dumps([truth, results]) == before
