import pytest
import torch

from cascadepose.models.backbone import Backbone


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
