"""COCO evaluation: perfect and partial results, restrictions, and flaws in the input."""

import json

import numpy as np
import pytest

from cascadepose.errors import InputError
from cascadepose.evaluation.coco import (
    BOX_METRICS,
    KEYPOINT_METRICS,
    box_results,
    evaluate_boxes,
    evaluate_keypoints,
    keypoint_results,
    load_ground_truth,
)
from cascadepose.skeletons import COCO17
from cascadepose.types import Poses2D

FACE = list(range(5))


def annotation(rng, number, image_id, labelled=range(17), size=120):
    x, y = rng.uniform(10, 100, 2)
    triples = np.zeros((17, 3))
    triples[:, :2] = np.array([x, y]) + rng.uniform(0, size, (17, 2))
    triples[list(labelled), 2] = 2
    triples[triples[:, 2] == 0] = 0
    return {
        "id": number,
        "image_id": image_id,
        "category_id": 1,
        "iscrowd": 0,
        "bbox": [x, y, size, size],
        "area": size * size / 2,
        "keypoints": triples.ravel().tolist(),
        "num_keypoints": len(list(labelled)),
    }


@pytest.fixture
def truth(rng):
    """Three images, five people; an id of 0 among them, which pycocotools by itself would never match."""
    people = [annotation(rng, number, 1 + number % 3) for number in range(5)]
    images = [{"id": i, "file_name": f"{i}.png", "width": 320, "height": 240} for i in (1, 2, 3)]
    return {"images": images, "annotations": people, "categories": [{"id": 1, "name": "person"}]}


def perfect(truth):
    """Results that are the annotations."""
    return [
        {"image_id": e["image_id"], "category_id": 1, "keypoints": list(e["keypoints"]), "score": 0.9}
        for e in truth["annotations"]
    ]


def test_perfect_results(truth):
    metrics = evaluate_keypoints(truth, perfect(truth))
    assert tuple(metrics) == KEYPOINT_METRICS
    assert metrics["AP"] == pytest.approx(1)
    assert metrics["AR"] == pytest.approx(1)
    assert metrics["APL"] == -1  # nobody is large

    boxes = [entry | {"score": 0.5} for entry in truth["annotations"]]
    metrics = evaluate_boxes(truth, boxes)
    assert tuple(metrics) == BOX_METRICS
    assert metrics["AP"] == pytest.approx(1)


def test_no_results_is_zero(truth):
    assert evaluate_keypoints(truth, [])["AP"] == 0
    assert evaluate_boxes(truth, [])["AR100"] == 0


def test_restricting_images(truth):
    results = [entry for entry in perfect(truth) if entry["image_id"] == 2]
    assert evaluate_keypoints(truth, results)["AR"] < 1
    assert evaluate_keypoints(truth, results, image_ids=[2])["AP"] == pytest.approx(1)
    with pytest.raises(InputError, match=r"1 image ids are not in the annotations, e.g. \[99\]"):
        evaluate_keypoints(truth, results, image_ids=[2, 99])


def test_joints_that_are_not_labelled_do_not_count(truth, rng):
    """Faces without labels: whatever is predicted there, the numbers stay."""
    body = range(5, 17)
    truth["annotations"] = [annotation(rng, number + 1, 1 + number % 3, body) for number in range(5)]
    results = perfect(truth)
    for entry in results:
        entry["keypoints"][:15] = rng.uniform(0, 300, 15).tolist()
    for joints in ("all", "labelled", COCO17.names[5:]):
        metrics = evaluate_keypoints(truth, results, joints=joints)
        assert metrics["AP"] == pytest.approx(1), joints
    with pytest.raises(InputError, match="no joint 'tail'"):
        evaluate_keypoints(truth, results, joints=["tail"])


def test_restricting_joints_hides_the_errors_of_the_others(truth, rng):
    results = perfect(truth)
    for entry in results:
        entry["keypoints"][:15] = rng.uniform(0, 300, 15).tolist()
    assert evaluate_keypoints(truth, results)["AP"] < 0.9
    assert evaluate_keypoints(truth, results, joints=COCO17.names[5:])["AP"] == pytest.approx(1)


def test_missing_fields_are_filled_in(truth):
    for entry in truth["annotations"]:
        del entry["num_keypoints"], entry["iscrowd"], entry["category_id"]
    del truth["categories"]
    assert evaluate_keypoints(truth, perfect({"annotations": load_ground_truth(truth)["annotations"]}))["AP"] == 1


@pytest.mark.parametrize(
    "change, match",
    [
        (lambda t: t.update(annotations=[]), "3 images and 0 people; nothing to evaluate"),
        (lambda t: t.update(images=[], annotations=[]), "0 images and 0 people"),
        (lambda t: t.pop("images"), "no COCO annotations"),
        (
            lambda t: t["annotations"][2]["keypoints"].__setitem__(4, float("nan")),
            "annotation 2 has NaN .* in keypoints",
        ),
        (lambda t: t["annotations"][2]["bbox"].__setitem__(0, float("inf")), "annotation 2 has NaN .* in bbox"),
        (lambda t: t["annotations"][1].update(keypoints=[1, 2, 3]), "3 keypoint values, expected 51"),
        (lambda t: t["annotations"][1].pop("area"), "annotation 1 has no area"),
        (lambda t: t["annotations"][1].update(image_id=77), "belongs to image 77"),
        (lambda t: t.update(categories=[{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]), "named 'person'"),
    ],
)
def test_flaws_in_the_annotations(truth, tmp_path, change, match):
    change(truth)
    with pytest.raises(InputError, match=match):
        load_ground_truth(truth)
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    with pytest.raises(InputError, match=match) as caught:
        load_ground_truth(path)
    assert str(path) in str(caught.value)


def test_files_that_are_no_annotations(tmp_path):
    path = tmp_path / "truth.json"
    with pytest.raises(InputError, match="no such annotation file"):
        load_ground_truth(path)
    for content, match in (("", "no valid JSON"), ('{"images": [', "no valid JSON"), ("[1]", "no COCO annotations")):
        path.write_text(content)
        with pytest.raises(InputError, match=match):
            load_ground_truth(path)


@pytest.mark.parametrize(
    "change, match",
    [
        (lambda r: r[1]["keypoints"].__setitem__(0, float("nan")), "result 1 .* NaN"),
        (lambda r: r[1].update(score=float("nan")), "result 1 .* NaN"),
        (lambda r: r[1].update(image_id=5), "image 5, which the annotations do not list"),
        (lambda r: r[1].pop("score"), "result 1 has no score"),
        (lambda r: r[1].update(keypoints=[0.0] * 34), "34 keypoint values"),
    ],
)
def test_flaws_in_the_results(truth, change, match):
    results = perfect(truth)
    change(results)
    with pytest.raises(InputError, match=match):
        evaluate_keypoints(truth, results)


def poses(rng, people=3):
    return Poses2D(
        keypoints=rng.uniform(0, 200, (people, 17, 2)),
        scores=rng.uniform(0, 1, (people, 17)),
        sigma=np.ones((people, 17, 2)),
        boxes_xyxy=np.tile([10.0, 20.0, 60.0, 140.0], (people, 1)),
        box_scores=rng.uniform(0.5, 1, people),
    )


def test_results_from_poses(rng):
    found = poses(rng)
    found.scores[1] = 0.1  # no joint is confident
    results = keypoint_results(7, found)
    for row, entry in enumerate(results):
        confident = found.scores[row][found.scores[row] > 0.2]
        expected = found.box_scores[row] * (confident.mean() if len(confident) else 0)
        assert entry["score"] == pytest.approx(float(expected), abs=1e-6)
        np.testing.assert_allclose(np.reshape(entry["keypoints"], (17, 3))[:, :2], found.keypoints[row])
    assert (results[0]["image_id"], results[0]["category_id"], results[1]["score"]) == (7, 1, 0)
    assert box_results(7, found)[0]["bbox"] == [10.0, 20.0, 50.0, 120.0]
    assert keypoint_results(7, Poses2D.empty()) == box_results(7, Poses2D.empty()) == []


def test_people_ranked_by_the_oks_that_they_promise(rng):
    """Those whose joints are said to be off come last, whatever the scores of their joints."""
    found = poses(rng)
    found.scores[:], found.box_scores[:] = 0.9, 0.8
    found.sigma[1] = 20.0
    scores = [entry["score"] for entry in keypoint_results(1, found, rank="oks")]
    assert scores[1] < 0.5 ** (1 / 5) * scores[0]
    assert scores[0] == scores[2]
    assert scores[0] == pytest.approx(0.8 * 0.9 ** (1 / 5), rel=0.05)


def test_results_without_doubles(rng):
    found = poses(rng)
    doubled = found[[0, 1, 1, 2, 0]]
    kept = keypoint_results(1, doubled, nms_threshold=0.9)
    assert len(kept) == 3
    assert [entry["score"] for entry in kept] == sorted((e["score"] for e in kept), reverse=True)
