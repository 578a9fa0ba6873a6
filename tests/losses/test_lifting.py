"""Lifting losses: masks, gradients, and the edge cases of scale and single frames."""

import pytest
import torch

from cascadepose.losses.lifting import lifting_losses, mpjpe, n_mpjpe, velocity

LOSSES = (mpjpe, n_mpjpe, velocity)


@pytest.fixture
def pair():
    torch.manual_seed(0)
    return torch.randn(2, 5, 17, 3, dtype=torch.float64), torch.randn(2, 5, 17, 3, dtype=torch.float64)


@pytest.mark.parametrize("loss", LOSSES)
def test_zero_when_right_and_differentiable(loss, pair):
    pred, target = pair
    assert loss(target, target) < 1e-9
    pred = pred[:1, :3, :4].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda p: loss(p, target[:1, :3, :4]), pred)


@pytest.mark.parametrize("loss", LOSSES)
def test_masked_joints_do_not_count(loss, pair):
    pred, target = pair
    weight = torch.ones(2, 5, 17, dtype=torch.float64)
    torch.testing.assert_close(loss(pred, target, weight), loss(pred, target))
    weight[..., 3] = 0
    spoiled = pred.clone()
    spoiled[..., 3, :] = 100
    torch.testing.assert_close(loss(spoiled, target, weight), loss(pred, target, weight))
    keep = [j for j in range(17) if j != 3]
    torch.testing.assert_close(loss(pred, target, weight), loss(pred[..., keep, :], target[..., keep, :]))
    assert loss(pred, target, torch.zeros(1, 1, 17)) == 0


def test_targets_are_not_changed(pair):
    pred, target = pair
    copy = target.clone()
    lifting_losses(pred.requires_grad_(), target)["loss"].backward()
    assert torch.equal(target, copy)
    assert torch.isfinite(pred.grad).all()


def test_scale_is_free_in_n_mpjpe(pair):
    _, target = pair
    assert n_mpjpe(0.3 * target, target) < 1e-9
    assert mpjpe(0.3 * target, target) > 0.1


def test_velocity(pair):
    pred, target = pair
    assert velocity(target + 5, target) < 1e-9  # a constant offset moves at the same speed
    assert velocity(pred[:, :1], target[:, :1]) == 0


def test_total(pair):
    parts = lifting_losses(*pair, scale_weight=0.3, velocity_weight=4.0)
    torch.testing.assert_close(parts["loss"], parts["mpjpe"] + 0.3 * parts["n_mpjpe"] + 4 * parts["velocity"])
