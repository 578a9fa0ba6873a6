"""Recorded attention is the attention that ran: its weights times the values are what the layer gave."""

import pytest
import torch
from einops import rearrange
from torch.nn.functional import grid_sample, scaled_dot_product_attention

from cascadepose.models.deformable import DeformableAttention, DeformableDecoderLayer, sample
from cascadepose.models.lifters.blocks import Attention, DualStreamBlock
from cascadepose.models.recording import Attended, Sampled, record_attention
from cascadepose.models.transformer import MultiHeadAttention, Transformer


def mixed(call: Attended) -> torch.Tensor:
    """Weights times values, heads joined."""
    return rearrange(call.weights() @ call.value, "b h n c -> b n (h c)")


def outputs_of(model: torch.nn.Module, kinds: tuple) -> dict[str, list[torch.Tensor]]:
    """What each layer of these kinds gives, in order of its calls."""
    found: dict[str, list[torch.Tensor]] = {}
    for name, module in model.named_modules():
        if isinstance(module, kinds):
            module.register_forward_hook(lambda _, __, out, name=name: found.setdefault(name, []).append(out))
    return found


@torch.no_grad()
def test_encoder_and_decoder_of_detr():
    torch.manual_seed(0)
    model = Transformer(32, 4, 2, 3, 48).eval()
    outputs = outputs_of(model, (MultiHeadAttention,))
    x, pos, queries = torch.randn(2, 20, 32), torch.randn(2, 20, 32), torch.randn(5, 32)
    padding = torch.zeros(2, 20, dtype=torch.bool)
    padding[1, 14:] = True
    with record_attention(model) as calls:
        model(x, pos, queries, padding)
    assert calls.keys() == outputs.keys() and len(calls) == 2 + 3 * 2
    layers = dict(model.named_modules())
    for name, (call,) in calls.items():
        torch.testing.assert_close(layers[name].out_proj(mixed(call)), outputs[name][0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(call.weights().sum(-1), torch.ones(call.weights().shape[:-1]))
    cross = calls["decoder.layers.1.multihead_attn"][0].weights()
    assert cross.shape == (2, 4, 5, 20) and (cross[1, :, :, 14:] == 0).all() and (cross[0] > 0).all()
    torch.testing.assert_close(calls["decoder.layers.1.multihead_attn"][0].weights([3, 0]), cross[:, :, [3, 0]])


@torch.no_grad()
def test_lifter_blocks():
    torch.manual_seed(0)
    model = DualStreamBlock(24, 3, 2.0, spatial_first=True).eval()
    outputs = outputs_of(model, (Attention,))
    with record_attention(model) as calls:
        model(torch.randn(2, 7, 5, 24))
    assert calls["attn_s"][0].weights().shape == (2 * 7, 3, 5, 5)
    assert calls["attn_t"][0].weights().shape == (2 * 5, 3, 7, 7)
    for name, (call,) in calls.items():
        found = getattr(model, name).proj(mixed(call))
        torch.testing.assert_close(found, outputs[name][0], atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("coordinates", [2, 4])
def test_deformable_samples(coordinates):
    torch.manual_seed(0)
    layer = DeformableAttention(32, 4, num_levels=2, num_points=3)
    torch.nn.init.normal_(layer.sampling_offsets.weight, std=0.3)
    torch.nn.init.normal_(layer.attention_weights.weight, std=0.3)
    shapes = [(4, 6), (2, 3)]
    memory, query = torch.randn(2, 30, 32), torch.randn(2, 5, 32)
    reference = torch.rand(2, 5, 2, coordinates)
    with record_attention(layer, "") as calls:
        output = layer(query, reference, memory, shapes)
    (call,) = calls[""]
    assert (
        isinstance(call, Sampled)
        and call.places.shape == (2, 5, 4, 2, 3, 2)
        and call.weights.shape[:-1] == (*call.places.shape[:4],)
    )
    again = sample(layer.value_proj(memory), call.places, call.weights.flatten(-2), shapes)
    torch.testing.assert_close(layer.output_proj(again), output, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(call.weights.sum((-1, -2)), torch.ones(2, 5, 4))


@torch.no_grad()
def test_samples_of_a_decoder_layer_start_at_the_reference():
    """Freshly made, the points of every head lie around the reference on a line, all of one weight."""
    layer = DeformableDecoderLayer(32, 4, 48, 0.0)
    reference = torch.tensor([0.5, 0.5, 0.2, 0.4]).expand(1, 3, 1, 4)
    with record_attention(layer, "cross_attn") as calls:
        layer(torch.zeros(1, 3, 32), torch.randn(1, 3, 32), reference, torch.randn(1, 48, 32), [(8, 6)])
    assert list(calls) == ["cross_attn"]
    (call,) = calls["cross_attn"]
    torch.testing.assert_close(call.places.mean((2, 4))[0, 0, 0], torch.tensor([0.5, 0.5]), atol=1e-5, rtol=0)
    assert (call.places[..., 0] - 0.5).abs().max() <= 0.1 + 1e-6 and (call.weights == 0.25).all()


@torch.no_grad()
def test_nothing_is_left_behind():
    model = Transformer(32, 4, 1, 1, 48).eval()
    x, queries = torch.randn(1, 6, 32), torch.randn(2, 32)
    before = model(x, x, queries)[0]
    with record_attention(model, "encoder.*") as calls:
        inside = model(x, x, queries)[0]
        model(x, x, queries)
    assert list(calls) == ["encoder.layers.0.self_attn"] and len(calls["encoder.layers.0.self_attn"]) == 2
    assert torch.equal(before, inside) and torch.equal(before, model(x, x, queries)[0])
    assert len(calls["encoder.layers.0.self_attn"]) == 2
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_what_is_not_there_is_named_and_errors_leave_no_hooks():
    model = Transformer(32, 4, 1, 1, 48)
    words = r'"decoder\.layers\.7\..*there are: encoder\.layers\.0'
    with pytest.raises(ValueError, match=words), record_attention(model, "decoder.layers.7.*"):
        pass
    with pytest.raises(RuntimeError), record_attention(model) as calls:
        model(torch.zeros(1, 6, 32), torch.zeros(1, 5, 32), torch.zeros(2, 32))
    assert not calls and not any(module._forward_hooks for module in model.modules())


def test_other_calls_of_the_same_functions_pass():
    """Attention and sampling outside of the watched layers are not theirs."""
    model = Transformer(32, 4, 1, 1, 48)
    with record_attention(model) as calls:
        scaled_dot_product_attention(torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 3, 4))
        grid_sample(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 1, 2), align_corners=False)
    assert calls == {}
