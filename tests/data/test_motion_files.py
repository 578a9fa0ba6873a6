"""Motion files: BVH against a plain loop, joints by name in several dialects, units, axes, rates; C3D; AMASS."""

import pickle

import numpy as np
import pytest

from cascadepose.data.bvh import Bvh, read_bvh
from cascadepose.data.joint_names import h36m_joints
from cascadepose.data.motion_files import read_motion
from cascadepose.errors import InputError
from cascadepose.skeletons import H36M17

# name: (parent, offset in centimetres): a figure that stands in a T-pose, as MotionBuilder names it
BODY = {
    "Hips": ("", (0, 0, 0)),
    "LeftUpLeg": ("Hips", (10, -5, 0)), "LeftLeg": ("LeftUpLeg", (0, -42, 0)), "LeftFoot": ("LeftLeg", (0, -42, 0)),
    "RightUpLeg": ("Hips", (-10, -5, 0)), "RightLeg": ("RightUpLeg", (0, -42, 0)),
    "RightFoot": ("RightLeg", (0, -42, 0)),
    "Spine": ("Hips", (0, 12, 0)), "Spine1": ("Spine", (0, 12, 0)), "Neck": ("Spine1", (0, 25, 0)),
    "Head": ("Neck", (0, 12, 0)),
    "LeftShoulder": ("Spine1", (4, 22, 0)), "LeftArm": ("LeftShoulder", (12, 0, 0)),
    "LeftForeArm": ("LeftArm", (28, 0, 0)), "LeftHand": ("LeftForeArm", (25, 0, 0)),
    "RightShoulder": ("Spine1", (-4, 22, 0)), "RightArm": ("RightShoulder", (-12, 0, 0)),
    "RightForeArm": ("RightArm", (-28, 0, 0)), "RightHand": ("RightForeArm", (-25, 0, 0)),
}  # fmt: skip
ENDS = {"Head": (0, 14, 0), "LeftHand": (8, 0, 0)}
ORDER = "ZXY"


def hierarchy(name, rename, scale, pad=""):
    parent, offset = BODY[name]
    numbers = " ".join(f"{scale * value:.6f}" for value in offset)
    lines = [f"{pad}{'JOINT' if parent else 'ROOT'} {rename(name)}", pad + "{", f"{pad}  OFFSET {numbers}"]
    places = "" if parent else "Xposition Yposition Zposition "
    lines.append(f"{pad}  CHANNELS {3 if parent else 6} {places}{' '.join(f'{axis}rotation' for axis in ORDER)}")
    for child, (above, _) in BODY.items():
        lines += hierarchy(child, rename, scale, pad + "  ") if above == name else []
    if name in ENDS:
        numbers = " ".join(f"{scale * value:.6f}" for value in ENDS[name])
        lines += [f"{pad}  End Site", pad + "  {", f"{pad}    OFFSET {numbers}", pad + "  }"]
    return [*lines, pad + "}"]


def write(path, rng, frames=5, scale=1.0, rename=str, rate=120.0):
    """A BVH file of random rotations, and the order of its nodes."""
    lines = ["HIERARCHY", *hierarchy("Hips", rename, scale)]
    order = [line.split()[1] for line in lines if line.split()[0] in ("ROOT", "JOINT")]
    rows = rng.uniform(-60, 60, (frames, 3 + 3 * len(order)))
    rows[:, :3] = scale * (np.array([0, 90, 0]) + np.arange(frames)[:, None])
    lines += ["MOTION", f"Frames: {frames}", f"Frame Time: {1 / rate:.8f}"]
    path.write_text("\n".join([*lines, *(" ".join(f"{value:.8f}" for value in row) for row in rows)]))
    return rows


def joints_of(bvh: Bvh, *more) -> np.ndarray:
    return h36m_joints(bvh.names, bvh.positions, *more)


def turned(angles):
    """The matrix of rotations about Z, X and Y (intrinsic, in this order), written out."""
    matrix = np.eye(3)
    for axis, angle in zip(ORDER, np.radians(angles), strict=True):
        c, s = np.cos(angle), np.sin(angle)
        i, j = {"X": (1, 2), "Y": (2, 0), "Z": (0, 1)}[axis]
        step = np.eye(3)
        step[i, i] = step[j, j] = c
        step[i, j], step[j, i] = -s, s
        matrix = matrix @ step
    return matrix


def test_positions_against_a_plain_loop(tmp_path, rng):
    rows = write(tmp_path / "x.bvh", rng)
    bvh = read_bvh(tmp_path / "x.bvh")
    names = [name for name in bvh.names if not name.endswith("_end")]
    assert bvh.rate == pytest.approx(120, rel=1e-6)
    for t, row in enumerate(rows):
        places, turns = {}, {}
        for number, name in enumerate(names):
            parent, offset = BODY[name]
            turn = turned(row[3 + 3 * number : 6 + 3 * number])
            places[name] = places[parent] + turns[parent] @ offset if parent else row[:3]
            turns[name] = turns[parent] @ turn if parent else turn
            np.testing.assert_allclose(bvh.positions[t, bvh.names.index(name)], places[name], atol=1e-5)
        end = places["Head"] + turns["Head"] @ ENDS["Head"]
        np.testing.assert_allclose(bvh.positions[t, bvh.names.index("Head_end")], end, atol=1e-5)


DIALECTS = {
    "MotionBuilder": str,
    "Mixamo": lambda name: f"mixamorig:{name}",
    "underscores": lambda name: name.replace("Left", "Left_").replace("Right", "Right_").lower(),
    "short": lambda name: (
        {"Left": "l", "Right": "r"}.get(name[: 5 if name[0] == "R" else 4], "")
        + name.removeprefix("Left").removeprefix("Right")
    ),
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("scale, unit", [(1, 0.01), (0.01, 1.0), (10, 0.001), (1 / 2.54, 0.0254)], ids=str)
def test_joints_by_name(dialect, scale, unit, tmp_path, rng):
    write(tmp_path / "x.bvh", rng, scale=scale, rename=DIALECTS[dialect])
    bvh = read_bvh(tmp_path / "x.bvh")
    joints = joints_of(bvh)
    plain = [name for name in bvh.names if not name.endswith("_end")]
    order = {original: index for index, original in enumerate(_visited())}
    assert len(plain) == len(order)
    for joint, original in {"left_shoulder": "LeftArm", "right_wrist": "RightHand", "left_hip": "LeftUpLeg",
                            "right_ankle": "RightFoot", "thorax": "Neck", "spine": "Spine1", "nose": "Head",
                            "pelvis": "Hips"}.items():  # fmt: skip
        node = bvh.names.index(plain[order[original]])
        np.testing.assert_allclose(joints[:, H36M17.index(joint)], bvh.positions[:, node] * unit, rtol=1e-4, atol=1e-5)
    top = next(i for i, name in enumerate(bvh.names) if name.lower().endswith("head_end"))
    np.testing.assert_allclose(joints[:, 10], bvh.positions[:, top] * unit, rtol=1e-4, atol=1e-5)


def _visited(name="Hips"):
    """Nodes in the order in which the file lists them."""
    found = [name]
    for child, (above, _) in BODY.items():
        found += _visited(child) if above == name else []
    return found


def test_z_may_point_up(tmp_path, rng):
    write(tmp_path / "x.bvh", rng)
    bvh = read_bvh(tmp_path / "x.bvh")
    y, z = joints_of(bvh, 0.01), joints_of(bvh, 0.01, "z")
    np.testing.assert_allclose(z, np.stack([y[..., 0], y[..., 2], -y[..., 1]], -1))


def test_folders_and_rates(tmp_path, rng):
    for name in ("a", "b"):
        write(tmp_path / f"{name}.bvh", rng, frames=41, rate=120)
    motion = read_motion(tmp_path, rate=60)
    assert {name: joints.shape for name, joints in motion.items()} == {"a": (21, 17, 3), "b": (21, 17, 3)}
    every = read_motion(tmp_path / "a.bvh", rate=120)["a"]
    np.testing.assert_allclose(motion["a"], every[::2], atol=1e-4)
    np.savez(tmp_path / "x.npz", a=every)
    np.testing.assert_array_equal(read_motion(tmp_path / "x.npz")["a"], every)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no"):
        read_motion(tmp_path / "empty")


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda text: "", "no whole BVH"),
        (lambda text: text[: len(text) * 2 // 3], "no whole BVH"),
        (lambda text: text.replace("Frame Time", "Time"), "no whole BVH"),
        (lambda text: text.replace("LeftHand", "Flipper"), "no joints for left_wrist; it names Hips"),
        (lambda text: text.rsplit(" ", 1)[0] + " nan", "NaN"),
    ],
    ids=["empty", "cut", "no time", "no hand", "nan"],
)
def test_files_at_fault(change, message, tmp_path, rng):
    write(tmp_path / "x.bvh", rng)
    (tmp_path / "x.bvh").write_text(change((tmp_path / "x.bvh").read_text()))
    with pytest.raises(InputError, match=message) as caught:
        read_motion(tmp_path / "x.bvh")
    assert "\n" not in str(caught.value)


def test_our_own_files_come_back(tmp_path, rng):
    """What this package exports is read with the same names; limb lengths are those of the export."""
    from cascadepose.skeletons import COCO17
    from cascadepose.types import Poses3D, Track, VideoResult

    write(tmp_path / "x.bvh", rng, frames=30, rate=30)
    joints = joints_of(read_bvh(tmp_path / "x.bvh"))
    joints = joints[:1] + 0.02 * np.sin(np.arange(30) / 5)[:, None, None] * rng.normal(size=(1, 17, 3))
    camera = joints * np.array([1, -1, -1])
    n, k = 30, COCO17.num_joints
    track = Track(
        1, np.arange(n), np.arange(n) / 30, np.tile([0, 0, 9, 9], (n, 1)), np.ones(n), np.zeros((n, k, 2)),
        np.ones((n, k)), np.ones((n, k, 2)), np.ones(n, bool), Poses3D(camera - camera[:, :1]),
    )  # fmt: skip
    VideoResult((track,), (10, 10), 30.0, np.arange(n) / 30, "x").save(tmp_path / "y.bvh")
    again = read_motion(tmp_path / "y.bvh", rate=30)["y"]
    for start, end in ((1, 2), (2, 3), (11, 12), (14, 15), (15, 16), (0, 8)):
        before, after = (np.linalg.norm(x[:, end] - x[:, start], axis=-1).mean() for x in (joints, again))
        assert before == pytest.approx(after, rel=0.05)


def test_amass_of_motionbert(tmp_path, rng):
    """A list of joints first, frames second, z up: heights and frames come out in their places."""
    sequences = [rng.normal(size=(17, frames, 3)) for frames in (7, 4)]
    (tmp_path / "amass_joints_h36m_60.pkl").write_bytes(pickle.dumps(sequences))
    motion = read_motion(tmp_path / "amass_joints_h36m_60.pkl")
    assert [joints.shape for joints in motion.values()] == [(7, 17, 3), (4, 17, 3)]
    first = motion["amass_joints_h36m_60_00000"]
    np.testing.assert_allclose(first[3, 10], sequences[0][10, 3] @ [[1, 0, 0], [0, 0, -1], [0, 1, 0]], rtol=1e-6)
    assert len(read_motion(tmp_path / "amass_joints_h36m_60.pkl", rate=30)["amass_joints_h36m_60_00000"]) == 4
    for content in ({}, [], [np.zeros((7, 17, 3))], [np.full((17, 2, 3), np.nan)]):
        (tmp_path / "x.pkl").write_bytes(pickle.dumps(content))
        with pytest.raises(InputError, match=r"x.pkl.*expected"):
            read_motion(tmp_path / "x.pkl")


def write_c3d(path, joints, labels=H36M17.names, unit="mm", rate=100.0):
    """Joints [T, N, 3] metres, z up, as another program writes them."""
    ezc3d = pytest.importorskip("ezc3d")
    content = ezc3d.c3d()
    content["parameters"]["POINT"]["RATE"]["value"] = np.array([rate])
    content["parameters"]["POINT"]["LABELS"]["value"] = list(labels)
    content["parameters"]["POINT"]["UNITS"]["value"] = [unit]
    content["data"]["points"] = joints.transpose(2, 1, 0) * {"mm": 1000, "cm": 100, "m": 1}[unit]
    content.write(str(path))


@pytest.mark.parametrize("unit", ["mm", "cm", "m"])
def test_c3d(unit, tmp_path, rng):
    joints = rng.normal(size=(9, 17, 3))
    write_c3d(tmp_path / "x.c3d", joints, unit=unit)
    motion = read_motion(tmp_path / "x.c3d", rate=100)["x"]
    np.testing.assert_allclose(motion, np.stack([joints[..., 0], joints[..., 2], -joints[..., 1]], -1), atol=1e-5)
    assert len(read_motion(tmp_path, rate=50)["x"]) == 5


def test_c3d_markers_that_were_lost(tmp_path, rng):
    joints = np.arange(6.0)[:, None, None] + rng.normal(size=(1, 17, 3))
    lost = joints.copy()
    lost[3, 5] = np.nan
    write_c3d(tmp_path / "x.c3d", lost)
    motion = read_motion(tmp_path / "x.c3d", rate=100)["x"]
    np.testing.assert_allclose(motion, np.stack([joints[..., 0], joints[..., 2], -joints[..., 1]], -1), atol=1e-5)
    lost[:, 5] = np.nan
    write_c3d(tmp_path / "x.c3d", lost)
    with pytest.raises(InputError, match="seen in no frame"):
        read_motion(tmp_path / "x.c3d")


def test_c3d_at_fault(tmp_path, rng):
    write_c3d(tmp_path / "x.c3d", rng.normal(size=(9, 17, 3)))
    whole = (tmp_path / "x.c3d").read_bytes()
    for size in (0, 100, 600, len(whole) - 1000):
        (tmp_path / "cut.c3d").write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"cut.c3d: is no whole C3D file"):
            read_motion(tmp_path / "cut.c3d")
    write_c3d(tmp_path / "markers.c3d", rng.normal(size=(9, 3, 3)), labels=("LASI", "RASI", "C7"))
    with pytest.raises(InputError, match=r"no joints for pelvis, .*it names LASI, RASI, C7"):
        read_motion(tmp_path / "markers.c3d")


def test_c3d_never_breaks_on_damage(tmp_path, rng):
    """Any byte may be wrong: the answer is joints or one line."""
    write_c3d(tmp_path / "x.c3d", rng.normal(size=(3, 17, 3)))
    whole = np.frombuffer((tmp_path / "x.c3d").read_bytes(), np.uint8)
    for _ in range(150):
        broken = whole.copy()
        broken[rng.integers(0, 1500, 4)] = rng.integers(0, 256, 4)
        (tmp_path / "y.c3d").write_bytes(broken.tobytes())
        try:
            assert read_motion(tmp_path / "y.c3d")["y"].shape[1:] == (17, 3)
        except InputError as error:
            assert "y.c3d" in str(error)  # noqa: PT017
