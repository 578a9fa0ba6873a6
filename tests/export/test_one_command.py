"""One command makes everything of a video, and each file is opened by a reader that knows nothing of its writer."""

import base64
import json
import re

import numpy as np
import pytest

from cascadepose.cli import main
from cascadepose.export import FORMATS

FRAMES = 12
LIMBS = ("left_knee", "left_ankle", "right_wrist", "right_elbow")
UPPER = ("spine", "thorax", "nose", "head", "shoulder", "elbow", "wrist")


@pytest.fixture(scope="module")
def out(shared, tmp_path_factory):
    """What `infer --formats all` leaves of the first frames of a video of one man who juggles."""
    pytest.importorskip("ezc3d")
    folder = tmp_path_factory.mktemp("juggle") / "out"
    video = str(shared / "data/videos/juggle.mp4")
    done = main(["infer", video, "--max-frames", str(FRAMES), "--formats", "all", "--out", str(folder), "--quiet"])
    assert done == 0
    return folder


@pytest.fixture(scope="module")
def expected(out):
    """The archive, read by NumPy alone: header, and joints [T, 17, 3] m with y down by name."""
    with np.load(out / "poses.npz", allow_pickle=False) as archive:
        head = json.loads(str(archive["header"]))
        (track,) = head["tracks"]
        arrays = {
            name.split("/")[1]: archive[name] for name in archive if name.startswith(f"track_{track['track_id']}/")
        }
    arrays["names"] = head["skeletons"][track["joints_skeleton"]]["names"]
    return head, arrays


def test_there_is_everything(out, expected):
    assert sorted(path.name for path in out.iterdir()) == sorted(
        ["overlay.mp4", *(f"poses{suffix}" for suffix in FORMATS)]
    )
    head, arrays = expected
    assert head["num_frames"] == FRAMES and arrays["joints"].shape == (FRAMES, 17, 3) and arrays["observed"].all()
    names, joints = arrays["names"], arrays["joints"]
    legs = joints[:, names.index("left_ankle")] - joints[:, names.index("left_hip")]
    assert (np.linalg.norm(legs, axis=1) > 0.5).all() and (legs[:, 1] > 0.4).all()  # he stands


def test_overlay(out, shared):
    import cv2

    reader, source = (
        cv2.VideoCapture(str(out / "overlay.mp4")),
        cv2.VideoCapture(str(shared / "data/videos/juggle.mp4")),
    )
    count = 0
    while True:
        good, picture = reader.read()
        if not good:
            break
        height, width = (frame := source.read()[1]).shape[:2]
        assert picture.shape[0] == height + height % 2 and picture.shape[1] > width  # and the 3D view
        drawn = np.abs(picture[:height, :width].astype(int) - frame).max(-1) > 80
        assert 0.001 < drawn.mean() < 0.2  # the skeleton, and nothing else
        count += 1
    assert count == FRAMES


def test_json(out, expected):
    content, (head, arrays) = json.loads((out / "poses.json").read_text(encoding="utf-8")), expected
    (track,) = content["tracks"]
    np.testing.assert_allclose(track["joints"], arrays["joints"], atol=6e-5)
    np.testing.assert_allclose(track["keypoints"], arrays["keypoints"], atol=0.006)
    assert content["frame_size"] == head["frame_size"] and content["weights"] == head["weights"]


def test_csv(out, expected, readers):
    rows, (_, arrays) = readers.read_csv(out / "poses.csv"), expected
    for name in LIMBS:
        found = [(row["x_m"], row["y_m"], row["z_m"]) for row in rows if row["joint"] == name]
        np.testing.assert_allclose(found, arrays["joints"][:, arrays["names"].index(name)], atol=6e-5)


def test_trc_and_c3d(out, expected, readers):
    """The same points, y up in metres and z up in millimetres; above the hips those of the archive, turned upright."""
    trc, c3d, (head, arrays) = readers.read_trc(out / "poses.trc"), readers.read_c3d(out / "poses.c3d"), expected
    assert trc.names == c3d.parameters["POINT:LABELS"] == arrays["names"]
    x, y, z = np.moveaxis(c3d.points / 1000, -1, 0)
    np.testing.assert_allclose(np.stack([x, z, -y], -1), trc.joints, atol=1e-4)
    assert c3d.rate == pytest.approx(head["fps"], rel=1e-5) and (c3d.residuals > 0).all()
    camera, upper = head["camera"], [index for index, name in enumerate(trc.names) if name.endswith(UPPER)]
    assert len(upper) == 10 and camera["world"] != "none"
    upright = arrays["joints"] @ np.array(camera["rotation"])  # X_camera = rotation @ X_world + translation
    np.testing.assert_allclose((trc.joints - trc.joints[:, :1])[:, upper], upright[:, upper], atol=1e-4)
    feet = trc.joints[:, [trc.names.index("left_ankle"), trc.names.index("right_ankle")], 1]
    assert (feet > -0.02).all() and feet.min() < 0.2  # he stands on the floor


def test_bvh_and_glb(out, readers):
    """Forward kinematics of both give the same places; every limb points as the markers say and has one length."""
    bvh, glb = readers.read_bvh(out / "poses.bvh"), readers.read_glb(out / "poses.glb")
    trc = readers.read_trc(out / "poses.trc")
    markers = dict(zip(trc.names, np.moveaxis(trc.joints, 1, 0), strict=True))
    for name, parent in (("left_knee", "left_hip"), ("left_ankle", "left_knee"), ("right_wrist", "right_elbow")):
        limb = bvh.places[:, bvh.names.index(name)] - bvh.places[:, bvh.names.index(parent)]
        length = np.linalg.norm(limb, axis=1)
        assert np.ptp(length) < 1e-4
        wanted = markers[name] - markers[parent]
        np.testing.assert_allclose(limb / length[:, None], wanted / np.linalg.norm(wanted, axis=1)[:, None], atol=1e-3)
        (node,) = [index for index, full in enumerate(glb.names) if full.endswith(f"/{name}")]
        np.testing.assert_allclose(glb.places[:, node], bvh.places[:, bvh.names.index(name)], atol=1e-4)


def test_html(out, expected):
    """The page holds its data as JSON: keypoints as 16-bit numbers, pictures as JPEG; and asks the network nothing."""
    page, (head, arrays) = (out / "poses.html").read_text(encoding="utf-8"), expected
    content = json.loads(re.search(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)[1])
    (person,) = content["people"]
    packed = person["keypoints"]
    found = np.frombuffer(base64.b64decode(packed["data"]), "<i2") * packed["unit"]
    np.testing.assert_allclose(found.reshape(arrays["keypoints"].shape), arrays["keypoints"], atol=packed["unit"])
    assert content["size"] == head["frame_size"] and content["pictures"]["files"]
    assert base64.b64decode(content["pictures"]["files"][0])[:3] == b"\xff\xd8\xff"
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", page)


@pytest.mark.parametrize("name", ["poses.csv", "poses.json"])
def test_lifted_again_it_is_the_same(name, out, expected, tmp_path):
    """The 2D of the table, as of another program, and that of the result give the 3D that the video gave."""
    head, arrays = expected
    size = "x".join(map(str, head["frame_size"]))
    camera = ["--size", size, "--fps", str(head["fps"])] if name == "poses.csv" else []
    assert main(["lift", str(out / name), *camera, "--out", str(tmp_path), "--smooth", "none", "--quiet"]) == 0
    with np.load(tmp_path / "poses.npz") as archive:
        (joints,) = (archive[key] for key in archive if key.endswith("/joints"))
    assert np.linalg.norm(joints - arrays["joints"], axis=-1).max() < 0.02
