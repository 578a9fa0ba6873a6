import pytest
import torch

from cascadepose.models.backbone import Backbone
from cascadepose.models.folding import estimate_norms


@pytest.mark.parametrize(
    ("name", "levels"), [("mobilenetv2_050", [2, 4]), ("resnet18", [1, 4]), ("mobilenetv3_small_050", [2, 4])]
)
def test_a_folded_backbone_is_the_same_function(name, levels):
    torch.manual_seed(0)
    plain = Backbone(name, levels).double().eval()
    for norm in plain._norms():
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
        torch.nn.init.normal_(norm.bias, std=0.1)
        norm.running_mean.normal_(std=0.1)
        norm.running_var.uniform_(0.5, 1.5)
    images = torch.rand(2, 3, 64, 96, dtype=torch.float64)
    expected = plain(images)
    plain.fold()
    assert not plain._norms()
    again = Backbone(name, levels, folded=True).double().eval()
    again.load_state_dict(plain.state_dict())
    for model in (plain, again):
        for found, wanted in zip(model(images), expected, strict=True):
            torch.testing.assert_close(found, wanted, atol=1e-8, rtol=1e-8)


def test_a_folded_backbone_can_be_frozen_and_trained():
    backbone = Backbone("mobilenetv2_050", [2, 4], frozen_stages=3, folded=True).train()
    sum(level.square().mean() for level in backbone(torch.rand(1, 3, 64, 64))).backward()
    frozen = [p for stage in backbone._stages()[:3] for p in stage.parameters()]
    assert frozen and all(p.grad is None for p in frozen)
    assert all(p.grad is not None for p in backbone._stages()[-1].parameters())


@pytest.fixture
def uneven():
    """A backbone as folded weights are: its normalisation does nothing, and channels differ ten times in size."""
    torch.manual_seed(0)
    backbone = Backbone("mobilenetv2_050", [2, 4], frozen_norm=False).double()
    for module in backbone.body.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.weight.data *= 10 ** torch.empty(len(module.weight), 1, 1, 1).uniform_(-0.5, 0.5)
    for norm in backbone._norms():
        torch.nn.init.normal_(norm.bias, std=0.5)
    return backbone


def test_estimated_statistics_change_no_answer(uneven):
    images = torch.rand(6, 3, 64, 96, dtype=torch.float64)
    expected = uneven.eval()(images)
    assert estimate_norms(uneven.train(), images.split(2)) == len(uneven._norms())
    assert uneven.training
    for found, wanted in zip(uneven.eval()(images), expected, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-8, rtol=1e-8)


def test_estimated_statistics_are_those_of_the_pictures(uneven):
    images = torch.rand(6, 3, 64, 96, dtype=torch.float64)
    estimate_norms(uneven, images.split(2))
    expected = uneven.eval()(images)
    for found, wanted in zip(uneven.train()(images), expected, strict=True):  # normalised by the batch itself
        torch.testing.assert_close(found, wanted, atol=1e-3, rtol=1e-2)


def test_a_channel_that_says_nothing_keeps_its_kernel(uneven):
    stem = uneven.body.conv_stem
    stem.weight.data[3] *= 1e-9
    kernel = stem.weight.data[3].clone()
    estimate_norms(uneven, [torch.rand(2, 3, 64, 96, dtype=torch.float64)])
    assert torch.equal(stem.weight.data[3], kernel)
    assert not torch.isclose(stem.weight.data[4].norm(), kernel.norm())


def test_a_folded_backbone_has_no_statistics():
    assert estimate_norms(Backbone("mobilenetv2_050", [4], folded=True), [torch.rand(1, 3, 64, 64)]) == 0
