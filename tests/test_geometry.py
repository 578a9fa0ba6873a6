"""Geometry: every step is undone by its inverse, numpy and torch agree, gradients are right."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cascadepose import geometry as g
from cascadepose import rotations as r

SEEDS = st.integers(0, 2**32 - 1)
DISTORTED = np.array([1100.0, 1150.0, 500.0, 520.0, -0.2, 0.24, -0.003, -0.001, -0.0014])


def quaternions(seed: int, *shape: int) -> np.ndarray:
    return r.normalize(np.random.default_rng(seed).normal(size=(*shape, 4)))


@settings(deadline=None)
@given(st.integers(1, 8000), st.integers(1, 8000), SEEDS)
def test_screen_normalisations_invert(width, height, seed):
    points = np.random.default_rng(seed).uniform(-100, 8000, (4, 2))
    for forward, back in (
        (g.normalize_screen, g.denormalize_screen),
        (g.normalize_center, g.denormalize_center),
    ):
        np.testing.assert_allclose(back(forward(points, (width, height)), (width, height)), points, atol=1e-6)


def test_screen_normalisation_spans_the_image():
    corners = np.array([[0, 0], [640, 480]])
    np.testing.assert_allclose(g.normalize_screen(corners, (640, 480)), [[-1, -0.75], [1, 0.75]])
    np.testing.assert_allclose(g.normalize_center(corners, (640, 480)), [[-4 / 3, -1], [4 / 3, 1]])


@settings(deadline=None)
@given(SEEDS)
def test_world_and_camera_invert(seed):
    rng = np.random.default_rng(seed)
    points, orientation, translation = rng.normal(size=(7, 3)), quaternions(seed), rng.normal(size=3)
    camera = g.world_to_camera(points, orientation, translation)
    np.testing.assert_allclose(g.camera_to_world(camera, orientation, translation), points, atol=1e-9)
    distances = np.linalg.norm(points - translation, axis=-1)
    np.testing.assert_allclose(np.linalg.norm(camera, axis=-1), distances, atol=1e-9)


@settings(deadline=None)
@given(SEEDS)
def test_projection_inverts(seed):
    rng = np.random.default_rng(seed)
    depth = rng.uniform(1, 10, 9)
    points = np.concatenate([rng.uniform(-0.5, 0.5, (9, 2)), np.ones((9, 1))], -1) * depth[:, None]
    again = g.back_project(g.project(points, DISTORTED), depth, DISTORTED)
    np.testing.assert_allclose(again, points, atol=1e-6)


@settings(deadline=None)
@given(SEEDS)
def test_quaternions_and_matrices_invert(seed):
    q = quaternions(seed, 5)
    m = r.quaternion_to_matrix(q)
    np.testing.assert_allclose(m @ np.swapaxes(m, -1, -2), np.broadcast_to(np.eye(3), m.shape), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(m), 1, atol=1e-9)
    again = r.matrix_to_quaternion(m)
    np.testing.assert_allclose(again, np.where(q[:, :1] < 0, -q, q), atol=1e-9)
    v = np.random.default_rng(seed).normal(size=(5, 3))
    np.testing.assert_allclose(r.rotate(q, v), (m @ v[..., None])[..., 0], atol=1e-9)
    np.testing.assert_allclose(r.rotate(r.quaternion_inverse(q), r.rotate(q, v)), v, atol=1e-9)


@pytest.mark.parametrize("turn", [[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
def test_half_turns_have_a_quaternion(turn):
    m = np.diag(np.float64(turn))
    np.testing.assert_allclose(r.quaternion_to_matrix(r.matrix_to_quaternion(m)), m, atol=1e-12)


@settings(deadline=None)
@given(SEEDS)
def test_axis_angle_and_product(seed):
    rng = np.random.default_rng(seed)
    axis, angle = r.normalize(rng.normal(size=3)), np.asarray(rng.uniform(0.01, 3.1))
    q = r.axis_angle_to_quaternion(axis, angle)
    again_axis, again_angle = r.quaternion_to_axis_angle(-q)
    np.testing.assert_allclose(again_axis, axis, atol=1e-6)
    np.testing.assert_allclose(again_angle, angle, atol=1e-9)
    p, v = quaternions(seed + 1), rng.normal(size=3)
    np.testing.assert_allclose(r.rotate(r.quaternion_multiply(p, q), v), r.rotate(p, r.rotate(q, v)), atol=1e-9)


def test_look_at_centres_the_target_upright():
    eye, target, up = np.array([3.0, 1.6, 4.0]), np.array([0.0, 1.0, 0.0]), np.array([0.0, 1.0, 0.0])
    q = r.look_at(eye, target, up, np.asarray(0.0))
    seen = g.world_to_camera(np.stack([target, target + 0.1 * up]), q, eye)
    np.testing.assert_allclose(seen[0], [0, 0, np.linalg.norm(target - eye)], atol=1e-9)
    assert abs(seen[1, 0]) < 1e-9
    assert seen[1, 1] < 0  # up in the world is up in the image: y points down


@settings(deadline=None, max_examples=20)
@given(SEEDS)
def test_numpy_and_torch_agree(seed):
    rng = np.random.default_rng(seed)
    points, q, t = rng.normal(size=(4, 3)) + np.array([0, 0, 6]), quaternions(seed), rng.normal(size=3)
    tensors = [torch.from_numpy(np.asarray(x)) for x in (points, q, t, DISTORTED)]
    np.testing.assert_allclose(g.world_to_camera(*tensors[:3]), g.world_to_camera(points, q, t), atol=1e-12)
    np.testing.assert_allclose(g.project(tensors[0], tensors[3]), g.project(points, DISTORTED), atol=1e-9)
    np.testing.assert_allclose(
        r.matrix_to_quaternion(r.quaternion_to_matrix(tensors[1])),
        r.matrix_to_quaternion(r.quaternion_to_matrix(q)),
        atol=1e-12,
    )


def test_gradients():
    torch.manual_seed(0)
    points = (torch.rand(3, 3, dtype=torch.float64) + torch.tensor([0, 0, 2.0])).requires_grad_()
    intrinsics = torch.from_numpy(DISTORTED).requires_grad_()
    q = torch.nn.functional.normalize(torch.randn(4, dtype=torch.float64), dim=-1).requires_grad_()
    t = torch.randn(3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(g.project, (points, intrinsics))
    assert torch.autograd.gradcheck(g.world_to_camera, (points, q, t))
    assert torch.autograd.gradcheck(g.back_project, (points[:, :2].detach().requires_grad_(), points[:, 2], intrinsics))


def test_flip_is_its_own_inverse(rng):
    points, index = rng.normal(size=(2, 3, 3)), (1, 0, 2)
    flipped = g.flip_horizontal(points, index)
    np.testing.assert_array_equal(flipped[:, 0], points[:, 1] * [-1, 1, 1])
    np.testing.assert_array_equal(g.flip_horizontal(flipped, index), points)
