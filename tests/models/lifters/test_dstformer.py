"""DSTformer: shapes, frames and joints that see each other, configuration, gradients."""

import pytest
import torch

from cascadepose import models

SMALL = {"dim": 16, "depth": 2, "num_heads": 2, "dim_rep": 24, "maxlen": 9}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return models.build("dstformer", **SMALL).eval()


@pytest.mark.parametrize("frames", [1, 5, 9])
def test_shapes(model, frames):
    x = torch.randn(2, frames, 17, 3)
    assert model(x).shape == (2, frames, 17, 3)
    assert model.get_representation(x).shape == (2, frames, 17, 24)


def test_too_many_frames(model):
    with pytest.raises(ValueError, match="maxlen=9"):
        model(torch.zeros(1, 10, 17, 3))


def test_config_rebuilds_the_model(model):
    again = models.build("dstformer", **model.config).eval()
    again.load_state_dict(model.state_dict())
    x = torch.randn(1, 9, 17, 3)
    assert torch.equal(again(x), model(x))


@pytest.mark.parametrize("bad", [{"num_frames": 10}, {"num_frames": 0}, {"num_heads": 3}])
def test_bad_settings(bad):
    with pytest.raises(ValueError, match=r"num_frames|num_heads"):
        models.build("dstformer", **(SMALL | bad))


def test_every_frame_and_joint_sees_every_other(model):
    """A change in one joint of frame 3 reaches all joints of all frames, and no other item of the batch."""
    x = torch.randn(2, 9, 17, 3)
    changed = x.clone()
    changed[0, 3, 5] += 1
    moved = (model(changed) - model(x)).abs().amax(-1)
    assert (moved[0] > 0).all()
    assert (moved[1] == 0).all()


def test_frames_are_not_joints(model):
    """Time and joints are different axes: permuting frames is not the same as permuting joints."""
    x = torch.randn(1, 9, 17, 3)
    order = torch.arange(8, -1, -1)
    assert not torch.allclose(model(x[:, order]), model(x)[:, order], atol=1e-4)


def test_streams_are_averaged_at_first(model):
    """The gates start at one half each, so a fresh model equals its mean-fusion twin."""
    twin = models.build("dstformer", **SMALL, att_fuse=False).eval()
    twin.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("ts_attn")})
    x = torch.randn(1, 9, 17, 3)
    torch.testing.assert_close(twin(x), model(x))


def test_every_parameter_gets_a_gradient(model):
    model.train()
    model(torch.randn(2, 9, 17, 3)).square().sum().backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert missing == []


def test_gradcheck():
    torch.manual_seed(0)
    model = models.build("dstformer", dim=4, depth=1, num_heads=2, dim_rep=4, maxlen=2, num_joints=3).double()
    x = torch.randn(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(model, x)


def test_a_causal_model_does_not_look_ahead():
    """A change in frame 5 reaches every joint from frame 5 on, and gradients of frame 5 come from frames until 5."""
    torch.manual_seed(0)
    model = models.build("dstformer", **SMALL, causal=True).eval()
    assert (model.causal, model.config["causal"], model.context) == (True, True, 6)
    x = torch.randn(2, 9, 17, 3, requires_grad=True)
    changed = x.detach().clone()
    changed[:, 5, 3] += 1
    answer = model(x)
    moved = (model(changed) - answer).abs().amax(-1)
    assert (moved[:, :5] == 0).all()
    assert (moved[:, 5:] > 0).all()
    answer[:, 5].square().sum().backward()
    reached = x.grad.abs().amax((0, 2, 3))
    assert (reached[:6] > 0).all()
    assert (reached[6:] == 0).all()
    torch.testing.assert_close(model(x[:, :4]), answer[:, :4])  # a window cut short says the same


def test_weights_from_before_there_was_a_causal_form(model):
    old = {key: value for key, value in model.config.items() if key != "causal"}
    again = models.build("dstformer", **old).eval()
    again.load_state_dict(model.state_dict())
    x = torch.randn(1, 9, 17, 3)
    assert torch.equal(again(x), model(x))
    assert (again.causal, again.context) == (False, 0)
