"""Convolutional backbones from timm, as a list of feature maps."""

from collections.abc import Sequence
from difflib import get_close_matches

import torch
from torch import Tensor, nn

from cascadepose.errors import InputError
from cascadepose.models.folding import fold_norms

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Backbone(nn.Module):
    """A timm network cut to its feature pyramid.

    Takes RGB in 0..1 and normalises it itself, so that pixels stay pixels everywhere else.

    name: any timm name that supports `features_only`.
    levels: which of its feature levels to return (0 is the finest).
    frozen_stages: how many leading child modules of the network keep their weights (and run without a graph, which is
        what makes training on a CPU bearable; a gradient to the *pixels* then needs `frozen_stages=0`).
    frozen_norm: batch normalisation with constant statistics and affine part, for small batches and for folded weights.
    mean, std: of the pixels in 0..1 that the network was pre-trained with.
    pyramid: False returns one map, the one that the network's classifier would pool: for HRNet that of its
        classification head, which adds all resolutions up at stride 32 (Wang et al., TPAMI 2020, figure 4c).
    options: further keyword arguments of the timm constructor, e.g. {"pad_type": "same"}.
    folded: without batch normalisation, whose work the convolutions do; see `fold`.

    Raises InputError for a name that timm does not know.
    """

    def __init__(
        self,
        name: str,
        levels: Sequence[int] = (-1,),
        frozen_stages: int = 0,
        frozen_norm: bool = True,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        options: dict | None = None,
        pyramid: bool = True,
        folded: bool = False,
    ):
        super().__init__()
        self.config = {key: value for key, value in locals().items() if key not in ("self", "__class__")}
        import timm

        if ":" not in name and not timm.is_model(name):
            known = get_close_matches(name, timm.list_models(), 1)
            raise InputError(f"timm has no network {name!r}" + (f": did you mean {known[0]}?" if known else ""))
        self.pyramid = pyramid
        if pyramid:
            self._build_pyramid(name, levels, options or {})
        else:
            self.body = timm.create_model(name, pretrained=False, num_classes=0, **(options or {}))
            self._pick, self.channels = [0], [self.body.num_features]
            self.strides = [self.body.feature_info[-1]["reduction"]]
        self.frozen_norm = frozen_norm
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)
        if folded:
            self.fold()
        self.freeze(frozen_stages)

    def fold(self) -> None:
        """Let the convolutions do the work of the normalisation: the same function, faster; parameters change names."""
        fold_norms(self.body)

    def _build_pyramid(self, name: str, levels: Sequence[int], options: dict) -> None:
        import timm

        known = timm.create_model(name, features_only=True, pretrained=False, **options)
        count = len(known.feature_info.channels())
        self.levels = [level % count for level in levels]
        self.body = timm.create_model(
            name, features_only=True, pretrained=False, out_indices=sorted(set(self.levels)), **options
        )
        order = sorted(set(self.levels))
        self._pick = [order.index(level) for level in self.levels]
        self.channels = [self.body.feature_info.channels()[i] for i in self._pick]
        self.strides = [self.body.feature_info.reduction()[i] for i in self._pick]

    def freeze(self, stages: int) -> None:
        """Stop training the first `stages` children of the network (timm blocks count one by one)."""
        self.frozen_stages = stages
        for index, module in enumerate(self._stages()):
            module.requires_grad_(index >= stages)
        if self.frozen_norm:
            for norm in self._norms():
                norm.requires_grad_(False)

    def train(self, mode: bool = True) -> "Backbone":
        """Training mode; frozen normalisation, and all in frozen stages, keeps its statistics (DETR, appendix A.4)."""
        super().train(mode)
        for norm in self._norms(None if self.frozen_norm else self.frozen_stages):
            norm.eval()
        return self

    def _norms(self, stages: int | None = None) -> list[nn.Module]:
        """Normalisations of the first stages, or of all."""
        return [
            module
            for stage in self._stages()[:stages]
            for module in stage.modules()
            if isinstance(module, nn.BatchNorm2d)
        ]

    def _stages(self) -> list[nn.Module]:
        stages: list[nn.Module] = []
        for child in self.body.children():
            stages += list(child) if isinstance(child, nn.Sequential) else [child]
        return stages

    def forward(self, images: Tensor, mask: Tensor | None = None) -> list[Tensor]:
        """images [B, 3, H, W] in 0..1, mask [B, H, W] True = padding -> feature maps [B, C_l, H_l, W_l], one per level.

        Padding is zero *after* normalisation, as in DETR.
        """
        x = (images - self.mean) / self.std
        if mask is not None:
            x = x.masked_fill(mask[:, None], 0.0)
        features = self.body(x) if self.pyramid else [self.body.forward_features(x)]
        return [features[i] for i in self._pick]


def count_parameters(model: nn.Module) -> int:
    """How many numbers a model learned, as papers count: constants of frozen normalisation are not among them."""
    frozen = [backbone for backbone in model.modules() if isinstance(backbone, Backbone) and backbone.frozen_norm]
    constants = {id(p) for backbone in frozen for norm in backbone._norms() for p in norm.parameters()}
    return sum(p.numel() for p in model.parameters() if id(p) not in constants)
