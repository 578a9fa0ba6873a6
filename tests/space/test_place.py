"""A walk seen by a known camera comes back in metres, and the files that hold it walk without sliding."""

from dataclasses import replace

import numpy as np
import pytest

from cascadepose.data.bodies import adapt_body
from cascadepose.data.motion import load_motion
from cascadepose.errors import InputError
from cascadepose.evaluation.space import compare, evaluate_space, film, lift_films
from cascadepose.export.motion import motions
from cascadepose.export.rig import make_rig
from cascadepose.geometry import project
from cascadepose.skeletons import H36M17
from cascadepose.space import SpaceSettings, make_camera, place, place_people
from cascadepose.space.body import stature
from cascadepose.space.contacts import FEET
from cascadepose.space.feet import drift
from cascadepose.types import Poses3D

LIMBS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
SHARED = ["nose", *(f"{side}_{joint}" for side in ("left", "right") for joint in LIMBS)]


def seen_again(result):
    """Distance in px between keypoints and the projection of root + joints, of the joints that both skeletons have."""
    track = result.tracks[0]
    space, flat = ([skeleton.index(name) for name in SHARED] for skeleton in (H36M17, track.skeleton))
    pixels = project(track.in_camera().joints[:, space].astype(np.float64), result.camera.intrinsics)
    return np.linalg.norm(pixels - track.keypoints[:, flat], axis=-1)


def test_projection_of_root_and_joints_gives_the_keypoints(make_film):
    truth, result = make_film()
    placed = place_people(result, height=stature(truth - truth[:, :1]))
    assert seen_again(placed).max() < 1.5
    assert np.abs(placed.tracks[0].root - truth[:, 0]).max() < 0.03
    assert placed.tracks[0].poses3d.frame == "root-relative" and placed.tracks[0].in_camera().frame == "camera"


def test_walk_in_metres(make_film, view):
    truth, result = make_film(noise=3.0)
    placed = place_people(result, height=stature(truth - truth[:, :1]))
    found = compare(placed, truth, view)
    assert found["root RMS"] < 100 and found["floor tilt"] < 4
    assert found["contacts found"] > 0.6 and found["contacts true"] > 0.8
    assert found["drift of contacts"] > 2 and found["drift, feet held"] < 1e-3
    track = placed.tracks[0]
    world = track.in_world(placed.camera)
    assert world.joints[0, 0, [0, 2]] == pytest.approx([0, 0], abs=1e-5)
    assert world.joints[:, 0, 1] == pytest.approx(0.88, abs=0.08) and world.sigma.shape == world.joints.shape
    assert np.linalg.norm(world.joints[-1, 0] - world.joints[0, 0]) == pytest.approx(0.9 * 74 / 25, abs=0.15)
    assert any(note.startswith("camera: ") for note in placed.notes) and placed.camera.world == "fitted"
    part = track[10:15]
    assert part.root.shape == part.root_sigma.shape == (5, 3) and part.contacts.shape == (5, 2)
    assert part.poses3d.sigma.shape == (5, 17, 3)
    with pytest.raises(InputError, match=r"Track\.root"):
        replace(track, root=track.root[1:])


def test_height_scales_everything(make_film):
    _, result = make_film()
    one, two = (place_people(result, height=height) for height in (1.7, {1: 0.85}))
    assert two.tracks[0].root == pytest.approx(one.tracks[0].root / 2, abs=0.02)
    assert two.tracks[0].poses3d.joints == pytest.approx(one.tracks[0].poses3d.joints / 2, abs=1e-5)
    strange = place_people(result, height={7: 1.7})
    assert any("track 7" in note for note in strange.notes) and any("ordinary size" in note for note in strange.notes)


def test_assumed_focal_length_is_said_and_counted(make_film):
    _, result = make_film()
    known, assumed = place_people(result, height=1.7), SpaceSettings(height=1.7).place(replace(result, camera=None))
    assert "assumed" in assumed.notes[0] and "assumed" not in known.notes[0]
    assert (assumed.tracks[0].root_sigma[:, 2] > 3 * known.tracks[0].root_sigma[:, 2]).all()
    again = place_people(assumed)
    assert len(again.notes) == len(assumed.notes) == 3


def test_known_world_is_kept(make_film, view):
    from cascadepose.rotations import quaternion_inverse, quaternion_to_matrix

    _, result = make_film()
    rotation = quaternion_to_matrix(quaternion_inverse(view.orientation)).astype(np.float64)
    camera = replace(result.camera, rotation=rotation, translation=-rotation @ view.translation, world="given")
    placed = place_people(result, camera)
    assert placed.camera.world == "given" and not any(note.startswith("ground") for note in placed.notes)
    feet = placed.tracks[0].in_world(placed.camera).joints[:, FEET]
    assert feet[placed.tracks[0].contacts][:, 1] == pytest.approx(0.08, abs=0.06)


def test_without_ground(make_film):
    placed = SpaceSettings(ground=False).place(make_film()[1])
    assert placed.tracks[0].contacts is None and placed.camera.world == "none" and placed.tracks[0].root is not None
    (person,) = motions(placed)
    assert person.joints == pytest.approx(placed.tracks[0].in_camera().joints * (1, -1, -1), abs=1e-5)
    with pytest.raises(InputError, match="has no world"):
        placed.tracks[0].in_world(placed.camera)


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_photographs_and_very_short_clips(make_film, frames):
    truth, result = make_film(frames)
    placed = place_people(result, height=stature(truth - truth[:, :1]))
    assert np.abs(placed.tracks[0].root - truth[:, 0]).max() < 0.05
    assert placed.camera.world == "assumed" and motions(placed)[0].joints[:, FEET, 1].min() > 0.03


def test_what_cannot_be_placed_comes_back_as_it_is(make_film):
    _, result = make_film()
    track = result.tracks[0]
    flat = replace(result, tracks=(replace(track, poses3d=None),))
    assert place_people(flat) is flat and place_people(replace(result, tracks=())).tracks == ()
    unseen = replace(track, track_id=2, scores=0 * track.scores)
    placed = place_people(replace(result, tracks=(track, unseen)))
    assert placed.tracks[0].root is not None and placed.tracks[1].root is None
    with pytest.raises(InputError, match="no place in space"):
        placed.tracks[1].in_camera()
    with pytest.raises(InputError, match="no person's"):
        place_people(result, height=-1.0)


def test_one_track_without_a_finite_place_costs_the_others_nothing(make_film, monkeypatch):
    _, result = make_film()
    track = result.tracks[0]
    wild = replace(track, track_id=2, scores=0.5 * track.scores)
    find_root = place.find_root

    def lose_the_unsure(sight):
        root, covariance = find_root(sight)
        return root, covariance * np.where(sight.weights.max() < 0.6, np.nan, 1.0)

    monkeypatch.setattr(place, "find_root", lose_the_unsure)
    alone, both = place_people(result), place_people(replace(result, tracks=(track, wild)))
    assert both.tracks[1].root is None and np.array_equal(both.tracks[0].root, alone.tracks[0].root)
    assert [note for note in both.notes if note.startswith("place: track 2 has none: ")]
    nobody = place_people(replace(result, tracks=(wild,)))
    assert nobody.tracks[0].poses3d is not None and nobody.notes[-1].startswith("place: track 2")
    assert place_people(nobody).notes == nobody.notes  # said once


def test_files_keep_it(make_film, tmp_path):
    from cascadepose.export import load_result

    placed = place_people(make_film(noise=3.0)[1])
    placed.save(tmp_path)
    for name, near in (("poses.npz", 0), ("poses.json", 1e-4)):
        read = load_result(tmp_path / name)
        for field in ("root", "root_sigma", "contacts"):
            assert getattr(read.tracks[0], field) == pytest.approx(getattr(placed.tracks[0], field), abs=near)
        assert read.tracks[0].poses3d.sigma == pytest.approx(placed.tracks[0].poses3d.sigma, abs=near)
        assert read.camera.rotation == pytest.approx(placed.camera.rotation) and read.camera.world == "fitted"
        assert read.camera.origin == placed.camera.origin and read.camera.image_size == placed.camera.image_size
    placed.save(tmp_path / "poses.csv")
    header, *rows = (tmp_path / "poses.csv").read_text().splitlines()
    cells = [dict(zip(header.split(","), row.split(","), strict=True)) for row in rows]
    ankle = next(row for row in cells if row["joint"] == "left_ankle")
    joints, track = placed.tracks[0].in_camera().joints[0, FEET[0]], placed.tracks[0]
    assert [float(ankle[f"{axis}_camera_m"]) for axis in "xyz"] == pytest.approx(joints, abs=1e-4)
    assert float(ankle["sigma_z_m"]) == pytest.approx(track.poses3d.sigma[0, FEET[0], 2], abs=1e-4)
    assert ankle["contact"] == str(int(track.contacts[0, 0]))
    assert next(row for row in cells if row["joint"] == "nose")["contact"] == ""


def fk_feet(person) -> np.ndarray:
    """Ankles [T, 2, 3] of a rig by forward kinematics."""
    from cascadepose.export.rig import NAMES, PARENTS

    rig = make_rig(person)
    turned, places = [rig.rotations[:, 0]], [rig.root]
    for node, parent in enumerate(PARENTS[1:], 1):
        places.append(places[parent] + turned[parent] @ rig.offsets[node])
        turned.append(turned[parent] @ rig.rotations[:, node])
    return np.stack([places[NAMES.index(H36M17.names[foot])] for foot in FEET], 1)


def test_exported_walkers_walk_and_do_not_slide(make_film):
    placed = place_people(make_film(noise=3.0)[1])
    (person,) = motions(placed)
    assert np.linalg.norm(np.ptp(person.joints[:, 0], axis=0)) > 2  # m that the root travels
    assert drift(person.joints[:, FEET], placed.tracks[0].contacts) < 1e-6
    assert drift(fk_feet(person), placed.tracks[0].contacts) < 1e-4
    assert person.sigma[10] == pytest.approx(np.sqrt((placed.tracks[0].poses3d.sigma[10] ** 2).mean(-1)))


def test_motion_capture_walks_through_the_packaged_lifter(shared, view):
    """Real walks: roots within 10 cm RMS, the height given, and feet that do not drift in what is exported."""
    from cascadepose.hub import load_model

    motion = load_motion(shared / "data/cmu_mocap/cmu_h36m17_60fps_val.npz")
    walks = {name: joints for name, joints in motion.items() if name.startswith("cmu_08")}
    lifter = load_model("dstformer-small", device="cpu")
    found = evaluate_space(lifter, walks, fixed=True)["mean"]
    assert found["root RMS"] < 100 and found["floor tilt"] < 2
    assert found["contacts true"] > 0.9 and found["drift of contacts"] > 5
    body = adapt_body(walks["cmu_08_01"][::2])
    truth, result = film(body - body[len(body) // 2, :1] * np.float32([1, 0, 1]), view, 30.0)
    placed = place_people(*lift_films(lifter, [result]), height=stature(truth - truth[:, :1]))
    (person,) = motions(placed)
    assert drift(fk_feet(person), placed.tracks[0].contacts) < 1e-3


def test_joints_in_another_frame_are_left_alone(make_film):
    truth, result = make_film()
    track = replace(result.tracks[0], poses3d=Poses3D(truth, "camera"))
    assert place_people(replace(result, tracks=(track,)), make_camera(result.frame_size)).tracks[0].root is None
