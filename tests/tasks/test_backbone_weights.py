"""Backbones start from timm networks that were pre-trained on pictures."""

import pytest
import timm
import torch
from safetensors.torch import save_file

from cascadepose.errors import InputError
from cascadepose.models.backbone import Backbone
from cascadepose.tasks.common import load_backbone

LITE = "tf_efficientnet_lite0"


@pytest.fixture(scope="module")
def network():
    """timm's network with statistics of its own in every normalisation."""
    torch.manual_seed(0)
    network = timm.create_model(LITE)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    return network.eval()


@pytest.fixture
def tensors(network):
    return network.state_dict()


def save(tensors, path):
    """As a file of its suffix's kind."""
    if path.suffix == ".safetensors":
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    else:
        torch.save(tensors, path)
    return str(path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_features_are_those_of_the_network(network, tensors, suffix, tmp_path):
    backbone = Backbone(LITE, levels=[4], mean=[0.5] * 3, std=[0.5] * 3)
    load_backbone(backbone, save(tensors, tmp_path / f"weights{suffix}"), freeze_stages=0)
    pictures = torch.rand(1, 3, 64, 64)
    body = network.blocks(network.bn1(network.conv_stem(pictures * 2 - 1)))
    torch.testing.assert_close(backbone.eval()(pictures)[0], body)


def test_a_folded_backbone_takes_them_folded(tensors, tmp_path):
    path, pictures = save(tensors, tmp_path / "weights.pth"), torch.rand(1, 3, 64, 64)
    plain, folded = Backbone(LITE, levels=[4]), Backbone(LITE, levels=[4], folded=True)
    for backbone in (plain, folded):
        load_backbone(backbone, path, freeze_stages=2)
    torch.testing.assert_close(folded.eval()(pictures)[0], plain.eval()(pictures)[0], rtol=1e-3, atol=1e-4)
    assert not any(parameter.requires_grad for parameter in folded.body.conv_stem.parameters())
    assert all(parameter.requires_grad for parameter in folded.body.blocks[-1].parameters())


def test_a_network_cut_short_leaves_further_blocks_out(tensors, tmp_path):
    backbone = Backbone(LITE, levels=[2])
    load_backbone(backbone, save(tensors, tmp_path / "weights.pth"), freeze_stages=0)
    assert backbone.strides == [8]


@pytest.mark.parametrize(("spoil", "message"), [("other", "shapes differ"), ("part", "tensors missing")])
def test_a_file_that_does_not_fit(tensors, spoil, message, tmp_path):
    if spoil == "part":
        tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith("blocks.3.")}
    path = save(tensors, tmp_path / "weights.pth")
    backbone = Backbone("tf_efficientnet_lite2" if spoil == "other" else LITE)
    with pytest.raises(InputError, match=message):
        load_backbone(backbone, path, freeze_stages=0)


@pytest.mark.parametrize("content", [None, b"not weights"])
def test_a_file_that_cannot_be_read(content, tmp_path):
    path = tmp_path / "weights.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=path.name):
        load_backbone(Backbone(LITE), str(path), freeze_stages=0)
