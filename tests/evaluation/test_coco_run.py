"""The driver: order, batches of different sizes, flaws in the images, and what remains of a run that fails."""

import json

import numpy as np
import pytest

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


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_annotated_boxes(coco_dataset, batch_size):
    folder, truth = coco_dataset
    oracle = Oracle(truth)
    report = run_coco(oracle, folder, truth, batch_size=batch_size, protocol={"weights": "none"})
    assert report["keypoints"]["AP"] == pytest.approx(1)
    assert report["bbox"] == {}
    assert report["protocol"]["images"] == 7
    assert report["protocol"]["boxes"] == "gt"
    assert report["protocol"]["weights"] == "none"
    assert sum(map(len, oracle.calls)) == report["protocol"]["images_with_people_labelled"] == 6
    json.dumps(report)


def test_own_detector(coco_dataset):
    folder, truth = coco_dataset
    oracle = Oracle(truth)
    report = run_coco(oracle, folder, truth, boxes="detector", batch_size=3)
    assert sum(map(len, oracle.calls)) == 7
    assert report["bbox"]["AP"] == pytest.approx(1)
    assert report["keypoints"]["AR"] == pytest.approx(1)


def test_some_images_only(coco_dataset):
    folder, truth = coco_dataset
    oracle = Oracle(truth)
    assert run_coco(oracle, folder, truth, image_ids=[3, 4])["keypoints"]["AP"] == pytest.approx(1)
    assert sum(map(len, oracle.calls)) == 2


def test_annotations_from_a_file(coco_dataset):
    folder, truth = coco_dataset
    path = folder / "truth.json"
    path.write_text(json.dumps(truth))
    assert run_coco(Oracle(truth), folder, str(path))["protocol"]["annotations"] == "truth.json"


def test_missing_images_are_named(coco_dataset):
    folder, truth = coco_dataset
    for image_id in (2, 3, 4, 5):
        (folder / f"{image_id}.png").unlink()
    with pytest.raises(InputError, match=r"4 of 6 images are missing \(2.png, 3.png, 4.png, ...\)"):
        run_coco(Oracle(truth), folder, truth)


def test_nothing_to_evaluate(coco_dataset):
    folder, truth = coco_dataset
    with pytest.raises(InputError, match="no image has people with labelled joints"):
        run_coco(Oracle(truth), folder, truth, image_ids=[7])
    with pytest.raises(InputError, match="expected 'gt' or 'detector'"):
        run_coco(Oracle(truth), folder, truth, boxes="none")


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_results_survive_a_failure(coco_dataset, tmp_path, error):
    folder, truth = coco_dataset
    partial = tmp_path / "out" / "report.partial.json"
    with pytest.raises(error):
        run_coco(Oracle(truth, fail_at=3, error=error), folder, truth, boxes="detector", batch_size=2, partial=partial)
    kept = json.loads(partial.read_text())
    assert "out of luck" in kept["incomplete"]
    assert len(kept["image_ids"]) == 4
    assert {entry["image_id"] for entry in kept["results"]["bbox"]} <= set(kept["image_ids"])
    run_coco(Oracle(truth), folder, truth, boxes="detector", partial=partial)
    assert not partial.exists()


def test_an_unreadable_image_half_way(coco_dataset, tmp_path):
    folder, truth = coco_dataset
    last = max(truth["images"], key=lambda image: (image["height"] / image["width"], image["id"]))["file_name"]
    (folder / last).write_bytes(b"no image")
    with pytest.raises(InputError, match=f"{last}.*results of 6 images are kept in .*partial.json") as caught:
        run_coco(Oracle(truth), folder, truth, boxes="detector", batch_size=1, partial=tmp_path / "partial.json")
    assert "\n" not in str(caught.value)


def test_images_of_another_size_are_refused(coco_dataset):
    folder, truth = coco_dataset
    truth["images"][0]["width"] = 500
    with pytest.raises(InputError, match=r"1.png: is 64x96, but the annotations are for 500x96"):
        run_coco(Oracle(truth), folder, truth)
