"""PoseFormer: windows, baseline and ablations, what sees what, gradients, whole sequences."""

import numpy as np
import pytest
import torch

from cascadepose import models
from cascadepose.models.lifters.blocks import DropPath, drop_rates
from cascadepose.models.lifters.window import lift_sequence

SMALL = {"num_frames": 9, "embed_dim_ratio": 4, "depth": 2, "num_heads": 2}
FORMS = [
    pytest.param({}, id="full"),
    pytest.param({"spatial": False}, id="temporal only"),
    pytest.param({"spatial_embed": False}, id="no joint embedding"),
    pytest.param({"temporal_embed": False}, id="no frame embedding"),
    pytest.param({"spatial_embed": False, "temporal_embed": False}, id="no embedding"),
]


def make(**settings):
    """A small model whose position embeddings are not zero."""
    torch.manual_seed(0)
    model = models.build("poseformer", **(SMALL | settings)).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("_embed"):
            torch.nn.init.normal_(parameter)
    return model


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("frames", [1, 8, 9, 81])
def test_windows_of_any_size(frames, form):
    model = make(num_frames=frames, **form)
    assert model(torch.randn(2, frames, 17, 2)).shape == (2, 1, 17, 3)
    with pytest.raises(ValueError, match=f"takes {frames}"):
        model(torch.randn(2, frames + 1, 17, 2))


@pytest.mark.parametrize("form", FORMS)
def test_config_rebuilds_the_model(form):
    model = make(**form, in_channels=3, causal=True, frame_rate=25.0)
    again = models.build("poseformer", **model.config).eval()
    again.load_state_dict(model.state_dict())
    x = torch.randn(1, 9, 17, 3)
    assert torch.equal(again(x), model(x))
    assert (again.causal, again.frame_rate, again.in_channels) == (True, 25.0, 3)


@pytest.mark.parametrize("bad", [{"num_frames": 0}, {"num_heads": 3}, {"drop_path": 1.0}])
def test_bad_settings(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        make(**bad)


@pytest.mark.parametrize("form", FORMS)
def test_every_frame_and_joint_reaches_every_joint(form):
    model = make(**form)
    x = torch.randn(2, 9, 17, 2)
    for frame, joint in ((0, 16), (4, 0), (8, 5)):
        changed = x.clone()
        changed[0, frame, joint] += 1
        moved = (model(changed) - model(x)).abs().amax((1, 3))
        assert (moved[0] > 0).all()
        assert (moved[1] == 0).all()


def test_embeddings_tell_frames_and_joints_apart():
    """Without an embedding of the frames and their learned weights, their order is unknown; the joints' likewise."""
    x, order = torch.randn(1, 9, 17, 2), torch.randperm(9)
    baseline = make(spatial=False, temporal_embed=False)
    torch.testing.assert_close(baseline(x[:, order]), baseline(x))
    for model in (make(), make(spatial=False)):
        assert (model(x[:, order]) - model(x)).abs().max() > 1e-3
    joints = torch.randperm(17)
    blind, seeing = make(spatial_embed=False), make()
    permuted = blind.encode_frames(x).unflatten(-1, (17, 4))[:, :, joints].flatten(2)
    torch.testing.assert_close(blind.encode_frames(x[:, :, joints]), permuted)
    permuted = seeing.encode_frames(x).unflatten(-1, (17, 4))[:, :, joints].flatten(2)
    assert (seeing.encode_frames(x[:, :, joints]) - permuted).abs().max() > 1e-3


def test_ablations_leave_out_what_they_say():
    full = dict(make().named_parameters())
    for form, gone in (
        ({"spatial_embed": False}, "Spatial_pos_embed"),
        ({"temporal_embed": False}, "Temporal_pos_embed"),
    ):
        assert full.keys() - dict(make(**form).named_parameters()).keys() == {gone}
    baseline = dict(make(spatial=False).named_parameters())
    assert not any(name.startswith(("Spatial", "weighted_mean")) for name in baseline)
    assert baseline["Temporal_patch_to_embedding.weight"].shape == (68, 34)


@pytest.mark.parametrize("form", FORMS)
def test_every_parameter_gets_a_gradient(form):
    model = make(drop_path=0.0, **form).train()
    model(torch.randn(4, 9, 17, 2)).square().sum().backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert missing == []


@pytest.mark.parametrize("form", FORMS)
def test_gradcheck(form):
    model = make(num_frames=2, num_joints=2, depth=1, **form).double()
    x = torch.randn(1, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(model, x)


def test_drop_path():
    """Whole samples are dropped in training, the mean stays; nothing happens at inference."""
    torch.manual_seed(0)
    drop, x = DropPath(0.25), torch.ones(4000, 3)
    dropped = drop(x)
    assert dropped.unique().tolist() == pytest.approx([0, 4 / 3])
    assert torch.equal(dropped[:, 0], dropped[:, 2])
    assert dropped.mean().item() == pytest.approx(1, abs=0.05)
    assert drop.eval()(x) is x
    assert drop_rates(4, 0.3) == pytest.approx([0, 0.1, 0.2, 0.3])
    assert drop_rates(1, 0.3) == [0]


@pytest.mark.parametrize("kind", ["poseformer", "poseformerv2"])
@pytest.mark.parametrize("causal", [False, True])
def test_whole_sequences(kind, causal, rng):
    """One answer a frame, each from its own window with the end frames repeated, whatever the length."""
    extra = {"kept_frames": 3, "kept_coefficients": 5} if kind == "poseformerv2" else {}
    torch.manual_seed(0)
    model = models.build(kind, **SMALL, **extra, causal=causal)
    keypoints = rng.uniform(100, 300, (14, 17, 2)).astype(np.float32)
    scores, size = np.ones((14, 17), np.float32), (640, 480)
    joints = lift_sequence(model, keypoints, scores, size, flip_test=False)
    assert joints.shape == (14, 17, 3)
    assert np.abs(joints[:, 0]).max() == 0
    before = 8 if causal else 4
    for frame in (0, 6, 13):
        window = np.clip(np.arange(9) + frame - before, 0, 13)
        alone = lift_sequence(model, keypoints[window], scores[window], size, flip_test=False)
        np.testing.assert_allclose(joints[frame], alone[before], atol=1e-5)
    changed = keypoints.copy()
    changed[10] += 5
    moved = np.abs(lift_sequence(model, changed, scores, size, flip_test=False) - joints).max((1, 2)) > 0
    assert np.flatnonzero(moved).tolist() == list(range(10, 14) if causal else range(6, 14))


@pytest.mark.parametrize("kind", ["poseformer", "poseformerv2"])
def test_one_photograph(kind, rng):
    model = models.build(kind, num_frames=27, embed_dim_ratio=8, depth=1)
    joints = lift_sequence(model, rng.uniform(100, 300, (1, 17, 2)), np.ones((1, 17)), (640, 480), np.zeros(1))
    assert joints.shape == (1, 17, 3)
    assert np.isfinite(joints).all()
