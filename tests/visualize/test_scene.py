"""Where people stand in the 3D scene: side by side without roots, at their roots with them."""

from dataclasses import replace

import numpy as np
import pytest

from cascadepose.errors import InputError
from cascadepose.types import Camera
from cascadepose.visualize.scene import assign_slots, build_scene


def lowest(figure) -> np.ndarray:
    return figure.joints[..., 1].min(1)


def test_side_by_side_in_the_order_of_the_picture(make_result):
    result = make_result([(0, 9), (2, 9)])
    scene = build_scene(replace(result, tracks=result.tracks[::-1]))  # the order of tracks must not matter
    places = {figure.track.track_id: figure.joints[0, figure.root] for figure in scene.figures}
    assert scene.layout == "side by side" and scene.ground == "assumed"
    assert places[2][0] - places[1][0] == pytest.approx(1.5) and places[1][0] == -places[2][0]
    assert scene.radius < 1.5 and 0.9 < scene.height < 2.2
    for figure in scene.figures:
        np.testing.assert_allclose(lowest(figure), 0, atol=1e-5)
        source = figure.track.poses3d.joints
        moved = figure.joints - figure.joints[:, :1]
        np.testing.assert_allclose(moved, (source - source[:, :1]) * (1, -1, -1), atol=1e-5)


def test_people_who_never_meet_share_a_place(make_result):
    scene = build_scene(make_result([(0, 3), (5, 9)]))
    first, second = (figure.joints[0, figure.root, 0] for figure in scene.figures)
    assert first == second == 0


def test_slots(make_result):
    tracks = list(make_result([(0, 4), (2, 9), (5, 9), (6, 9)]).tracks)
    assert assign_slots(tracks) == {1: 0, 2: 1, 3: 0, 4: 2}
    assert assign_slots(tracks, 2) == {1: 0, 2: 1, 3: 0}


def in_space(result, camera=None):
    """People whose pelvis walks to the right at 1 m a second, 4 m away."""
    tracks = []
    for track in result.tracks:
        along = np.arange(len(track)) / 10 + track.track_id
        root = np.stack([along, np.zeros(len(track)), np.full(len(track), 4.0)], -1)
        tracks.append(replace(track, root=root))
    return replace(result, tracks=tracks, camera=camera)


def test_at_the_roots_of_the_camera(make_result):
    scene = build_scene(in_space(make_result([(0, 9), (0, 9)])))
    assert scene.layout == "in space" and scene.ground == "assumed"
    roots = np.stack([figure.joints[:, figure.root] for figure in scene.figures])
    np.testing.assert_allclose(np.diff(roots[..., 0]), 0.1, atol=1e-5)
    np.testing.assert_allclose(roots[1, :, 0] - roots[0, :, 0], 1.0, atol=1e-5)
    np.testing.assert_allclose(roots[..., 2], 0, atol=1e-5)
    np.testing.assert_allclose([roots[..., 0].min(), roots[..., 0].max()], [-0.95, 0.95], atol=1e-5)
    assert abs(min(lowest(figure).min() for figure in scene.figures)) < 0.02


def test_in_the_world_the_ground_is_known(make_result):
    half_turn = np.diag([1.0, -1.0, -1.0])
    camera = Camera((500, 500), (160, 120), (320, 240), half_turn, half_turn @ (0, -1.6, 0), world="given")
    result = in_space(make_result([(0, 9)]), camera)
    scene = build_scene(result)
    assert scene.ground == "known"
    above = 1.6 - result.tracks[0].poses3d.joints[..., 1]  # not moved to the feet
    np.testing.assert_allclose(scene.figures[0].joints[..., 1], above, atol=1e-5)


def test_roots_of_some_only_are_not_mixed_with_others(make_result):
    result = in_space(make_result([(0, 9), (0, 9)]))
    mixed = replace(result, tracks=[replace(result.tracks[0], root=None), result.tracks[1]])
    assert build_scene(mixed).layout == "side by side"


def test_nothing_to_show(make_result):
    flat = make_result([(0, 9)])
    flat = replace(flat, tracks=[replace(track, poses3d=None) for track in flat.tracks])
    for result, words in ((flat, "without a lifter"), (make_result([]), "nobody was found")):
        with pytest.raises(InputError, match=words):
            build_scene(result)
