"""Object keypoint similarity against pycocotools and by its properties."""

import numpy as np
import pytest

from cascadepose.evaluation.oks import expected_oks, oks, oks_nms
from cascadepose.skeletons import COCO17


def pycocotools_oks(poses, references, visible, areas):
    from pycocotools.cocoeval import COCOeval

    evaluation = COCOeval(iouType="keypoints")
    evaluation.params.imgIds, evaluation.params.catIds = [1], [1]

    def person(number, points, flags, area):
        triples = np.concatenate([points, flags[:, None]], 1).ravel().tolist()
        return {"id": number, "keypoints": triples, "area": area, "bbox": [0, 0, 10, 10], "score": -number}

    evaluation._gts[1, 1] = [person(i, *row) for i, row in enumerate(zip(references, visible, areas, strict=True))]
    evaluation._dts[1, 1] = [person(i, points, np.ones(17), 1.0) for i, points in enumerate(poses)]
    return np.asarray(evaluation.computeOks(1, 1))


def test_equals_pycocotools(rng):
    poses, references = rng.normal(100, 30, (7, 17, 2)), rng.normal(100, 30, (5, 17, 2))
    visible, areas = rng.integers(0, 3, (5, 17)), rng.uniform(500, 9000, 5)
    ours = oks(poses, references, visible > 0, areas)
    assert ours.shape == (7, 5)
    np.testing.assert_allclose(ours, pycocotools_oks(poses, references, visible, areas), atol=1e-12)


def test_batched_equals_one_by_one(rng):
    poses, references = rng.normal(size=(3, 4, 17, 2)), rng.normal(size=(3, 5, 17, 2))
    visible, areas = rng.random((3, 5, 17)) < 0.7, rng.uniform(1, 9, (3, 5))
    together = oks(poses, references, visible, areas)
    for index in range(3):
        alone = oks(poses[index], references[index], visible[index], areas[index])
        np.testing.assert_allclose(together[index], alone, rtol=1e-12)


def test_bounds(rng):
    pose = rng.normal(100, 30, (1, 17, 2))
    assert oks(pose, pose, area=1000.0).item() == pytest.approx(1)
    assert oks(pose, pose + 1e5, area=1000.0).item() == pytest.approx(0)
    assert oks(pose, pose, np.zeros((1, 17), bool), 1000.0).item() == 0
    assert oks(np.zeros((0, 17, 2)), pose, area=1.0).shape == (0, 1)


def test_the_oks_that_poses_promise_is_the_one_they_have(rng):
    """Poses that are off by as much as they say, and differently in x and y: the mean OKS of many of them."""
    area, spread = 2500.0, rng.uniform(1, 15, (17, 2))
    truth = rng.uniform(0, 100, (1, 17, 2))
    drawn = truth + rng.normal(size=(20_000, 17, 2)) * spread
    promised = expected_oks(np.ones((1, 17)), spread[None], np.array([area]))
    assert promised.item() == pytest.approx(oks(drawn, truth, area=area).mean(), abs=0.005)


def test_joints_that_are_not_there_promise_nothing():
    scores, spread = np.zeros((3, 17)), np.ones((3, 17, 2))
    scores[0, :4], scores[1, :4] = 0.9, 0.5
    spread[:, 4:] = 1e6
    sure, doubtful, nobody = expected_oks(scores, spread, np.full(3, 1e8))
    assert (sure, doubtful, nobody) == (pytest.approx(0.9, abs=1e-3), pytest.approx(0.5, abs=1e-3), 0.0)


def loop_nms(keypoints, scores, areas, threshold):
    """The plain form: take the best, drop what is like it, repeat."""
    left, keep = list(np.argsort(-scores, kind="stable")), []
    while left:
        best = left.pop(0)
        keep.append(best)
        left = [
            other
            for other in left
            if oks(keypoints[[best]], keypoints[[other]], area=(areas[best] + areas[other]) / 2).item() <= threshold
        ]
    return keep


@pytest.mark.parametrize("threshold", [0.3, 0.6, 0.9])
def test_nms_equals_the_plain_loop(rng, threshold):
    people = rng.normal(100, 40, (4, 17, 2))
    keypoints = people[rng.integers(0, 4, 30)] + rng.normal(0, 5, (30, 17, 2))
    scores, areas = rng.random(30), rng.uniform(3000, 9000, 30)
    assert oks_nms(keypoints, scores, areas, threshold).tolist() == loop_nms(keypoints, scores, areas, threshold)


def test_nms_of_nobody():
    assert len(oks_nms(np.zeros((0, 17, 2)), np.zeros(0), np.zeros(0))) == 0


def test_sigmas_are_the_official_ones():
    from pycocotools.cocoeval import Params

    np.testing.assert_allclose(COCO17.sigmas, Params("keypoints").kpt_oks_sigmas)
