"""Noise and masks of pre-training: shares, sizes, what is shared, and that the input stays whole."""

import pytest
import torch

from cascadepose.data.corruption import NOISE, Corruption, add_noise


@pytest.fixture
def x():
    generator = torch.Generator().manual_seed(0)
    return torch.cat([torch.rand(4, 81, 17, 2, generator=generator) + 1, torch.ones(4, 81, 17, 1)], -1)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_input_stays_as_it_is(x):
    copy = x.clone()
    corrupted = Corruption()(x, generator=seeded())
    assert torch.equal(x, copy)
    assert not torch.equal(corrupted, copy)
    assert torch.equal(corrupted, Corruption()(x, generator=seeded()))
    assert not torch.equal(corrupted, Corruption()(x, generator=seeded(1)))


def test_masks(x):
    """Joints are blanked one by one, frames for the whole batch, and in all channels."""
    blank = Corruption(mask_ratio=0.2, mask_frame_ratio=0.3).mask(x, seeded()) == 0
    assert torch.equal(blank.any(-1), blank.all(-1))
    frames = blank.all(-1).all(-1)
    assert torch.equal(frames, frames[:1].expand_as(frames))
    assert frames[0].float().mean() == pytest.approx(0.3, abs=0.12)
    assert blank[~frames].float().mean() == pytest.approx(0.2, abs=0.03)
    assert torch.equal(Corruption(0, 0).mask(x), x)


def test_noise(x):
    """A few thousandths of a unit, more at the wrists than at the root, slow but for what the batch shares."""
    noisy = add_noise(x, seeded())
    offset = noisy[..., :2] - x[..., :2]
    size = offset.norm(dim=-1)
    assert 0.003 < size.mean() < 0.02
    assert size[..., 13].mean() > size[..., 0].mean()
    slow = offset - offset.mean(0)  # what is shared falls out
    assert slow.diff(dim=1).std() < 0.7 * slow.std()  # white noise has 1.4
    assert noisy[..., 2].min() >= 0
    assert noisy[..., 2].max() <= 1
    near, far = size < size.median(), size > size.quantile(0.9)
    assert noisy[..., 2][near].mean() > noisy[..., 2][far].mean()
    assert len(NOISE) == 17


@pytest.mark.parametrize("frames", [1, 2, 30, 243])
def test_any_length(frames):
    assert add_noise(torch.zeros(2, frames, 17, 2)).shape == (2, frames, 17, 3)
