"""Batch normalisation folded into the convolution before it, and normalisation that starts from statistics of pictures.

A frozen normalisation (DETR, appendix A.4) only scales and shifts channels, so the convolution can do it: the same
function in fewer steps. On a CPU that saves about a quarter of a small backbone's time, in training and at inference.

Folded weights have no scale that training could rely on: kernels of MobileNetV2's channels differ by a factor of
hundreds, so that one rate is too high for some and too low for others. `estimate_norms` normalises them again.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

SILENT = 0.01  # a channel whose spread is a smaller share of its layer's median keeps its kernel


def fold_norms(network: nn.Module) -> int:
    """Fold every batch normalisation that directly follows a convolution, in place; returns how many.

    What follows in a module's list of children is taken to follow in its forward pass, which holds for timm's networks
    (tests compare outputs). An activation inside the normalisation (timm) stays in its place. The network must be in
    eval mode, or its normalisation frozen.
    """
    found = list(_pairs(network))
    for module, (conv_name, conv), (norm_name, norm) in found:
        trained = conv.weight.requires_grad
        fused = fuse_conv_bn_eval(conv.eval(), norm.eval())
        setattr(module, conv_name, fused.requires_grad_(trained))
        setattr(module, norm_name, getattr(norm, "act", nn.Identity()))
    return len(found)


@torch.no_grad()
def estimate_norms(network: nn.Module, batches: Iterable[Tensor]) -> int:
    """Give normalisations that directly follow a convolution the statistics of pictures, in place, and kernels such
    that every channel's spread before it is 1; returns how many. What the network answers in eval mode stays the same.

    network: with `BatchNorm2d` of any statistics, such as those of folded weights (mean 0, variance 1).
    batches: what the network takes.
    """
    found = [(conv, norm) for _, (_, conv), (_, norm) in _pairs(network)]
    moments = [_Moments() for _ in found]
    hooks = [conv.register_forward_hook(each.add) for (conv, _), each in zip(found, moments, strict=True)]
    mode = network.training
    network.eval()
    for batch in batches:
        network(batch)
    network.train(mode)
    for hook, (conv, norm), each in zip(hooks, found, moments, strict=True):
        hook.remove()
        _normalize(conv, norm, *each.read())
    return len(found)


def _pairs(network: nn.Module) -> Iterator[tuple[nn.Module, tuple[str, nn.Conv2d], tuple[str, nn.BatchNorm2d]]]:
    """Modules of the network with a convolution and the normalisation behind it, each by its name in the module."""
    for module in list(network.modules()):
        for (conv_name, conv), (norm_name, norm) in pairwise(list(module.named_children())):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                yield module, (conv_name, conv), (norm_name, norm)


class _Moments:
    """Sums over what a convolution answers, per channel; in float64, for a channel's mean may be far from zero."""

    def __init__(self):
        self.count, self.first, self.second = 0, torch.zeros(()), torch.zeros(())

    def add(self, _conv: nn.Module, _inputs: tuple, output: Tensor) -> None:
        """A forward hook; output [B, C, h, w]."""
        values = output.double()
        self.count += values[:, 0].numel()
        self.first = self.first.to(values) + values.sum((0, 2, 3))
        self.second = self.second.to(values) + values.square().sum((0, 2, 3))

    def read(self) -> tuple[Tensor, Tensor]:
        """Mean [C] and standard deviation [C]."""
        mean = self.first / self.count
        return mean, (self.second / self.count - mean.square()).clamp(min=0).sqrt()


def _normalize(conv: nn.Conv2d, norm: nn.BatchNorm2d, mean: Tensor, std: Tensor) -> None:
    """The same function with these statistics of what the convolution answers."""
    size = torch.where(std < SILENT * std.median(), 1.0, std)
    variance = (std / size).square()
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    norm.bias.add_((mean - norm.running_mean) * scale)
    norm.weight.copy_(scale * size * (variance + norm.eps).sqrt())
    norm.running_mean.copy_(mean / size)
    norm.running_var.copy_(variance)
    conv.weight.div_(size[:, None, None, None])
    if conv.bias is not None:
        conv.bias.div_(size)
