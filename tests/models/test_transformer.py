import pytest
import torch
from torch import nn

from cascadepose.models.position import PositionEmbeddingLearned, PositionEmbeddingSine
from cascadepose.models.transformer import MultiHeadAttention, Transformer, inverse_sigmoid


@pytest.mark.parametrize("same", [True, False])
def test_attention_equals_torch_with_the_same_tensors(same):
    torch.manual_seed(0)
    ours, theirs = MultiHeadAttention(32, 4), nn.MultiheadAttention(32, 4, batch_first=True)
    ours.load_state_dict(theirs.state_dict())
    key = torch.randn(2, 7, 32)
    query = key if same else torch.randn(2, 5, 32)
    value = torch.randn(2, 7, 32)
    padding = torch.zeros(2, 7, dtype=torch.bool)
    padding[1, 4:] = True
    expected, _ = theirs(query, key, value, key_padding_mask=padding)
    torch.testing.assert_close(ours(query, key, value, padding), expected, atol=1e-6, rtol=1e-5)


def test_padding_changes_nothing():
    torch.manual_seed(0)
    model = Transformer(32, 4, 2, 2, 64).eval()
    x, pos, queries = torch.randn(1, 6, 32), torch.randn(1, 6, 32), torch.randn(5, 32)
    hs, memory = model(x, pos, queries)
    garbage = torch.randn(1, 3, 32) * 10
    padding = torch.tensor([[False] * 6 + [True] * 3])
    hs_padded, memory_padded = model(torch.cat([x, garbage], 1), torch.cat([pos, garbage], 1), queries, padding)
    torch.testing.assert_close(hs_padded, hs, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(memory_padded[:, :6], memory, atol=1e-5, rtol=1e-4)
    assert hs.shape == (2, 1, 5, 32)


def test_more_heads_than_channels_is_an_error():
    with pytest.raises(ValueError, match="cannot be split"):
        MultiHeadAttention(30, 4)


def test_sine_position_depends_on_the_valid_part_only():
    position = PositionEmbeddingSine(16)
    alone = position(torch.zeros(1, 4, 5, dtype=torch.bool))
    mask = torch.ones(1, 6, 9, dtype=torch.bool)
    mask[:, :4, :5] = False
    torch.testing.assert_close(position(mask)[:, :, :4, :5], alone)


def test_sine_position_is_y_then_x():
    waves = PositionEmbeddingSine(16)(torch.zeros(1, 4, 5, dtype=torch.bool))
    assert waves[0, :8].std(dim=-1).max() < 1e-6  # the first half is the same along x
    assert waves[0, 8:].std(dim=-2).max() < 1e-6


def test_learned_position_names_a_map_that_does_not_fit():
    with pytest.raises(ValueError, match="does not fit"):
        PositionEmbeddingLearned(16, (4, 4))(torch.zeros(1, 5, 4, dtype=torch.bool))


def test_inverse_sigmoid():
    x = torch.linspace(0.01, 0.99, 9, dtype=torch.float64)
    torch.testing.assert_close(inverse_sigmoid(x).sigmoid(), x)
    assert torch.isfinite(inverse_sigmoid(torch.tensor([0.0, 1.0]))).all()
