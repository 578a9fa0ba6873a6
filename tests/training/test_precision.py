"""Strided depthwise convolutions stay in float32 under autocast on a CPU; everything around them does not."""

import copy

import pytest
import torch
from torch import nn

from cascadepose.train import fit
from cascadepose.training.precision import spare_strided_depthwise


@pytest.fixture
def network():
    """A pointwise, a strided depthwise and another pointwise convolution."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, stride=2, groups=8), nn.Conv2d(8, 4, 1))


def types(network, image):
    """The types that the layers answer with under autocast."""
    seen = []
    hooks = [layer.register_forward_hook(lambda _m, _i, out: seen.append(out.dtype)) for layer in network]
    with torch.autocast("cpu", torch.bfloat16):
        network(image)
    for hook in hooks:
        hook.remove()
    return seen


def test_only_they_are_spared(network):
    image, half, full = torch.randn(1, 3, 9, 9), torch.bfloat16, torch.float32
    assert types(network, image) == [half, half, half]
    hooks = spare_strided_depthwise(network)
    assert types(network, image) == [half, full, half]
    assert types(copy.deepcopy(network), image) == [half, full, half]
    for hook in hooks:
        hook.remove()
    assert types(network, image) == [half, half, half]


def test_they_are_as_exact_as_without_autocast(network):
    spare_strided_depthwise(network)
    x = torch.randn(2, 8, 9, 9, requires_grad=True)
    expected = network[1](x)
    with torch.autocast("cpu", torch.bfloat16):
        found = network[1](x)
        assert torch.is_autocast_enabled("cpu")
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    gradients = [torch.autograd.grad(out.square().sum(), x)[0] for out in (found, expected)]
    torch.testing.assert_close(*gradients, rtol=0, atol=0)


@pytest.mark.parametrize("enabled", [True, False])
def test_autocast_is_as_before_even_after_an_error(network, enabled):
    spare_strided_depthwise(network)
    with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
        with pytest.raises(RuntimeError, match="channels"):
            network[1](torch.randn(1, 5, 9, 9))
        assert torch.is_autocast_enabled("cpu") is enabled


@pytest.mark.parametrize("precision", ["bf16", "no"])
def test_training_spares_them_and_gives_the_model_back_without_hooks(toy, tmp_path, precision, monkeypatch):
    spared = []

    def spare(model):
        spared.append(model)
        return spare_strided_depthwise(model)

    monkeypatch.setattr("cascadepose.train.spare_strided_depthwise", spare)
    task = toy.Task()
    task.model.insert(0, nn.Sequential(nn.Unflatten(1, (6, 1, 1)), nn.Conv2d(6, 6, 1, 2, groups=6), nn.Flatten()))
    fit(task, toy.settings(tmp_path, mixed_precision=precision, device="cpu"))
    assert len(spared) == (precision == "bf16")
    assert not any(module._forward_hooks for module in task.model.modules())
