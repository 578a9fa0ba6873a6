"""Boxes of a detector from a file of COCO results, and the COCO evaluation with them."""

import json

import numpy as np
import pytest

from cascadepose.data.detections import read_detections
from cascadepose.errors import InputError
from cascadepose.evaluation.coco_run import run_coco
from cascadepose.types import Detections, Poses2D


def entry(image_id=1, bbox=(10.0, 20.0, 30.0, 40.0), score=0.9, **more):
    return {"image_id": image_id, "category_id": 1, "bbox": list(bbox), "score": score} | more


def test_boxes_by_image(tmp_path):
    path = tmp_path / "boxes.json"
    path.write_text(
        json.dumps([entry(), entry(score=0.3), entry(7, (0, 0, 5, 5)), entry(category_id=3), entry(8, (1, 1, 0, 4))])
    )
    found = read_detections(path)
    assert sorted(found) == [1, 7]
    assert found[1].boxes_xyxy.tolist() == [[10, 20, 40, 60]] * 2
    assert read_detections(path, threshold=0.5)[1].scores.tolist() == [np.float32(0.9)]


@pytest.mark.parametrize(
    "content, message",
    [
        ({"annotations": []}, "no list of detections"),
        ([{"image_id": 1}], "has no bbox, score"),
        ([entry(score=float("nan"))], "four finite numbers"),
        ([entry(bbox=(1, 2, 3))], "four finite numbers"),
        ([entry(category_id=2)], "no person"),
        ([], "no person"),
        (["x"], "is no object"),
    ],
)
def test_other_layouts(content, message, tmp_path):
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        read_detections(path)
    with pytest.raises(InputError, match="no such detection file"):
        read_detections(tmp_path / "nowhere.json")


def test_evaluation_with_boxes_of_a_file(tmp_path):
    """Two people of one image, who stand where their boxes are; box scores decide the order."""
    from PIL import Image

    Image.new("RGB", (90, 80)).save(tmp_path / "1.png")
    rng = np.random.default_rng(0)
    boxes = np.float32([[5, 5, 35, 65], [50, 10, 100, 70]])
    places = rng.uniform(0.1, 0.6, (17, 2)).astype(np.float32)

    def people(given):
        keypoints = given[:, None, :2] + places * (given[:, None, 2:] - given[:, None, :2])
        return keypoints, np.ones(keypoints.shape[:2])

    class Finder:
        def predict(self, frames, boxes_xyxy=None):
            self.given = boxes_xyxy
            return [Poses2D(*people(b), np.ones((len(b), 17, 2)), b, np.ones(len(b))) for b in boxes_xyxy]

    inside = boxes.clip(0, [90, 80, 90, 80])
    annotations = [
        {"id": i, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 1500.0, "num_keypoints": 17,
         "bbox": [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()],
         "keypoints": np.concatenate([points, np.full((17, 1), 2)], 1).ravel().tolist()}
        for i, (box, points) in enumerate(zip(inside, people(inside)[0], strict=True))
    ]  # fmt: skip
    image = {"id": 1, "file_name": "1.png", "width": 90, "height": 80}
    truth = {"images": [image], "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    finder, given = Finder(), {1: Detections(boxes, [0.9, 0.4]), 99: Detections(boxes, [1, 1])}
    report = run_coco(finder, tmp_path, truth, boxes=given)
    np.testing.assert_array_equal(finder.given[0], inside)  # cut to the image
    assert report["keypoints"]["AP"] == pytest.approx(1)
    assert report["bbox"]["AP"] == pytest.approx(1)
    assert report["protocol"]["boxes"] == "of a file (2 boxes)"
    with pytest.raises(InputError, match="expected 'gt' or 'detector', or detections"):
        run_coco(finder, tmp_path, truth, boxes="none")
