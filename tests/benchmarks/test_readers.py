"""Readers of benchmarks: files in the documented layouts come back as recordings; other layouts are one clear line."""

import json
import pickle

import numpy as np
import pytest

from cascadepose.data.h36m import KEPT, read_h36m, source_2d
from cascadepose.data.h36m_cameras import CAMERAS, EXTRINSICS, h36m_cameras
from cascadepose.data.h36m_image import read_h36m_image, read_h36m_image_arrays
from cascadepose.data.humaneva import read_humaneva
from cascadepose.data.mpi_inf_3dhp import read_3dhp_test, read_3dhp_train
from cascadepose.data.mpii import read_mpii, read_mpii_truth
from cascadepose.data.recordings import Recording, root_relative
from cascadepose.errors import InputError
from cascadepose.geometry import camera_to_world, project
from cascadepose.skeletons import COCO17, H36M17, MPI_INF_3DHP17, MPII16


def stored(path, key):
    return np.load(path, allow_pickle=True)[key].item()


def test_h36m_recordings(h36m_files):
    data_3d, data_2d = h36m_files
    recordings = read_h36m(data_3d, data_2d)
    assert len(recordings) == 2 * 4 * 4  # S11's Directions is not there
    recording = next(r for r in recordings if r.name == "S9 Greeting 58860488")
    assert (recording.damaged, recording.frame_rate, recording.image_size) == (True, 50.0, (1000, 1000))
    camera = h36m_cameras("S9")[2]
    world = camera_to_world(recording.joints, camera.orientation, camera.translation)
    np.testing.assert_allclose(world, stored(data_3d, "positions_3d")["S9"]["Greeting"][:, KEPT], atol=1e-5)
    np.testing.assert_array_equal(recording.keypoints, stored(data_2d, "positions_2d")["S9"]["Greeting"][2][:12])
    assert source_2d(data_2d) == "cpn"
    only = read_h36m(data_3d, data_2d, subjects=("S1",), actions=("Walking",))
    assert {r.action for r in only} == {"Walking", "Walking 1"}
    assert not any(r.damaged for r in only)


def test_h36m_true_joints_are_projected(h36m_files):
    for recording in read_h36m(h36m_files[0], subjects=("S1",), actions=("Walking",)):
        np.testing.assert_allclose(recording.keypoints, project(recording.joints, recording.intrinsics, clamp=1.0))
    assert "projected" in source_2d(None)


def test_original_names_are_shortened(tmp_path, rng):
    joints = {"TakingPhoto 1": np.zeros((2, 17, 3)), "WalkingDog": np.zeros((2, 17, 3))}
    np.savez(tmp_path / "data_3d.npz", positions_3d={"S9": joints})
    points = {"S9": {name: [np.zeros((2, 17, 2))] * 4 for name in ("Photo 1", "WalkDog")}}
    np.savez(tmp_path / "2d.npz", positions_2d=points, metadata={"layout_name": "coco"})
    recordings = read_h36m(tmp_path / "data_3d.npz", tmp_path / "2d.npz", subjects=("S9",))
    assert {r.action for r in recordings} == {"Photo 1", "WalkDog"}
    assert recordings[0].keypoint_skeleton is COCO17


def test_h36m_cameras_are_rotations_around_the_room():
    for subject in EXTRINSICS:
        cameras = h36m_cameras(subject)
        assert tuple(camera.name for camera in cameras) == CAMERAS
        for camera in cameras:
            assert np.linalg.norm(camera.orientation) == pytest.approx(1, abs=1e-5)
            middle = camera_to_world(np.float32([0, 0, 5]), camera.orientation, camera.translation)
            assert np.linalg.norm(middle[:2]) < 1.6  # five metres ahead is about the middle of the room
            assert 1.4 < camera.translation[2] < 1.7


def replaced(path, **members):
    archive = dict(np.load(path, allow_pickle=True))
    np.savez(path, **{name: members.get(name, value) for name, value in archive.items()})


@pytest.mark.parametrize(
    "member, value, message",
    [
        ("positions_3d", np.zeros(3), "no 'positions_3d'"),
        ("positions_3d", {"S9": {"Walking": np.zeros((4, 25, 3))}}, r"\(4, 25, 3\)"),
        ("positions_3d", {"S1": {}}, "no subject 'S9'"),
        ("positions_2d", {"S9": {"Walking": []}}, "S9 Directions 1 is missing"),
        ("positions_2d", {"S9": {"Directions 1": [np.zeros((12, 17, 2))] * 3}}, "has 3 arrays"),
        ("positions_2d", {"S9": {"Directions 1": [np.zeros((9, 17, 2))] * 4}}, "9 frames, fewer than the 12"),
        ("positions_2d", {"S9": {"Directions 1": [np.full((12, 17, 2), np.nan)] * 4}}, "NaN"),
        ("metadata", {"layout_name": "mpii"}, "layout 'mpii'"),
    ],
)
def test_h36m_of_another_layout(member, value, message, h36m_files):
    replaced(h36m_files[member != "positions_3d"], **{member: value})
    with pytest.raises(InputError, match=message) as caught:
        read_h36m(*h36m_files)
    assert "\n" not in str(caught.value)


def test_h36m_image(h36m_image_file):
    recordings = read_h36m_image(h36m_image_file)
    assert [(r.subject, r.action, len(r), r.damaged) for r in recordings] == [
        ("S9", "Greeting", 20, True), ("S9", "Walking", 21, False), ("S11", "Directions", 18, False)
    ]  # fmt: skip
    test = pickle.loads(h36m_image_file.read_bytes())["test"]
    np.testing.assert_allclose(recordings[1].joints, test["joints_2.5d_image"][20:41] / 1000)
    np.testing.assert_array_equal(recordings[1].scores, test["confidence"][20:41, :, 0])
    np.testing.assert_allclose(recordings[2].pixel_scale, test["2.5d_factor"][41:] / 1000)
    assert [r.image_size for r in recordings] == [(1000, 1002), (1000, 1000), (1000, 1000)]
    assert read_h36m_image_arrays(h36m_image_file, "train")["joint3d_image"].shape == (5, 17, 3)
    with pytest.raises(InputError, match="no truth in millimetres"):
        read_h36m_image(h36m_image_file, "train")


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("joint_2d", np.zeros((59, 16, 2)), r"joint_2d has shape \(59, 16, 2\)"),
        ("camera_name", np.array(["c"] * 59), "cameras"),
        ("source", None, "has no 'test' with"),
    ],
)
def test_h36m_image_of_another_layout(name, value, message, h36m_image_file):
    content = pickle.loads(h36m_image_file.read_bytes())
    content["test"][name] = value
    if value is None:
        del content["test"][name]
    h36m_image_file.write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match=message):
        read_h36m_image(h36m_image_file)


def test_3dhp(mpi_inf_3dhp_files):
    train_file, test_file = mpi_inf_3dhp_files
    train, test = read_3dhp_train(train_file), read_3dhp_test(test_file)
    assert [(r.name, len(r), r.frame_rate) for r in train] == [
        ("S1 Seq1 0", 8, 25.0), ("S1 Seq1 4", 8, 25.0), ("S2 Seq1 0", 7, 50.0)
    ]  # fmt: skip
    view = stored(train_file, "data")["S1 Seq1"][0]["4"]
    np.testing.assert_allclose(train[1].joints, view["data_3d"] / 1000)
    np.testing.assert_array_equal(train[1].keypoints, view["data_2d"])
    assert [r.image_size for r in test] == 4 * [(2048, 2048)] + 2 * [(1920, 1080)]
    assert test[0].valid.tolist() == [True, True, True, False] * 2 + [True, True]
    assert test[0].skeleton is MPI_INF_3DHP17
    assert [r.name for r in read_3dhp_train(train_file, ("S1",), ("4",))] == ["S1 Seq1 4"]
    assert [r.name for r in read_3dhp_test(test_file, ("TS5",))] == ["TS5"]


@pytest.mark.parametrize(
    "data, message",
    [
        ({}, "no 'data'"),
        ({"TS1": {"data_2d": np.zeros((3, 17, 2)), "data_3d": np.zeros((3, 17, 3))}}, "TS1 has no data_2d"),
        ({"TS1": {"data_2d": np.zeros((3, 28, 2)), "data_3d": np.zeros((3, 28, 3)), "valid": [1] * 3}}, r"28, 2"),
        ({"TS1": {"data_2d": np.zeros((3, 17, 2)), "data_3d": np.zeros((3, 17, 3)), "valid": [1] * 4}}, "valid has"),
    ],
)
def test_3dhp_of_another_layout(data, message, tmp_path):
    np.savez(tmp_path / "test.npz", data=data)
    with pytest.raises(InputError, match=message):
        read_3dhp_test(tmp_path / "test.npz")
    with pytest.raises(InputError, match=r"no 'data'|not a pair"):
        read_3dhp_train(tmp_path / "test.npz")


def test_3dhp_joints_are_those_of_h36m_in_another_order(rng):
    joints = rng.normal(size=(4, 17, 3))
    there, _, measured = MPI_INF_3DHP17.convert(joints, to=H36M17)
    assert measured.all()
    np.testing.assert_array_equal(H36M17.convert(there, to=MPI_INF_3DHP17)[0], joints)
    assert root_relative(joints, MPI_INF_3DHP17)[:, 14].tolist() == np.zeros((4, 3)).tolist()


def test_humaneva(humaneva_files):
    recordings = read_humaneva(*humaneva_files, subjects=("Validate/S1", "Validate/S2"))
    assert len(recordings) == 2 * 3 * 3
    assert len(read_humaneva(*humaneva_files, subjects=("Validate/S1",), actions=("Walk",))) == 6
    for subjects, message in ((("Validate/S3",), "no subject"), (("Validate/S9",), "no subject")):
        with pytest.raises(InputError, match=message):
            read_humaneva(*humaneva_files, subjects=subjects)
    with pytest.raises(InputError, match="not of the layout"):
        read_humaneva(humaneva_files[1], humaneva_files[0])


def test_mpii_people(tmp_path):
    joints = [[10.0 + j, 20.0 + j] for j in range(16)]
    person = {"image": "1.jpg", "center": [101, 201], "scale": 2.0, "joints": joints, "joints_vis": [1] * 15 + [0]}
    (tmp_path / "valid.json").write_text(json.dumps([person, {"image": "2.jpg", "center": [1, 1], "scale": 1.0}]))
    people = read_mpii(tmp_path / "valid.json")
    assert people.keypoints[0, 3].tolist() == [12.0, 22.0]  # the first pixel is 0
    assert people.keypoints[0, 15].tolist() == [0, 0]
    assert people.visible.sum(1).tolist() == [15, 0]
    assert people.boxes_xyxy()[0].tolist() == [100 - 250, 230 - 250, 100 + 250, 230 + 250]
    for content, message in (
        ({}, "no list"),
        ([{"image": "x"}], "has no 'center'"),
        ([person | {"joints": 3}], "reshape"),
    ):
        (tmp_path / "valid.json").write_text(json.dumps(content))
        with pytest.raises(InputError, match=message):
            read_mpii(tmp_path / "valid.json")


def test_mpii_truth(mpii_truth_file, tmp_path):
    from scipy.io import loadmat, savemat

    truth, content = read_mpii_truth(mpii_truth_file), loadmat(mpii_truth_file)
    np.testing.assert_allclose(truth.keypoints[5, 3], content["pos_gt_src"][3, :, 5] - 1)
    np.testing.assert_allclose(truth.head_boxes_xyxy[7, 2:], content["headboxes_src"][1, :, 7] - 1)
    assert truth.missing.shape == (30, MPII16.num_joints)
    savemat(tmp_path / "other.mat", {"pos_gt_src": np.zeros((14, 2, 3))})
    (tmp_path / "text.mat").write_text("x")
    for name in ("other.mat", "text.mat", "nowhere.mat"):
        with pytest.raises(InputError, match=name):
            read_mpii_truth(tmp_path / name)


def test_a_recording_checks_its_shapes():
    arrays = {"keypoints": np.zeros((3, 17, 2)), "scores": np.zeros((3, 17)), "joints": np.zeros((3, 17, 3))}
    whole = Recording("x", "S1", "Walking", "c", image_size=(10, 10), **arrays)
    assert whole.valid.all()
    for name, value in (("scores", np.zeros((2, 17))), ("joints", np.full((3, 17, 3), np.inf)), ("valid", np.ones(4))):
        with pytest.raises(InputError, match=name):
            Recording("x", "S1", "Walking", "c", image_size=(10, 10), **(arrays | {name: value}))
