"""COCO's evaluation of keypoints, on the two sets that cocoapi and faster-coco-eval come with."""

from __future__ import annotations

import json

from cascadepose.errors import InputError
from cascadepose.evaluation.coco import evaluate_keypoints
from cascadepose.parity.cases import Case
from cascadepose.parity.compare import Comparison, compare

SETS = {  # name -> (ground truth, results, AP and AR as published, half of what their last digit stands for)
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


def evaluation(case: Case) -> list[Comparison]:
    """AP, AP50, AP75, AP(M), AP(L) and the five AR of every set that is there. Raises InputError where none is."""
    found = []
    for name, (truth, results, expected, tolerance) in SETS.items():
        if not (case.folder / truth).is_file():
            continue
        metrics = evaluate_keypoints(case.folder / truth, json.loads((case.folder / results).read_text("utf-8")))
        for (metric, value), published in zip(metrics.items(), expected, strict=True):
            found.append(compare(f"{name} {metric}", value, published, tolerance))
    if not found:
        raise InputError(f"{case.folder}: holds none of {', '.join(truth for truth, *_ in SETS.values())}")
    return found
