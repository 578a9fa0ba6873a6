"""Whatever is odd in a file of others ends in one line that names the file, never in a traceback."""

import copy
import json
import pickle

import numpy as np
import pytest

from cascadepose.data.detections import read_detections
from cascadepose.data.h36m import read_h36m
from cascadepose.data.h36m_image import read_h36m_image
from cascadepose.data.layouts import expects
from cascadepose.data.mpi_inf_3dhp import read_3dhp_test, read_3dhp_train
from cascadepose.data.mpii import read_mpii
from cascadepose.data.results2d import FORMATS, read_people
from cascadepose.errors import InputError

ODD = (None, 3, "x", [], {}, [[1, 2], [3]], float("nan"), -5, np.zeros((2, 2)))
PERSON = [5.0, 6.0, 0.9] * 17
JSON = {
    "alphapose": [{"image_id": "3.jpg", "keypoints": PERSON, "score": 1.0, "box": [1, 2, 3, 4], "idx": [1]}],
    "coco": [{"image_id": 3, "category_id": 1, "keypoints": PERSON, "score": 1.0, "bbox": [1, 2, 3, 4]}],
    "openpose": {"people": [{"person_id": [1], "pose_keypoints_2d": PERSON + 8 * [1.0, 1.0, 1.0]}]},
    "mmpose": {"instance_info": [{"frame_id": 1, "instances": [
        {"keypoints": [[1.0, 2.0]] * 17, "keypoint_scores": [1.0] * 17, "bbox": [[1, 2, 3, 4]], "bbox_score": 0.5}]}]},
    "rtmlib": [{"keypoints": [[[1.0, 2.0]] * 17], "scores": [[1.0] * 17]}],
}  # fmt: skip
BOXES = [{"image_id": 3, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]
MPII = [{"image": "x", "center": [1, 2], "scale": 1.0, "joints": [[1, 2]] * 16, "joints_vis": [1] * 16}]
H36M = {"S9": {"Walking": np.zeros((2, 17, 3))}}
H36M_2D = {"S9": {"Walking": [np.zeros((2, 17, 2))] * 4}}
TEST_3DHP = {"TS1": {"data_2d": np.zeros((2, 17, 2)), "data_3d": np.zeros((2, 17, 3)), "valid": [1, 1]}}
TRAIN_3DHP = {"S1 Seq1": [{"0": {"data_2d": np.zeros((2, 17, 2)), "data_3d": np.zeros((2, 17, 3))}}, 25]}


def variants(value):
    """Copies of a nested value with one part replaced by something odd, or left out."""
    for odd in ODD:
        yield copy.deepcopy(odd)
    if isinstance(value, dict | list):
        keys = list(value) if isinstance(value, dict) else list(range(min(len(value), 3)))
        for key in keys:
            for changed in variants(value[key]):
                part = copy.deepcopy(value)
                part[key] = changed
                yield part
            part = copy.deepcopy(value)
            del part[key]
            yield part


def survives(read, name):
    """It reads, or says in one line what is wrong with which file."""
    try:
        return read()
    except InputError as error:
        assert name in str(error), error  # noqa: PT017
        assert "\n" not in str(error)  # noqa: PT017
    return None


def plain(value):
    return value.tolist() if isinstance(value, np.ndarray) else str(value)


@pytest.mark.parametrize("format", JSON)
def test_results_of_programs(format, tmp_path):
    path = tmp_path / "file.json"
    path.write_text(json.dumps(JSON[format]))
    assert read_people(path, format).tracks(min_hits=1)
    assert set(JSON) <= set(FORMATS)
    for content in variants(JSON[format]):
        path.write_text(json.dumps(content, default=plain))
        people = survives(lambda: read_people(path, format), "file.json")
        if people is not None:
            people.poses()


def test_boxes_and_mpii(tmp_path):
    for read, whole in ((read_detections, BOXES), (read_mpii, MPII)):
        path = tmp_path / "file.json"
        path.write_text(json.dumps(whole))
        assert read(path)
        for content in variants(whole):
            path.write_text(json.dumps(content, default=plain))
            survives(lambda read=read, path=path: read(path), "file.json")


def test_benchmarks(tmp_path):
    path, other = tmp_path / "file.npz", tmp_path / "file_2d.npz"
    for read, key, whole in ((read_3dhp_test, "data", TEST_3DHP), (read_3dhp_train, "data", TRAIN_3DHP),
                             (lambda p: read_h36m(p, subjects=("S9",)), "positions_3d", H36M)):  # fmt: skip
        for content in (whole, *variants(whole)):
            np.savez(path, **{key: np.array(content, object) if isinstance(content, list) else content})
            found = survives(lambda read=read: read(path), "file.npz")
            assert found or content is not whole
    np.savez(path, positions_3d=H36M)
    for content in variants(H36M_2D):
        points = np.empty((), object)
        points[()] = content
        np.savez(other, positions_2d=points, metadata={"layout_name": "h36m"})
        survives(lambda: read_h36m(path, other, subjects=("S9",)), "file")


def test_h36m_of_motionbert(tmp_path):
    part = {
        "joint_2d": np.zeros((2, 17, 2)),
        "joint3d_image": np.zeros((2, 17, 3)),
        "joints_2.5d_image": np.zeros((2, 17, 3)),
        "2.5d_factor": np.ones(2),
        "action": ["Walking"] * 2,
        "camera_name": ["54138969"] * 2,
        "source": ["s_09_a"] * 2,
    }
    path = tmp_path / "file.pkl"
    for content in ({"test": part}, *variants({"test": part})):
        path.write_bytes(pickle.dumps(content))
        survives(lambda: read_h36m_image(path), "file.pkl")


def test_misuse_is_no_fault_of_the_file():
    @expects("anything")
    def read(path, more=1):
        """Reads."""
        return path["x"]

    assert read({"x": 3}) == 3
    assert read.__doc__ == "Reads."
    with pytest.raises(TypeError, match="unexpected"):
        read("a", less=2)
    with pytest.raises(InputError, match=r"a: is laid out in another way .* expected anything"):
        read("a")
