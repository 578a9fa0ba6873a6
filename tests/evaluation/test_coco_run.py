"""The driver: order, batches of different sizes, flaws in the images, and what remains of a run that fails."""

import json

import numpy as np
import pytest
from PIL import Image

from cascadepose.errors import InputError
from cascadepose.evaluation.coco_run import run_coco
from cascadepose.types import Poses2D


class Oracle:
    """Knows the people of an image by the colour of its first pixel; fails at the chosen call."""

    def __init__(self, truth, fail_at=None, error=RuntimeError):
        self.truth, self.calls, self.fail_at, self.error = truth, [], fail_at, error

    def predict(self, frames, boxes_xyxy=None):
        self.calls.append([frame.shape for frame in frames])
        if len(self.calls) == self.fail_at:
            raise self.error("out of luck")
        return [
            self._people(int(frame[0, 0, 0]), None if boxes_xyxy is None else boxes_xyxy[i])
            for i, frame in enumerate(frames)
        ]

    def _people(self, image_id, boxes):
        rows = [entry for entry in self.truth["annotations"] if entry["image_id"] == image_id]
        if boxes is not None:
            rows = [row for row in rows if row["num_keypoints"] and not row["iscrowd"]]
            assert len(boxes) == len(rows)
        count = len(rows)
        triples = np.reshape([row["keypoints"] for row in rows], (count, 17, 3))
        xywh = np.reshape([row["bbox"] for row in rows], (count, 4))
        return Poses2D(
            triples[..., :2], np.ones((count, 17)), np.ones((count, 17, 2)),
            np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], 1), np.ones(count),
        )  # fmt: skip


@pytest.fixture
def dataset(tmp_path, rng):
    """Seven images of three sizes; image 7 has nobody, one person has no joints, one annotation is a crowd."""
    images, people = [], []
    for image_id in range(1, 8):
        width, height = ((96, 64), (64, 96), (80, 80))[image_id % 3]
        Image.new("RGB", (width, height), (image_id, 0, 0)).save(tmp_path / f"{image_id}.png")
        images.append({"id": image_id, "file_name": f"{image_id}.png", "width": width, "height": height})
        for _ in range(image_id % 3 + 1 if image_id < 7 else 0):
            triples = np.full((17, 3), 2.0)
            triples[:, :2] = rng.uniform(2, 60, (17, 2))
            people.append(
                {"id": len(people), "image_id": image_id, "category_id": 1, "iscrowd": 0, "bbox": [2, 2, 58, 58],
                 "area": 2000, "keypoints": triples.ravel().tolist(), "num_keypoints": 17}
            )  # fmt: skip
    people[1]["iscrowd"] = 1
    people[2].update(num_keypoints=0, keypoints=[0] * 51)
    return tmp_path, {"images": images, "annotations": people, "categories": [{"id": 1, "name": "person"}]}


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_annotated_boxes(dataset, batch_size):
    folder, truth = dataset
    oracle = Oracle(truth)
    report = run_coco(oracle, folder, truth, batch_size=batch_size, protocol={"weights": "none"})
    assert report["keypoints"]["AP"] == pytest.approx(1)
    assert report["bbox"] == {}
    assert report["protocol"]["images"] == 7
    assert report["protocol"]["boxes"] == "gt"
    assert report["protocol"]["weights"] == "none"
    assert sum(map(len, oracle.calls)) == report["protocol"]["images_with_people_labelled"] == 6
    json.dumps(report)


def test_own_detector(dataset):
    folder, truth = dataset
    oracle = Oracle(truth)
    report = run_coco(oracle, folder, truth, boxes="detector", batch_size=3)
    assert sum(map(len, oracle.calls)) == 7
    assert report["bbox"]["AP"] == pytest.approx(1)
    assert report["keypoints"]["AR"] == pytest.approx(1)


def test_some_images_only(dataset):
    folder, truth = dataset
    oracle = Oracle(truth)
    assert run_coco(oracle, folder, truth, image_ids=[3, 4])["keypoints"]["AP"] == pytest.approx(1)
    assert sum(map(len, oracle.calls)) == 2


def test_annotations_from_a_file(dataset):
    folder, truth = dataset
    path = folder / "truth.json"
    path.write_text(json.dumps(truth))
    assert run_coco(Oracle(truth), folder, str(path))["protocol"]["annotations"] == "truth.json"


def test_missing_images_are_named(dataset):
    folder, truth = dataset
    for image_id in (2, 3, 4, 5):
        (folder / f"{image_id}.png").unlink()
    with pytest.raises(InputError, match=r"4 of 6 images are missing \(2.png, 3.png, 4.png, ...\)"):
        run_coco(Oracle(truth), folder, truth)


def test_nothing_to_evaluate(dataset):
    folder, truth = dataset
    with pytest.raises(InputError, match="no image has people with labelled joints"):
        run_coco(Oracle(truth), folder, truth, image_ids=[7])
    with pytest.raises(InputError, match="expected 'gt' or 'detector'"):
        run_coco(Oracle(truth), folder, truth, boxes="none")


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_results_survive_a_failure(dataset, tmp_path, error):
    folder, truth = dataset
    partial = tmp_path / "out" / "report.partial.json"
    with pytest.raises(error):
        run_coco(Oracle(truth, fail_at=3, error=error), folder, truth, boxes="detector", batch_size=2, partial=partial)
    kept = json.loads(partial.read_text())
    assert "out of luck" in kept["incomplete"]
    assert len(kept["image_ids"]) == 4
    assert {entry["image_id"] for entry in kept["results"]["bbox"]} <= set(kept["image_ids"])
    run_coco(Oracle(truth), folder, truth, boxes="detector", partial=partial)
    assert not partial.exists()


def test_an_unreadable_image_half_way(dataset, tmp_path):
    folder, truth = dataset
    last = max(truth["images"], key=lambda image: (image["height"] / image["width"], image["id"]))["file_name"]
    (folder / last).write_bytes(b"no image")
    with pytest.raises(InputError, match=f"{last}.*results of 6 images are kept in .*partial.json") as caught:
        run_coco(Oracle(truth), folder, truth, boxes="detector", batch_size=1, partial=tmp_path / "partial.json")
    assert "\n" not in str(caught.value)


def test_images_of_another_size_are_refused(dataset):
    folder, truth = dataset
    truth["images"][0]["width"] = 500
    with pytest.raises(InputError, match=r"1.png: is 64x96, but the annotations are for 500x96"):
        run_coco(Oracle(truth), folder, truth)
