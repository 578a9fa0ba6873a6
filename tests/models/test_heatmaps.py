"""Heat maps of queries: what all cells share moves nothing, and bfloat16 learns what float32 does."""

import pytest
import torch

from cascadepose.models.heatmaps import HeatmapReference, _products


@pytest.fixture
def reference():
    """A readout at two resolutions whose query and pixels share a large part, as they do after a long training."""
    torch.manual_seed(0)
    reference = HeatmapReference(32, [16, 8], 16, sharpness=3.0, blocks=1)
    with torch.no_grad():
        shared = torch.randn(16)
        reference.mix[-1].bias += 5 * shared
        reference.query.layers[-1].bias += 200 * shared
    return reference


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(1)
    shapes = (2, 3, 5, 32), (3, 32, 4, 3), (3, 16, 8, 6), (3, 8, 16, 12)
    hs, memory, *fine = (torch.randn(shape, generator=generator) for shape in shapes)
    return hs, memory, fine


def test_places_are_those_of_the_whole_products(reference, inputs):
    """What training subtracts is the same for all cells."""
    reference = reference.double()
    hs, memory, fine = inputs
    inputs = hs.double(), memory.double(), [level.double() for level in fine]
    taught = reference.train()(*inputs)[0]
    used = reference.eval()(*inputs)[0]
    assert used.mean().abs() > 10 * used.std((-2, -1)).mean(), "the shared part is most of the logits"
    torch.testing.assert_close(taught.flatten(-2).softmax(-1), used.flatten(-2).softmax(-1))
    torch.testing.assert_close(taught.mean((-2, -1)), torch.zeros_like(taught[..., 0, 0]), atol=1e-6, rtol=0)


def test_under_autocast_products_keep_their_digits():
    """In bfloat16 a logit of 300 is told from 301 and no finer."""
    generator = torch.Generator().manual_seed(1)
    queries, pixels = torch.randn(2, 1, 4, 16, generator=generator) * 50, torch.randn(1, 16, 8, 6, generator=generator)
    exact = _products(queries, pixels)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = torch.einsum("lnqc,nchw->lnqhw", queries, pixels)
        torch.testing.assert_close(_products(queries, pixels), exact)
    assert exact.abs().max() > 300
    assert (rounded - exact).abs().max() > 0.5, "what this is about"


def test_bfloat16_reads_the_places_that_float32_does(reference, inputs):
    """The shared part is taken off while pixels still have digits."""
    reference.train()
    exact = reference(*inputs)[1]
    with torch.autocast("cpu", torch.bfloat16):
        logits, places = reference(*inputs)
    assert logits.dtype == torch.float32
    assert (places - exact).abs().mean() < 0.03
