"""Pseudo-labels: who is believed, what is left alone, and the file that comes out."""

import json

import numpy as np
import pytest

from cascadepose.data.coco import CocoSource, read_coco
from cascadepose.errors import InputError
from cascadepose.evaluation.teachers import FACE, Belief, believed, label_missing
from cascadepose.skeletons import COCO17
from cascadepose.types import Poses2D

EYE = COCO17.index("left_eye")


class Teacher:
    """Puts every joint of everybody at one place of the box, with one score."""

    def __init__(self, share, score):
        self.share, self.score = share, score

    def predict(self, frames, boxes_xyxy=None):
        answers = []
        for boxes in boxes_xyxy:
            places = boxes[:, :2] + self.share * (boxes[:, 2:] - boxes[:, :2])
            keypoints = np.repeat(places[:, None], 17, 1)
            scores = np.full(keypoints.shape[:2], self.score, np.float32)
            answers.append(Poses2D(keypoints, scores, np.zeros_like(keypoints), boxes, np.ones(len(boxes))))
        return answers


@pytest.fixture
def faceless(coco_dataset):
    """The small set with the faces taken out, and its folder."""
    folder, truth = coco_dataset
    for entry in truth["annotations"]:
        entry["keypoints"][:15] = [0] * 15
        entry["num_keypoints"] = sum(v > 0 for v in entry["keypoints"][2::3])
    (folder / "faceless.json").write_text(json.dumps(truth))
    return folder, truth


def label(folder, *teachers, joints=FACE, **options):
    counts = label_missing(folder / "faceless.json", folder, joints, teachers, folder / "out.json", **options)
    return counts, json.loads((folder / "out.json").read_text())["annotations"]


def test_agreement_is_measured_in_the_tolerance_of_each_joint():
    """Eight pixels are too much for the eye of somebody of 100 px, and nothing for the hip."""
    first, second = np.zeros((1, 17, 2)), np.full((1, 17, 2), 6.0)
    scores = np.full((1, 17), 0.5)
    found = believed([(first, scores), (second, scores)], np.array([1e4]), Belief())
    assert not found[0, EYE, 2]
    hip = COCO17.index("left_hip")
    np.testing.assert_allclose(found[0, hip], [3, 3, 1])
    none = believed([(first, scores * 0.3), (second, scores)], np.array([1e4]), Belief())
    assert not none[..., 2].any(), "the first teacher has to believe it a little"


def test_one_teacher_is_believed_when_it_is_sure():
    scores = np.linspace(0, 1, 17)[None]
    found = believed([(np.ones((1, 17, 2)), scores)], np.array([1e4]), Belief(alone=0.7))
    np.testing.assert_array_equal(found[..., 2] > 0, scores > 0.7)


def test_only_what_is_missing_is_labelled(faceless):
    folder, truth = faceless
    counts, people = label(folder, Teacher(0.5, 0.9))
    with_joints = [not entry["iscrowd"] and entry["num_keypoints"] > 0 for entry in truth["annotations"]]
    assert counts == dict.fromkeys(FACE, sum(with_joints))
    for before, after, taught in zip(truth["annotations"], people, with_joints, strict=True):
        assert after["keypoints"][15:] == before["keypoints"][15:]
        assert after["num_keypoints"] == (17 if taught else before["num_keypoints"])
    records = read_coco(CocoSource(str(folder / "out.json"), str(folder)))
    faces = np.concatenate([record.keypoints[:, :5] for record in records])
    assert (faces[faces[..., 2].all(1)][..., :2] == 31).all(), "the middle of every box"


def test_two_teachers_share_the_place(faceless):
    folder, _ = faceless
    _, people = label(folder, Teacher(0.5, 0.3), Teacher(0.51, 0.1), joints=("nose",))
    assert people[0]["keypoints"][:3] == pytest.approx([31.3, 31.3, 2], abs=0.06)
    assert people[0]["keypoints"][3:6] == [0, 0, 0], "only the joints that were asked for"
    assert label(folder, Teacher(0.5, 0.3), Teacher(0.9, 0.1), joints=("nose",))[0] == {"nose": 0}


def test_a_face_away_from_the_head_is_left_out(faceless):
    folder, truth = faceless
    for entry, middle in zip(truth["annotations"], ((31, 31), (60, 60)), strict=False):
        x, y = middle
        entry["extra_keypoints"] = {"neck": [x, y + 5, 2], "head_top": [x, y - 5, 2]}
        entry["iscrowd"] = 0
    (folder / "faceless.json").write_text(json.dumps(truth))
    _, people = label(folder, Teacher(0.5, 0.9))
    assert people[0]["keypoints"][2] == 2
    assert people[1]["keypoints"][2] == 0


def test_bad_input_is_said(faceless):
    folder, _ = faceless
    with pytest.raises(InputError, match="use one of"):
        label(folder, Teacher(0.5, 0.9), joints=("beak",))
    with pytest.raises(InputError, match="give one or two"):
        label(folder)
    (folder / "3.png").unlink()
    with pytest.raises(InputError, match=r"3\.png"):
        label(folder, Teacher(0.5, 0.9))
    assert not (folder / "out.json").exists()


def test_the_tool_writes_the_file_and_says_what_it_labelled(faceless, tool_main, capsys):
    tool = tool_main("label_joints")
    folder, _ = faceless
    given = ["--images", str(folder), "--annotations", str(folder / "faceless.json"), "--device", "cpu"]
    assert tool([*given, "--joints", "nose", "--alone", "0", "--out", str(folder / "out.json")]) == 0
    assert "labelled: nose 10" in capsys.readouterr().out
    assert tool([*given, "--movenet", str(folder / "missing.tflite"), "--out", str(folder / "no.json")]) == 2
    assert not (folder / "no.json").exists()
