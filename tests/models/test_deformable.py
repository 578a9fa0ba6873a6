"""Deformable attention against a plain loop over queries, heads, levels and points."""

import torch

from cascadepose.models.deformable import DeformableAttention, sample
from cascadepose.models.proposals import Proposals, RefiningDecoder

SHAPES = [(5, 7), (3, 4)]
TOKENS = sum(h * w for h, w in SHAPES)


def bilinear(image: torch.Tensor, x: float, y: float) -> torch.Tensor:
    """image [C, h, w] at (x, y) in 0..1; cells outside count as zero."""
    height, width = image.shape[1:]
    column, row = x * width - 0.5, y * height - 0.5
    total = image.new_zeros(len(image))
    for r in (int(row // 1), int(row // 1) + 1):
        for c in (int(column // 1), int(column // 1) + 1):
            if 0 <= r < height and 0 <= c < width:
                total = total + image[:, r, c] * (1 - abs(row - r)) * (1 - abs(column - c))
    return total


def test_sample_equals_a_plain_loop():
    torch.manual_seed(0)
    batch, queries, heads, points, dim = 2, 3, 2, 4, 6
    value = torch.randn(batch, TOKENS, dim, dtype=torch.float64)
    places = torch.rand(batch, queries, heads, len(SHAPES), points, 2, dtype=torch.float64) * 1.4 - 0.2
    weights = torch.rand(batch, queries, heads, len(SHAPES) * points, dtype=torch.float64)
    found = sample(value, places, weights, SHAPES)
    part = dim // heads
    for b in range(batch):
        for q in range(queries):
            for h in range(heads):
                total, start = torch.zeros(part, dtype=torch.float64), 0
                for level, (rows, columns) in enumerate(SHAPES):
                    tokens = value[b, start : start + rows * columns, h * part : (h + 1) * part]
                    image = tokens.T.reshape(part, rows, columns)
                    start += rows * columns
                    for p in range(points):
                        place = places[b, q, h, level, p].tolist()
                        total += weights[b, q, h, level * points + p] * bilinear(image, *place)
                torch.testing.assert_close(found[b, q, h * part : (h + 1) * part], total)


def test_gradients_reach_queries_references_and_memory():
    torch.manual_seed(0)
    attention = DeformableAttention(8, 2, len(SHAPES), 2).double()
    inputs = (
        torch.randn(1, 2, 8, dtype=torch.float64, requires_grad=True),
        (torch.rand(1, 2, len(SHAPES), 4, dtype=torch.float64) * 0.5 + 0.2).requires_grad_(),
        torch.randn(1, TOKENS, 8, dtype=torch.float64, requires_grad=True),
    )
    assert torch.autograd.gradcheck(lambda q, r, m: attention(q, r, m, SHAPES), inputs)


def test_padding_is_read_as_zero():
    torch.manual_seed(0)
    attention = DeformableAttention(8, 2, 1, 2)
    query, reference = torch.randn(1, 3, 8), torch.rand(1, 3, 1, 2)
    memory, padding = torch.randn(1, 35, 8), torch.zeros(1, 35, dtype=torch.bool)
    padding[:, 20:] = True
    changed = memory.clone()
    changed[:, 20:] = 100
    a, b = (attention(query, reference, m, [(5, 7)], padding) for m in (memory, changed))
    torch.testing.assert_close(a, b)


def test_an_untrained_decoder_keeps_its_references():
    torch.manual_seed(0)
    proposals, decoder = Proposals(32, 2), RefiningDecoder(2, 32, 4, 64)
    memory, mask = torch.randn(2, 30, 32), torch.zeros(2, 5, 6, dtype=torch.bool)
    logits, boxes = proposals(memory, mask)
    content, reference = proposals.select(memory, logits, boxes, mask, 4)
    _, refined = decoder(content, reference, memory, mask)
    torch.testing.assert_close(refined, reference.expand(2, -1, -1, -1))
    assert logits.softmax(-1)[..., 0].mean() < 0.05
