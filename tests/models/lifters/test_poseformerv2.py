"""PoseFormerV2: its DCT against scipy, what is kept of a window, configuration, gradients."""

import numpy as np
import pytest
import scipy.fft
import torch

from cascadepose import models
from cascadepose.models.lifters.poseformerv2 import FrequencyMLP, MixedBlock, dct_matrix, idct_matrix

SMALL = {"num_frames": 27, "kept_frames": 3, "kept_coefficients": 3, "embed_dim_ratio": 4, "depth": 2, "num_heads": 2}


def make(**settings):
    torch.manual_seed(0)
    return models.build("poseformerv2", **(SMALL | settings)).eval()


@pytest.mark.parametrize("size", [1, 2, 9, 27, 81, 243])
def test_dct_is_that_of_scipy(size, rng):
    x = rng.standard_normal((size, 34))
    forward, back = dct_matrix(size).numpy(), idct_matrix(size).numpy()
    np.testing.assert_allclose(forward @ x, scipy.fft.dct(x, type=2, axis=0), atol=1e-10)
    np.testing.assert_allclose(back @ x, scipy.fft.idct(x, type=2, axis=0), atol=1e-12)
    np.testing.assert_allclose(back @ forward, np.eye(size), atol=1e-12)
    kept = (size + 2) // 3
    np.testing.assert_allclose(dct_matrix(size, kept).numpy() @ x, scipy.fft.dct(x, axis=0)[:kept], atol=1e-10)


def test_frequency_mlp_works_on_frequencies():
    """Each coefficient of the tokens' DCT goes through the same two layers."""
    torch.manual_seed(0)
    mlp, x = FrequencyMLP(5, 6, 12), torch.randn(2, 5, 6)
    coefficients = torch.from_numpy(scipy.fft.dct(x.numpy(), axis=1))
    with torch.no_grad():
        expected = scipy.fft.idct(mlp.fc2(mlp.act(mlp.fc1(coefficients))).numpy(), axis=1)
        np.testing.assert_allclose(mlp(x).numpy(), expected, atol=1e-5)


def test_frequency_tokens_are_the_low_frequencies_of_the_whole_window():
    model = make(num_frames=81, kept_coefficients=9)
    x = torch.randn(2, 81, 17, 2)
    low = torch.from_numpy(scipy.fft.dct(x.flatten(2).numpy(), axis=1)[:, :9])
    expected = low @ model.Freq_embedding.weight.T + model.Freq_embedding.bias
    torch.testing.assert_close(model.encode_frequencies(x), expected, atol=1e-4, rtol=1e-4)
    fast = x + torch.from_numpy(scipy.fft.idct(np.eye(81)[40])).float()[:, None, None]  # a frequency that is not kept
    torch.testing.assert_close(model.encode_frequencies(fast), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "settings, kept",
    [
        ({}, [12, 13, 14]),
        ({"kept_frames": 1}, [13]),
        ({"num_frames": 9, "kept_frames": 9}, list(range(9))),
        ({"num_frames": 8, "kept_frames": 8}, list(range(8))),
        ({"causal": True}, [24, 25, 26]),
    ],
)
def test_frames_around_the_middle_are_kept(settings, kept):
    model = make(**settings)
    x = torch.randn(1, model.num_frames, 17, 2)
    tokens = model.encode_frames(x)
    assert tokens.shape == (1, len(kept), 68)
    spoiled = torch.full_like(x, torch.nan)
    spoiled[:, kept] = x[:, kept]
    assert torch.equal(model.encode_frames(spoiled), tokens)


@pytest.mark.parametrize("frames, coefficients", [(1, 1), (1, 3), (3, 1), (4, 5), (27, 27)])
def test_any_number_of_frames_and_coefficients(frames, coefficients):
    model = make(kept_frames=frames, kept_coefficients=coefficients)
    assert model(torch.randn(2, 27, 17, 2)).shape == (2, 1, 17, 3)
    again = models.build("poseformerv2", **model.config).eval()
    again.load_state_dict(model.state_dict())
    x = torch.randn(1, 27, 17, 2)
    assert torch.equal(again(x), model(x))


def test_wrong_windows_and_settings():
    with pytest.raises(ValueError, match="takes 27"):
        make()(torch.zeros(1, 9, 17, 2))
    for bad in ({"kept_frames": 28}, {"kept_coefficients": 0}):
        with pytest.raises(ValueError, match=r"1\.\.num_frames=27"):
            make(**bad)


def test_halves_are_of_the_token_count():
    """With one frame and three coefficients, the frequency MLP has the last two of the four tokens."""
    torch.manual_seed(0)
    block, x = MixedBlock(4, 8, 2, 2.0).eval(), torch.randn(1, 4, 8)
    before = block(x)
    torch.nn.init.zeros_(block.mlp2.fc2.weight)
    torch.nn.init.zeros_(block.mlp2.fc2.bias)
    changed = (block(x) - before).abs().amax((0, 2)) > 0
    assert changed.tolist() == [False, False, True, True]


def test_size_does_not_grow_with_the_window():
    count = {n: sum(p.numel() for p in make(num_frames=n).parameters()) for n in (9, 27, 243)}
    assert len(set(count.values())) == 1


def test_every_parameter_gets_a_gradient():
    model = make(drop_path=0.0).train()
    model(torch.randn(4, 27, 17, 2)).square().sum().backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert missing == []


def test_gradcheck():
    sizes = {"num_frames": 4, "kept_frames": 2, "kept_coefficients": 2, "num_joints": 2, "depth": 1}
    model = make(**sizes).double()
    x = torch.randn(1, 4, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(model, x)
