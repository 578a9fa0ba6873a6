"""Skeletons: consistent tables, and conversions that are linear, symmetric and alike in numpy and torch."""

import numpy as np
import pytest
import torch

from cascadepose.errors import InputError
from cascadepose.skeletons import COCO17, H36M17, SKELETONS

STYLES = ("midpoints", "gast")


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_tables_agree(skeleton):
    count = skeleton.num_joints
    assert count == len(set(skeleton.names)) == len(skeleton.parents)
    assert skeleton.sigmas is None or len(skeleton.sigmas) == count
    assert [skeleton.flip_index[i] for i in skeleton.flip_index] == list(range(count))
    for left, right in skeleton.flip_pairs:
        assert skeleton.names[left] == skeleton.names[right].replace("right", "left")
        flipped_parent = skeleton.flip_index[skeleton.parents[left]]
        assert skeleton.parents[right] == flipped_parent
    assert all(parent < count for parent in skeleton.parents)
    assert {i for edge in skeleton.edges for i in edge} == set(range(count))


def test_index_names_the_joints_there_are():
    assert H36M17.names[H36M17.index("thorax")] == "thorax"
    with pytest.raises(InputError, match="left_wrist"):
        COCO17.index("tail")


@pytest.mark.parametrize("style", STYLES)
def test_numpy_and_torch_agree(style, rng):
    keypoints, scores = rng.normal(size=(2, 5, 17, 2)).astype(np.float32), rng.random((2, 5, 17), np.float32)
    ours = COCO17.convert(keypoints, scores, style=style)
    theirs = COCO17.convert(torch.from_numpy(keypoints), torch.from_numpy(scores), style=style)
    assert ours[0].dtype == np.float32
    np.testing.assert_allclose(ours[0], theirs[0], atol=1e-6)
    np.testing.assert_allclose(ours[1], theirs[1], atol=1e-6)
    assert (ours[2] == theirs[2]).all()


@pytest.mark.parametrize("style", STYLES)
def test_conversion_commutes_with_mirroring(style, rng):
    keypoints = rng.normal(size=(17, 2))
    mirror = np.array([-1, 1])
    first = COCO17.convert(keypoints[list(COCO17.flip_index)] * mirror, style=style)[0]
    second = COCO17.convert(keypoints, style=style)[0][list(H36M17.flip_index)] * mirror
    np.testing.assert_allclose(first, second, atol=1e-12)


@pytest.mark.parametrize("style", STYLES)
def test_conversion_follows_translation(style, rng):
    keypoints = rng.normal(size=(17, 2))
    offset = np.array([3.0, -2.0])
    moved = COCO17.convert(keypoints + offset, style=style)[0]
    np.testing.assert_allclose(moved, COCO17.convert(keypoints, style=style)[0] + offset, atol=1e-12)


def test_measured_joints_are_copies_and_scores_the_lowest_of_the_parents(rng):
    keypoints, scores = rng.normal(size=(17, 2)), rng.random(17)
    joints, joint_scores, measured = COCO17.convert(keypoints, scores)
    for j in np.flatnonzero(measured):
        k = COCO17.index(H36M17.names[j])
        np.testing.assert_array_equal(joints[j], keypoints[k])
        assert joint_scores[j] == scores[k]
    assert joint_scores[H36M17.index("pelvis")] == min(
        scores[COCO17.index("left_hip")], scores[COCO17.index("right_hip")]
    )
    assert joint_scores[H36M17.index("spine")] == scores[[5, 6, 11, 12]].min()


@pytest.mark.parametrize("style", STYLES)
def test_gradients_flow(style):
    keypoints = torch.randn(17, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda k: COCO17.convert(k, style=style)[0], keypoints)


def test_same_skeleton_is_the_identity(rng):
    keypoints = rng.normal(size=(17, 3))
    joints, scores, measured = H36M17.convert(keypoints, to=H36M17)
    np.testing.assert_array_equal(joints, keypoints)
    assert scores is None and measured.all()


def test_bad_input():
    points = np.zeros((17, 3))
    for call, message in (
        (lambda: COCO17.convert(points[:5]), "17 joints"),
        (lambda: COCO17.convert(points, np.zeros(3)), "17 joints"),
        (lambda: COCO17.convert(points, style="nope"), "midpoints"),
        (lambda: COCO17.convert(points, style="gast"), "image plane"),
        (lambda: H36M17.convert(points, to=COCO17), "no conversion"),
    ):
        with pytest.raises(InputError, match=message):
            call()
