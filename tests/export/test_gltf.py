"""The GLB file holds the same skeletons as BVH, animated and skinned."""

import numpy as np

from cascadepose.export.rig import NAMES
from cascadepose.skeletons import H36M17


def test_nodes_move_as_in_bvh(make_walkers, readers, tmp_path):
    result = make_walkers(people=2, frames=30)
    (path,) = result.save(tmp_path / "walk.glb")
    glb = readers.read_glb(path)
    for track, file in zip(result, result.save(tmp_path / "walk.bvh"), strict=True):
        bvh = readers.read_bvh(file)
        theirs = [bvh.names.index(name) for name in NAMES]
        ours = [glb.names.index(f"person_{track.track_id}/{name}") for name in NAMES]
        np.testing.assert_allclose(glb.places[:, ours], bvh.places[:, theirs], atol=1e-4)
    assert glb.document["asset"]["version"] == "2.0" and len(glb.document["scenes"][0]["nodes"]) == 4


def test_time_is_that_of_the_video(make_walkers, readers, tmp_path):
    result = make_walkers(frames=10)
    (path,) = result.save(tmp_path / "walk.glb")
    glb = readers.read_glb(path)
    times = glb.arrays[glb.document["animations"][0]["samplers"][0]["input"]][:, 0]
    np.testing.assert_allclose(times, result.tracks[0].timestamp - result.timestamps[0], atol=1e-6)
    assert times[0] > 0.1  # the track begins in the fourth frame


def test_rotations_take_the_short_way(make_walkers, readers, tmp_path):
    (path,) = make_walkers(frames=200, noise=0).save(tmp_path / "walk.glb")
    glb = readers.read_glb(path)
    animation = glb.document["animations"][0]
    for channel in animation["channels"]:
        if channel["target"]["path"] == "rotation":
            q = glb.arrays[animation["samplers"][channel["sampler"]]["output"]]
            np.testing.assert_allclose(np.linalg.norm(q, axis=1), 1, atol=1e-5)
            assert (q[1:] * q[:-1]).sum(1).min() > 0.9


def test_skin_is_bound_in_the_rest_pose(make_walkers, readers, tmp_path):
    """Every corner of the mesh lies near a bone of the T-pose, and is unbound from the node that carries it."""
    (path,) = make_walkers(frames=3).save(tmp_path / "walk.glb")
    glb = readers.read_glb(path)
    (skin,), (mesh,) = glb.document["skins"], glb.document["meshes"]
    rest = {}

    def visit(node: int, place: np.ndarray) -> None:
        rest[node] = place
        for child in glb.document["nodes"][node].get("children", ()):
            visit(child, place + glb.document["nodes"][child]["translation"])

    visit(skin["skeleton"], np.zeros(3))
    unbind = glb.arrays[skin["inverseBindMatrices"]].reshape(-1, 4, 4).swapaxes(1, 2)  # the file's are column by column
    for matrix, node in zip(unbind, skin["joints"], strict=True):
        np.testing.assert_allclose(matrix @ [*rest[node], 1], (0, 0, 0, 1), atol=1e-6)
    (primitive,) = mesh["primitives"]
    places, joints, weights = (glb.arrays[primitive["attributes"][k]] for k in ("POSITION", "JOINTS_0", "WEIGHTS_0"))
    assert len(places) == 24 * (H36M17.num_joints - 1) and (weights == (1, 0, 0, 0)).all()
    for corners, nodes in zip(places.reshape(-1, 24, 3), joints.reshape(-1, 24, 4), strict=True):
        start = rest[skin["joints"][nodes[0, 0]]]
        assert len({*nodes[:, 0]}) == 1 and np.abs(corners - start).max() < 0.5
        assert (np.abs(corners - start).max(1) < 1e-6).sum() == 4
