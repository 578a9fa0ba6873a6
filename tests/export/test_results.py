"""Results go out and come back whole; what cannot be read or written is named in one line."""

import json
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascadepose.errors import InputError
from cascadepose.export import load_result, save_result
from cascadepose.skeletons import COCO17, H36M17
from cascadepose.types import Poses3D, Track, VideoResult

SCALES = {"boxes_xyxy": 1000, "keypoints": 1000, "sigma": 20, "box_scores": 1, "scores": 1}
TOLERANCES = {"boxes_xyxy": 0.006, "keypoints": 0.006, "sigma": 0.006, "timestamp": 1e-6, "joints": 6e-5}


def make_result(seed: int = 0, lengths=(3, 1), lifted: bool = True, **more) -> VideoResult:
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.01, 0.1, 10))

    def track(number: int, length: int) -> Track:
        start = rng.integers(0, 11 - length)
        index = np.arange(start, start + length)
        shapes = {"boxes_xyxy": (4,), "keypoints": (17, 2), "sigma": (17, 2), "box_scores": (), "scores": (17,)}
        arrays = {name: rng.uniform(0, SCALES[name], (length, *shape)) for name, shape in shapes.items()}
        measured = rng.random(17) < 0.7
        pose = Poses3D(rng.normal(size=(length, 17, 3)), "root-relative", measured, H36M17) if lifted else None
        return Track(number, index, times[index], **arrays, observed=rng.random(length) < 0.8, poses3d=pose)

    tracks = [track(number, length) for number, length in enumerate(lengths, 1)]
    values = {"weights": {"prtr": {"name": "small", "sha256": "ab"}}, "version": "0.1.0", "notes": ("a note",)}
    return VideoResult(tracks, (640, 360), 25.0, times, "vidéo.mp4", **(values | more))


def assert_equal(a: VideoResult, b: VideoResult, exact: bool):
    for field in fields(VideoResult):
        if field.name not in ("tracks", "timestamps"):
            assert getattr(a, field.name) == getattr(b, field.name), field.name
    np.testing.assert_allclose(a.timestamps, b.timestamps, atol=0 if exact else 1e-6, rtol=0)
    assert len(a) == len(b)
    for one, other in zip(a, b, strict=True):
        assert (one.track_id, one.skeleton) == (other.track_id, other.skeleton)
        assert (one.poses3d is None) == (other.poses3d is None)
        pairs = {name: (getattr(one, name), getattr(other, name)) for name in (*one._rows,)}
        if one.poses3d is not None:
            assert (one.poses3d.frame, one.poses3d.skeleton) == (other.poses3d.frame, other.poses3d.skeleton)
            pairs["joints"] = one.poses3d.joints, other.poses3d.joints
            pairs["measured"] = one.poses3d.measured, other.poses3d.measured
        for name, (first, second) in pairs.items():
            assert first.dtype == second.dtype and first.shape == second.shape, name
            tolerance = 0 if exact or first.dtype.kind != "f" else TOLERANCES.get(name, 6e-5)
            np.testing.assert_allclose(first, second, atol=tolerance, rtol=0, err_msg=name)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.lists(st.integers(1, 10), max_size=3), st.booleans(), st.sampled_from(["", "cut off"]))
def test_round_trips(tmp_path_factory, seed, lengths, lifted, incomplete):
    result = make_result(seed, lengths, lifted, incomplete=incomplete, stage_seconds={"decode": 0.25})
    folder = tmp_path_factory.mktemp("out")
    paths = save_result(result, folder)
    assert [path.name for path in paths] == ["poses.json", "poses.npz"]
    assert_equal(result, load_result(folder / "poses.npz"), exact=True)
    assert_equal(result, load_result(folder / "poses.json"), exact=False)


def test_single_image_has_no_rate(tmp_path):
    result = make_result(lengths=())
    image = VideoResult((), (10, 20), None, [0.0], "x.png")
    for item in (result, image):
        for path in item.save(tmp_path / "new" / "folder"):
            assert load_result(path).fps == item.fps
    assert_equal(load_result(tmp_path / "new" / "folder"), image, exact=True)


def test_json_is_what_the_schema_says(tmp_path):
    result = make_result()
    (path,) = result.save(tmp_path / "poses.json")
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["format"] == "cascadepose-poses/1" and content["frame_size"] == [640, 360]
    assert content["skeletons"]["coco17"]["names"] == list(COCO17.names)
    assert content["skeletons"]["h36m17"]["edges"] == [list(edge) for edge in H36M17.edges]
    track = content["tracks"][0]
    assert np.array(track["keypoints"]).shape == (3, 17, 2) and np.array(track["joints"]).shape == (3, 17, 3)
    assert track["joints_frame"] == "root-relative" and track["joints_unit"] == "metre"
    assert len(track["joints_measured"]) == 17 and track["track_id"] == 1
    assert max(map(len, path.read_text(encoding="utf-8").splitlines())) < 5000  # a line for each array, not one for all


def test_npz_opens_without_this_package(tmp_path):
    (path,) = make_result().save(tmp_path / "poses.npz")
    with np.load(path, allow_pickle=False) as archive:
        assert archive["track_1/keypoints"].shape == (3, 17, 2)
        assert json.loads(str(archive["header"]))["tracks"][1]["track_id"] == 2


@pytest.mark.parametrize("name", ["poses.json", "poses.npz"])
def test_damaged_and_foreign_files_are_named(tmp_path, name):
    (path,) = make_result().save(tmp_path / name)
    whole = path.read_bytes()
    for content in (
        whole[: len(whole) // 2],
        b"",
        b"{}",
        b"[1]",
        whole.replace(b"cascadepose-poses/1", b"cascadepose-poses/9"),
    ):
        path.write_bytes(content)
        if content == whole:
            continue
        with pytest.raises(InputError) as caught:
            load_result(path)
        assert name in str(caught.value) and "\n" not in str(caught.value)


def test_wrong_places_are_named(tmp_path):
    result = make_result()
    for call, words in (
        (lambda: load_result(tmp_path / "no.json"), "no such file"),
        (lambda: load_result(tmp_path), "holds no poses"),
        (lambda: result.save(tmp_path / "poses.xyz"), "unknown format '.xyz'"),
    ):
        with pytest.raises(InputError, match=words):
            call()
    (tmp_path / "file").write_text("in the way")
    for name in ("file/poses.json", "file/poses.npz", "file"):
        with pytest.raises(InputError, match=r"in the way|cannot be written"):
            result.save(tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]
