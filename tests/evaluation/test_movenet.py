"""MoveNet as a peer: its answers in the pixels of the frame, and clear words where it cannot run."""

import json
import sys

import numpy as np
import pytest

from cascadepose.cli import main
from cascadepose.data.images import read_image
from cascadepose.errors import InputError
from cascadepose.evaluation.movenet import MoveNet
from cascadepose.skeletons import COCO17


@pytest.fixture(scope="module")
def movenet(shared):
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    return MoveNet(shared / "data/peers/movenet_single_pose_lightning_ptq.tflite")


def test_it_finds_the_joints_of_a_person_wherever_the_person_is(movenet, shared):
    frame = read_image(shared / "data/photos/one_person.jpg")
    height, width = frame.shape[:2]
    whole = np.array([[0, 0, width, height]], np.float32)
    people = movenet.predict([frame], [whole])[0]
    found = people.scores[0] > 0.4
    assert found.sum() >= 10
    assert ((people.keypoints[0, found] > 0) & (people.keypoints[0, found] < (width, height))).all()
    shoulder, hip = (COCO17.index(f"left_{name}") for name in ("shoulder", "hip"))
    assert people.keypoints[0, shoulder, 1] < people.keypoints[0, hip, 1]
    moved = movenet.predict([np.pad(frame, ((37, 0), (53, 0), (0, 0)))], [whole + np.array([53, 37, 53, 37])])[0]
    error = np.abs(moved.keypoints - people.keypoints - (53, 37))[0, found]
    assert np.median(error) < 0.01 * max(height, width)


def test_nobody_and_several(movenet, shared):
    frame = read_image(shared / "data/photos/one_person.jpg")
    box = np.array([0, 0, frame.shape[1], frame.shape[0]], np.float32)
    nobody, two = movenet.predict([frame, frame], [np.zeros((0, 4)), np.stack([box, box])])
    assert len(nobody.keypoints) == 0
    np.testing.assert_array_equal(two.keypoints[0], two.keypoints[1])
    with pytest.raises(InputError, match="give it boxes"):
        movenet.predict([frame])


def test_without_litert_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(InputError, match="pip install ai-edge-litert"):
        MoveNet("any.tflite")


def test_files_that_are_no_movenet(tmp_path):
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    with pytest.raises(InputError, match="no such file"):
        MoveNet(tmp_path / "missing.tflite")
    (tmp_path / "text.tflite").write_text("no model")
    with pytest.raises(InputError, match="cannot read it"):
        MoveNet(tmp_path / "text.tflite")


def test_it_is_evaluated_as_weights_are(movenet, coco_dataset, shared, capsys):
    folder, truth = coco_dataset
    (folder / "truth.json").write_text(json.dumps(truth))
    file = shared / "data/peers/movenet_single_pose_lightning_ptq.tflite"
    given = ["eval", "coco", "--images", folder, "--annotations", folder / "truth.json", "--weights", file]
    assert main([*map(str, given), "--json", str(folder / "report.json")]) == 0
    report = json.loads((folder / "report.json").read_text())
    assert 0 <= report["keypoints"]["AP"] <= 1
    assert report["protocol"]["weights"] == str(file)
    capsys.readouterr()
    assert main([*map(str, given), "--boxes", "detector"]) == 2
    assert "--boxes gt" in capsys.readouterr().err
