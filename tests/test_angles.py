"""Joint angles of bodies whose angles are known, seen from any side, and of those that have none."""

from pathlib import Path

import numpy as np
import pytest

from cascadepose.angles import ANGLES, joint_angles
from cascadepose.errors import InputError
from cascadepose.skeletons import COCO17, H36M17
from cascadepose.types import Poses3D

LEFT, UP, FRONT = np.eye(3)  # of the person: a right-handed frame
LENGTHS = {"knee": 0.45, "ankle": 0.4, "elbow": 0.3, "wrist": 0.25}


def turned(vector, axis, degrees: float) -> np.ndarray:
    """Rodrigues' rotation."""
    axis, angle = np.asarray(axis, float), np.radians(degrees)
    vector = np.asarray(vector, float)
    cosine, sine = np.cos(angle), np.sin(angle)
    return vector * cosine + np.cross(axis, vector) * sine + axis * (axis @ vector) * (1 - cosine)


def body(limbs: dict | None = None, shoulders: float = 0.0) -> np.ndarray:
    """[17, 3] in axes of the person: x left, y up, z front. limbs: directions of "left_knee" (from its parent) ..."""
    limbs = limbs or {}
    at = {"pelvis": (0, 0, 0), "spine": (0, 0.25, 0), "thorax": (0, 0.5, 0), "nose": (0, 0.6, 0.1), "head": (0, 0.7, 0)}
    at = {name: np.array(place, float) for name, place in at.items()}
    for side, x in (("left", 1.0), ("right", -1.0)):
        at[f"{side}_hip"] = np.array((0.12 * x, 0, 0))
        at[f"{side}_shoulder"] = turned((0.18 * x, 0.5, 0), UP, shoulders)
        for start, chain in (("hip", ("knee", "ankle")), ("shoulder", ("elbow", "wrist"))):
            place, direction = at[f"{side}_{start}"], -UP
            for joint in chain:
                direction = np.asarray(limbs.get(f"{side}_{joint}", direction), float)
                place = at[f"{side}_{joint}"] = place + LENGTHS[joint] * direction
    return np.array([at[name] for name in H36M17.names])


def angles_of(joints: np.ndarray, view: np.ndarray | None = None, frame: str = "root-relative") -> dict[str, float]:
    """Angles of one pose; view: rotation of the person's axes into the frame's, by default facing the camera."""
    view = np.diag((1.0, -1.0, -1.0)) if view is None else view
    return {name: values[0] for name, values in joint_angles(Poses3D((joints @ view.T)[None], frame)).items()}


def test_upright_is_zero():
    found = angles_of(body())
    assert list(found) == list(ANGLES)
    assert max(abs(value) for value in found.values()) < 1e-3


# a limb that hangs down goes forward and up when it turns about the axis to the person's right, -LEFT
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    ("limb", "degrees", "expected"),
    [
        ("knee", 40, {"hip_flexion": 40}),
        ("knee", -20, {"hip_flexion": -20}),
        ("ankle", -70, {"knee_flexion": 70}),
        ("elbow", 120, {"shoulder_flexion": 120, "shoulder_elevation": 120}),
        ("elbow", 185, {"shoulder_flexion": 185, "shoulder_elevation": 175}),
        ("wrist", 90, {"elbow_flexion": 90}),
    ],
)
def test_flexion(side, limb, degrees, expected):
    limbs = {f"{side}_{limb}": turned(-UP, -LEFT, degrees)}
    if limb == "knee":
        limbs[f"{side}_ankle"] = limbs[f"{side}_knee"]
    if limb == "elbow":
        limbs[f"{side}_wrist"] = limbs[f"{side}_elbow"]
    found = angles_of(body(limbs))
    for name, value in expected.items():
        assert found.pop(f"{side}_{name}") == pytest.approx(value, abs=1e-3)
    if limb == "elbow" and abs(degrees) > 90:
        assert found.pop(f"{side}_shoulder_abduction") == pytest.approx(180, abs=1e-3)  # in front of the body, but up
    assert max(abs(value) for value in found.values() if not np.isnan(value)) < 1e-3


@pytest.mark.parametrize(("side", "outward"), [("left", 1.0), ("right", -1.0)])
def test_abduction(side, outward):
    out = {joint: turned(-UP, FRONT, 30 * outward) for joint in (f"{side}_knee", f"{side}_ankle")}
    found = angles_of(body(out))
    assert found[f"{side}_hip_abduction"] == pytest.approx(30, abs=1e-3)
    assert found[f"{side}_hip_flexion"] == pytest.approx(0, abs=1e-3)
    up = {joint: turned(-UP, FRONT, 100 * outward) for joint in (f"{side}_elbow", f"{side}_wrist")}
    found = angles_of(body(up))
    assert found[f"{side}_shoulder_abduction"] == pytest.approx(100, abs=1e-3)
    assert found[f"{side}_shoulder_elevation"] == pytest.approx(100, abs=1e-3)
    assert np.isnan(found[f"{side}_shoulder_flexion"])  # sideways: nothing of the arm is in the sagittal plane


def test_trunk():
    assert angles_of(body(shoulders=25))["trunk_rotation"] == pytest.approx(25, abs=1e-3)  # left, seen from above
    camera = np.diag((1.0, -1.0, -1.0))
    for axis, name, degrees in ((LEFT, "trunk_lean_forward", 20), (FRONT, "trunk_lean_right", 15)):
        lean = np.array([turned(column, axis, degrees) for column in np.eye(3)]).T
        found = angles_of(body(), camera @ lean)
        assert found[name] == pytest.approx(degrees, abs=1e-3)
        assert found["left_hip_flexion"] == pytest.approx(0, abs=1e-3)  # the body as a whole leans
    assert found["pelvis_obliquity"] == pytest.approx(-15, abs=1e-3)  # the right hip is lower


def test_angles_do_not_depend_on_the_view():
    """Only what refers to the vertical may change when the camera is turned, and not when it goes round the person."""
    rng = np.random.default_rng(0)
    limbs = {}
    for name in H36M17.names:
        if name.endswith(("knee", "ankle", "elbow", "wrist")):
            direction = rng.normal(size=3) * 0.6 - UP
            limbs[name] = direction / np.linalg.norm(direction)
    joints, camera = body(limbs, shoulders=10), np.diag((1.0, -1.0, -1.0))
    first = angles_of(joints)
    around = np.array([turned(column, UP, 130) for column in np.eye(3)]).T
    tilted = np.array([turned(column, LEFT, 33) for column in np.eye(3)]).T
    for view, same in ((camera @ around, ANGLES), (camera @ tilted @ around, (*ANGLES[:-4], "trunk_rotation"))):
        found = angles_of(joints, view)
        for name in same:
            np.testing.assert_allclose(found[name], first[name], atol=1e-2, err_msg=name)
    world = angles_of(joints, np.eye(3), "world")
    for name in ANGLES:
        np.testing.assert_allclose(world[name], first[name], atol=1e-2, err_msg=name)


def test_left_and_right_mirror():
    limbs = {"left_elbow": turned(-UP, -LEFT, 60), "right_knee": turned(-UP, FRONT, -20)}
    joints = body(limbs)
    mirrored = joints[list(H36M17.flip_index)] * (-1, 1, 1)
    first, second = angles_of(joints), angles_of(mirrored)
    for name in ANGLES[:-4]:
        side, angle = name.split("_", 1)
        other = f"{'right' if side == 'left' else 'left'}_{angle}"
        np.testing.assert_allclose(first[name], second[other], atol=1e-3, err_msg=name)


def test_no_body_no_angles():
    found = joint_angles(Poses3D(np.zeros((3, 17, 3))))
    assert np.isnan(found["left_knee_flexion"]).all() and np.isnan(found["trunk_lean_forward"]).all()
    assert joint_angles(Poses3D(np.zeros((0, 17, 3))))["left_hip_flexion"].shape == (0,)
    with pytest.raises(InputError, match="defined on h36m17, these joints are coco17"):
        joint_angles(Poses3D(np.zeros((1, 17, 3)), skeleton=COCO17))


def test_every_angle_is_documented(repository: Path):
    text = (repository / "docs/angles.md").read_text("utf-8")
    assert [name for name in ANGLES if f"`{name}`" not in text] == []
