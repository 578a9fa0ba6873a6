"""bfloat16 on a CPU: some depthwise convolutions stay in float32, attention is the same by other means."""

from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cascadepose.train import fit
from cascadepose.training import precision
from cascadepose.training.precision import FasterBfloat16, attention, faster_steps


@pytest.fixture
def network():
    """A pointwise, a strided, a small and a large depthwise and another pointwise convolution."""
    torch.manual_seed(0)
    strided, small = nn.Conv2d(8, 8, 3, 2, padding=1, groups=8), nn.Conv2d(8, 8, 3, padding=1, groups=8)
    large = nn.Conv2d(8, 8, 5, padding=2, groups=8)
    return nn.Sequential(nn.Conv2d(3, 8, 1), strided, small, large, nn.Conv2d(8, 4, 1))


def types(network, enabled=True):
    """The types that the layers answer with under autocast."""
    seen = []
    hooks = [layer.register_forward_hook(lambda _m, _i, out: seen.append(out.dtype)) for layer in network]
    with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
        network(torch.randn(1, 3, 9, 9))
    for hook in hooks:
        hook.remove()
    return seen


def test_only_strided_and_large_depthwise_convolutions_are_spared(network):
    half, full = torch.bfloat16, torch.float32
    assert types(network) == [half] * 5
    with FasterBfloat16():
        assert types(network) == [half, full, half, full, half]
        assert types(network, enabled=False) == [full] * 5
    assert types(network) == [half] * 5


@pytest.mark.parametrize("layer", [1, 3])
def test_they_are_as_exact_as_without_autocast(network, layer):
    x = torch.randn(2, 8, 9, 9, requires_grad=True)
    expected = network[layer](x)
    with torch.autocast("cpu", torch.bfloat16), FasterBfloat16():
        found = network[layer](x)
        assert torch.is_autocast_enabled("cpu")
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    gradients = [torch.autograd.grad(out.square().sum(), x)[0] for out in (found, expected)]
    torch.testing.assert_close(*gradients, rtol=0, atol=0)


@pytest.mark.parametrize("mask", ["none", "keys", "added", "causal"])
def test_attention_is_what_pytorch_answers(mask):
    q, k, v = (torch.randn(2, 3, n, 8, dtype=torch.float64, requires_grad=True) for n in (5, 7, 7))
    options = {
        "none": {},
        "keys": {"attn_mask": torch.arange(7).expand(2, 1, 1, 7) < 5},
        "added": {"attn_mask": torch.randn(5, 7, dtype=torch.float64)},
        "causal": {"is_causal": True},
    }[mask]
    found, expected = (function(q, k, v, **options) for function in (attention, F.scaled_dot_product_attention))
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(out.square().sum(), (q, k, v)) for out in (found, expected)]
    torch.testing.assert_close(*gradients)


def test_attention_drops_weights():
    value = torch.eye(50).expand(1, 1, 50, 50)
    out = attention(torch.zeros(1, 1, 50, 4), torch.zeros(1, 1, 50, 4), value, dropout_p=0.5)
    torch.testing.assert_close(out.unique(), torch.tensor([0.0, 2 / 50]))


@pytest.mark.parametrize(("keys", "own"), [(precision.SHORT, True), (precision.SHORT + 1, False)])
def test_attention_to_many_keys_is_pytorchs(keys, own, monkeypatch):
    called = []
    monkeypatch.setattr(
        precision, "attention", lambda *args: called.append(args) or F.scaled_dot_product_attention(*args)
    )
    q, k = torch.randn(1, 1, 3, 8), torch.randn(1, 1, keys, 8)
    with FasterBfloat16():
        F.scaled_dot_product_attention(q, k, k)
        assert not called
        with torch.autocast("cpu", torch.bfloat16):
            assert F.scaled_dot_product_attention(q, k, k).shape == q.shape
    assert bool(called) == own


def test_only_for_bfloat16_on_a_cpu(toy, tmp_path):
    half, full = (toy.settings(tmp_path, mixed_precision=name) for name in ("bf16", "no"))
    assert isinstance(faster_steps(half, torch.device("cpu")), FasterBfloat16)
    for settings, device in ((full, "cpu"), (half, "cuda")):
        assert isinstance(faster_steps(settings, torch.device(device)), nullcontext)


def test_losses_are_computed_in_it(toy, tmp_path):
    """A strided depthwise convolution in the model of a run answers in float32."""
    seen = set()
    task = toy.Task()
    depthwise = nn.Conv2d(6, 6, 1, 2, groups=6)
    depthwise.register_forward_hook(lambda module, _i, out: seen.add((module.training, out.dtype)))
    task.model.insert(0, nn.Sequential(nn.Linear(6, 6), nn.Unflatten(1, (6, 1, 1)), depthwise, nn.Flatten()))
    fit(task, toy.settings(tmp_path, mixed_precision="bf16", device="cpu"))
    assert {dtype for training, dtype in seen if training} == {torch.float32}
