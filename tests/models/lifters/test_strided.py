"""Strided Transformer: lengths, both outputs, gradients, whole sequences."""

import numpy as np
import pytest
import torch

from cascadepose import models
from cascadepose.models.lifters.strided import StdNorm
from cascadepose.models.lifters.window import lift_sequence

SMALL = {"num_frames": 9, "strides": [3, 3], "dim": 16, "hidden": 24, "depth": 1, "num_heads": 2}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return models.build("strided", **SMALL).eval()


def test_both_outputs(model):
    x = torch.randn(2, 9, 17, 2)
    center, full = model(x, both=True)
    assert center.shape == (2, 1, 17, 3)
    assert full.shape == (2, 9, 17, 3)
    assert torch.equal(model(x), center)
    twin = models.build("strided", **SMALL, frames_out="all").eval()
    twin.load_state_dict(model.state_dict())
    torch.testing.assert_close(twin(x), full)
    assert twin(x[:, :4]).shape == (2, 4, 17, 3)


@pytest.mark.parametrize(
    "frames, strides", [(9, [1, 3, 3]), (27, [3, 9]), (16, [2, 2, 2, 2]), (25, [3, 9]), (1, [1]), (243, [3] * 5)]
)
def test_any_strides(frames, strides):
    model = models.build("strided", **(SMALL | {"num_frames": frames, "strides": strides})).eval()
    assert model(torch.randn(1, frames, 17, 2)).shape == (1, 1, 17, 3)


@pytest.mark.parametrize(
    "bad, message",
    [
        ({"strides": [3]}, "leave 3 tokens"),
        ({"strides": []}, "leave 9 tokens"),
        ({"positions": -1}, "negative"),
        ({"frames_out": "first"}, "frames_out"),
        ({"num_heads": 3}, "num_heads"),
    ],
)
def test_bad_settings(bad, message):
    with pytest.raises(ValueError, match=message):
        models.build("strided", **(SMALL | bad))


@pytest.mark.parametrize("frames", [8, 10])
def test_windows_of_another_length(model, frames):
    with pytest.raises(ValueError, match="num_frames=9"):
        model(torch.zeros(1, frames, 17, 2))


@pytest.mark.parametrize("frames, strides", [(16, [2, 2, 2, 2]), (16, [4, 4])])
def test_three_position_tables(frames, strides):
    """As published: in a longer stack only three layers know where they are, in a shorter one a table is idle."""
    model = models.build("strided", **(SMALL | {"num_frames": frames, "strides": strides, "positions": 3})).eval()
    assert len(model.ste.pos_embeds) == 3
    assert [p.requires_grad for p in model.ste.pos_embeds] == [i < len(strides) for i in range(3)]
    again = models.build("strided", **model.config).eval()
    again.load_state_dict(model.state_dict())
    x = torch.randn(1, 16, 17, 2)
    assert torch.equal(again(x), model(x))


def test_norm_is_not_layer_norm():
    x = torch.randn(3, 16)
    ours, standard = StdNorm(16)(x), torch.nn.functional.layer_norm(x, (16,))
    torch.testing.assert_close(ours, standard * (15 / 16) ** 0.5, atol=1e-4, rtol=0)


def test_every_trained_parameter_gets_a_gradient(model):
    model.train()
    center, full = model(torch.randn(4, 9, 17, 2), both=True)
    (center.square().sum() + full.square().sum()).backward()
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    # a bias before a batch norm moves nothing; the keys' bias does not change a softmax
    assert [name for name, p in trained if p.grad is None] == []
    assert [name for name, p in model.named_parameters() if not p.requires_grad] == [
        f"{part}.norm.{leaf}" for part in ("vte", "ste") for leaf in ("weight", "bias")
    ]


def test_whole_sequences(rng):
    keypoints = rng.uniform(100, 300, (12, 17, 2)).astype(np.float32)
    scores = np.ones((12, 17), np.float32)
    torch.manual_seed(0)
    for frames_out in ("center", "all"):
        lifter = models.build("strided", **SMALL, frames_out=frames_out)
        joints = lift_sequence(lifter, keypoints, scores, (640, 480))
        assert joints.shape == (12, 17, 3)
        assert np.isfinite(joints).all()


def test_gradcheck():
    """The graph is whole from the joints back to the keypoints."""
    settings = {"num_frames": 3, "strides": [3], "dim": 4, "hidden": 4, "depth": 1, "num_heads": 2, "num_joints": 3}
    torch.manual_seed(0)
    model = models.build("strided", **settings).double().eval()
    x = torch.randn(1, 3, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: model(x, both=True), x)
