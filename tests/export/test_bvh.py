"""Forward kinematics of the written file gives the joints with constant limbs, and the rotations are smooth."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cascadepose.export.bvh import continuous_angles
from cascadepose.export.motion import motions
from cascadepose.export.rig import NAMES, PARENTS, make_rig
from cascadepose.skeletons import H36M17

TO_Y_UP = {"camera": (1, -1, -1), "root-relative": (1, -1, -1), "world": (1, 1, 1)}


def constrained(joints: np.ndarray, offsets: dict[str, np.ndarray]) -> np.ndarray:
    """The joints [T, 17, 3] with every bone as long as in the file, pointing as before."""
    out = joints.astype(np.float64).copy()
    for joint, parent in enumerate(H36M17.parents):
        if parent >= 0:
            step = joints[:, joint] - joints[:, parent]
            step /= np.linalg.norm(step, axis=-1, keepdims=True)
            out[:, joint] = out[:, parent] + step * np.linalg.norm(offsets[H36M17.names[joint]])
    return out


def degrees(rotations: np.ndarray) -> np.ndarray:
    """Angles [T - 1] between rotations [T, 3, 3] and those before them."""
    return np.degrees(Rotation.from_matrix(rotations[1:] @ rotations[:-1].swapaxes(-1, -2)).magnitude())


@pytest.mark.parametrize("frame", ["camera", "root-relative", "world"])
def test_forward_kinematics_gives_the_joints_back(make_walkers, readers, tmp_path, frame):
    result = make_walkers(frame=frame)
    (path,) = result.save(tmp_path / "walk.bvh")
    bvh = readers.read_bvh(path)
    index = [bvh.names.index(name) for name in H36M17.names]
    joints = result.tracks[0].poses3d.joints * TO_Y_UP[frame]
    expected = constrained(joints, dict(zip(bvh.names, bvh.offsets, strict=True)))
    np.testing.assert_allclose(bvh.places[:, index], expected, atol=1e-4)  # a tenth of a millimetre; 1 mm is asked for
    assert np.linalg.norm(expected - joints, axis=-1).mean() < 0.02
    assert bvh.seconds == pytest.approx(1 / 25) and len(bvh.rows) == 60
    shoulders = bvh.places[:, bvh.names.index("left_shoulder")] - bvh.places[:, bvh.names.index("pelvis")]
    assert (shoulders[:, 1] > 0.3).all()  # upright


def test_limbs_are_as_long_as_the_person_s(make_walkers, readers, tmp_path):
    (path,) = make_walkers(noise=0.001).save(tmp_path / "walk.bvh")
    bvh = readers.read_bvh(path)
    offsets = dict(zip(bvh.names, bvh.offsets, strict=True))
    assert np.linalg.norm(offsets["left_knee"]) == pytest.approx(0.43, abs=0.002)
    assert np.linalg.norm(offsets["right_hip"]) == pytest.approx(0.12, abs=0.005)
    # the rest pose: a T that faces z
    assert offsets["left_elbow"][0] > 0.2 and offsets["right_elbow"][0] < -0.2 and offsets["left_knee"][1] < -0.4
    assert all(np.count_nonzero(offset) <= 1 for offset in offsets.values())


def test_rotations_are_continuous(make_walkers, readers, tmp_path):
    """Turning round once and more, knees and elbows from straight to bent: no jump in rotations nor in angles."""
    (path,) = make_walkers(frames=200, noise=0).save(tmp_path / "walk.bvh")
    bvh = readers.read_bvh(path)
    steps = {name: degrees(bvh.local[:, i]).max() for i, name in enumerate(bvh.names)}
    assert max(steps.values()) < 25, steps
    assert np.abs(np.diff(bvh.rows[:, 3:], axis=0)).max() < 90  # more than rotations where an arm nears gimbal lock
    heading = np.degrees(1.5 * 199 / 25)  # 684; the hips swing, too
    assert np.ptp(bvh.rows[:, 3]) == pytest.approx(heading, abs=30)


def test_knees_are_hinges(make_walkers, readers, tmp_path):
    (path,) = make_walkers(noise=0).save(tmp_path / "walk.bvh")
    bvh = readers.read_bvh(path)
    for name in ("left_knee", "right_knee"):
        angles = Rotation.from_matrix(bvh.local[:, bvh.names.index(name)]).as_rotvec(degrees=True)
        assert np.abs(angles[:, 1:]).max() < 3 and 25 < angles[:, 0].max() < 45 and angles[:, 0].min() > -3


@pytest.mark.parametrize("pose", ["a point", "folded arms", "arms overhead", "lying"])
def test_awkward_poses_stay_finite(make_walkers, readers, tmp_path, pose):
    result = make_walkers(frames=8, noise=0, frame="world")
    joints = result.tracks[0].poses3d.joints
    if pose == "a point":
        joints[:] = 0
    elif pose == "lying":
        joints[:] = joints[..., [0, 2, 1]] * (1, 1, -1)
    else:
        for side, far in (("left", "right"), ("right", "left")):
            shoulder, elbow, wrist = (H36M17.index(f"{side}_{name}") for name in ("shoulder", "elbow", "wrist"))
            across = joints[:, H36M17.index(f"{far}_shoulder")] - joints[:, shoulder]
            joints[:, elbow] = joints[:, shoulder] + ((0, 0.3, 0) if pose == "arms overhead" else 0.8 * across)
            joints[:, wrist] = joints[:, shoulder]
    (path,) = result.save(tmp_path / "pose.bvh")
    bvh = readers.read_bvh(path)
    assert np.isfinite(bvh.rows).all()
    if pose != "a point":
        index = [bvh.names.index(name) for name in H36M17.names]
        expected = constrained(joints, dict(zip(bvh.names, bvh.offsets, strict=True)))
        np.testing.assert_allclose(bvh.places[:, index], expected, atol=1e-4)


def test_one_frame(make_walkers, readers, tmp_path):
    (path,) = make_walkers(frames=1, fps=None, times=[0.0]).save(tmp_path / "photo.bvh")
    bvh = readers.read_bvh(path)
    assert len(bvh.rows) == 1 and bvh.seconds == pytest.approx(1 / 30)


def test_rig_is_a_tree_of_rotations(make_walkers):
    rig = make_rig(motions(make_walkers(frames=5))[0])
    assert all(parent < node for node, parent in enumerate(PARENTS)) and set(H36M17.names) < set(NAMES)
    unit = rig.rotations @ rig.rotations.swapaxes(-1, -2)
    np.testing.assert_allclose(unit, np.broadcast_to(np.eye(3), unit.shape), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(rig.rotations), 1, atol=1e-9)


def test_angles_make_the_rotation_again(rng):
    rotations = Rotation.random(50, rng=rng).as_matrix()
    for order in ("XYZ", "ZXY", "YZX"):
        angles = continuous_angles(rotations, order)
        np.testing.assert_allclose(Rotation.from_euler(order, angles, degrees=True).as_matrix(), rotations, atol=1e-9)
