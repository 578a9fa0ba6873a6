"""The keypoint transformer: crops in, joints out (PRTR, Li et al., CVPR 2021, sections 3.1 and 3.2)."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from cascadepose.models.backbone import Backbone
from cascadepose.models.deformable_pose import DeformableKeypointTransformer
from cascadepose.models.detector import resize_to
from cascadepose.models.heatmaps import HeatmapReference
from cascadepose.models.person_box import PersonBox
from cascadepose.models.position import build_position
from cascadepose.models.pretrained import Pretrained
from cascadepose.models.readout import read_assigned, read_ordered, spread_of
from cascadepose.models.transformer import MLP, Transformer, inverse_sigmoid, tokens
from cascadepose.skeletons import declaration, stated_skeleton


def as_list(value: int | Sequence[int] | None) -> list[int]:
    """One number, several or none as a list."""
    return [] if value is None else [value] if isinstance(value, int) else list(value)


class KeypointTransformer(nn.Module):
    """DETR's encoder-decoder over one crop; each query answers with a joint class, a place in the crop and its spread.

    in_channels: of the crop features.
    num_joints: K; class K, the last, is "no joint".
    num_queries: PRTR uses 100 for 17 joints.
    matching: how queries meet joints. "hungarian": any query may be any joint, in training and at readout (PRTR).
        "ordered": query j is joint j (as in TokenPose), the published remedy where data are few; needs `num_queries ==
        num_joints`.
    readout: "mlp" reads coordinates from the query alone (PRTR); "heatmap" first looks where in the crop the query's
        dot product with the pixels is high and lets the query correct that place (`heatmaps.HeatmapReference`).
    fine_channels: channels of the finer map that a heat-map readout looks at, or of several, from coarse to fine; 0 to
        look at the memory itself.
    position: "sine", "learned" or "sine+learned"; `size`: (height, width) in cells, which bounds the learned tables.
    input_norm: LayerNorm before the encoder, as every layer of it has behind it. Without, scores of the first attention
        are as large as the backbone's features make them, and the gradient through them is of no use.
    spread: False leaves out the head for the spread, which official PRTR does not have; a constant is then returned.
    person_box: look for the person's box in the crop as well (`person_box.PersonBox`); needs the heat-map readout.
    """

    def __init__(
        self,
        in_channels: int,
        num_joints: int = 17,
        d_model: int = 256,
        num_heads: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.0,
        num_queries: int = 100,
        matching: Literal["hungarian", "ordered"] = "hungarian",
        readout: Literal["mlp", "heatmap"] = "mlp",
        fine_channels: int | Sequence[int] = 0,
        heatmap_dim: int = 64,
        heatmap_sharpness: float = 1.0,
        heatmap_blocks: int = 0,
        position: str = "sine",
        size: tuple[int, int] = (50, 50),
        input_norm: bool = False,
        spread: bool = True,
        person_box: bool = False,
    ):
        super().__init__()
        if person_box and readout != "heatmap":
            raise ValueError('person_box needs readout "heatmap"')
        if matching not in ("hungarian", "ordered") or readout not in ("mlp", "heatmap"):
            raise ValueError(f'unknown matching "{matching}" or readout "{readout}"')
        if matching == "ordered" and num_queries != num_joints:
            raise ValueError(f"ordered matching needs one query a joint: {num_joints} joints, {num_queries} queries")
        self.config = {key: value for key, value in locals().items() if key not in ("self", "__class__")}
        self.num_joints = num_joints
        self.matching = matching
        self.input_proj = nn.Conv2d(in_channels, d_model, 1)
        self.input_norm = nn.LayerNorm(d_model) if input_norm else nn.Identity()
        self.position = build_position(position, d_model, tuple(size))
        self.transformer = Transformer(
            d_model, num_heads, num_encoder_layers, num_decoder_layers, dim_feedforward, dropout
        )
        self.query_embed = nn.Embedding(num_queries, d_model)
        self.class_embed = nn.Linear(d_model, num_joints + 1)
        self.kpt_embed = MLP(d_model, d_model, 2, 3)
        self.sigma_embed = nn.Linear(d_model, 2) if spread else None
        if self.sigma_embed is not None:
            nn.init.constant_(self.sigma_embed.bias, -2.0)
        self.heatmap: HeatmapReference | None = None
        if readout == "heatmap":
            levels = as_list(fine_channels or None)
            self.heatmap = HeatmapReference(d_model, levels, heatmap_dim, heatmap_sharpness, heatmap_blocks)
            nn.init.zeros_(self.kpt_embed.layers[-1].weight)
            nn.init.zeros_(self.kpt_embed.layers[-1].bias)
        self.person_box = PersonBox(d_model) if person_box else None

    def forward(self, features: Tensor, fine: Sequence[Tensor] = ()) -> dict:
        """Crop features [N, C, h, w] (and finer maps [N, C', h', w']) -> one prediction per query.

        Returns `pred_kpt_logits` [N, Qk, K+1], `pred_keypoints` [N, Qk, 2] in 0..1 of the crop, `pred_kpt_sigma` [N,
        Qk, 2]: the standard deviation of each coordinate in the same unit, `pred_heatmaps` [N, Qk, h', w'] logits (with
        a heat-map readout), the answers of `PersonBox` (where there is one), and `aux_outputs`: the same of every
        earlier decoder layer; with a heat-map readout only in training, for the maps are most of the work.
        """
        x = self.input_proj(features)
        mask = torch.zeros(x.shape[0], *x.shape[2:], dtype=torch.bool, device=x.device)
        queries = self.query_embed.weight
        if self.person_box is not None:
            queries = torch.cat([queries, self.person_box.queries.weight])
        hs, memory = self.transformer(self.input_norm(tokens(x)), tokens(self.position(mask)).to(x.dtype), queries)
        if self.heatmap is not None and not self.training:
            hs = hs[-1:]
        everyone, hs = hs, hs[:, :, : len(self.query_embed.weight)]
        logits, offsets = self.class_embed(hs), self.kpt_embed(hs)
        sigma = spread_of(hs, self.sigma_embed)
        layers: list[dict] = [{"pred_kpt_logits": a, "pred_kpt_sigma": b} for a, b in zip(logits, sigma, strict=True)]
        if self.heatmap is None:
            keypoints = offsets.sigmoid()
        else:
            heatmaps, reference = self.heatmap(everyone, memory.transpose(1, 2).unflatten(2, x.shape[2:]), fine)
            joints = hs.shape[2]
            keypoints = (inverse_sigmoid(reference[:, :, :joints]) + offsets).sigmoid()
            for layer, heat in zip(layers, heatmaps[:, :, :joints], strict=True):
                layer["pred_heatmaps"] = heat
            if self.person_box is not None:
                edges = everyone[:, :, joints:], heatmaps[:, :, joints:]
                for layer, found in zip(layers, self.person_box(*edges, self.sharpness), strict=True):
                    layer.update(found)
        for layer, points in zip(layers, keypoints, strict=True):
            layer["pred_keypoints"] = points
        return layers[-1] | {"aux_outputs": layers[:-1]}

    def read_joints(self, out: dict) -> tuple[Tensor, Tensor, Tensor]:
        """Predictions -> keypoints [N, K, 2], scores [N, K], sigma [N, K, 2]: one query for each joint.

        "hungarian": the assignment that maximises the sum of probabilities, with "no joint" left out of the softmax
        (PRTR's default). "ordered": query j, see `readout.read_ordered`.
        """
        return read_ordered(out) if self.matching == "ordered" else read_assigned(out)

    @property
    def sharpness(self) -> float:
        """What heat maps are multiplied with before places are read from them."""
        return 1.0 if self.heatmap is None else self.heatmap.sharpness


class KeypointEstimator(Pretrained, nn.Module):
    """Two-stage PRTR: a backbone of its own over image crops, then the keypoint transformer.

    backbone: keyword arguments of `Backbone`; input_levels: those of its levels that enter the transformer, resized to
        the first;
    fine_level: the level that a heat-map readout looks at, or several, from coarse to fine; None to do without.
    transformer: keyword arguments of `KeypointTransformer`, less the channel counts; with attention "deformable" those
        of `DeformableKeypointTransformer`, which takes every input level in its own resolution.
    crop_size: (height, width) in pixels that it was trained at.
    skeleton: the joints that it finds, by name or declaration (`skeletons.find_skeleton`), which then says how many
        they are; None for COCO-17, or MPII's of 16.
    """

    def __init__(
        self,
        backbone: dict,
        transformer: dict,
        crop_size: tuple[int, int] = (256, 192),
        input_levels: Sequence[int] = (-1,),
        fine_level: int | Sequence[int] | None = None,
        attention: Literal["full", "deformable"] = "full",
        skeleton: str | dict | None = None,
    ):
        super().__init__()
        if attention not in ("full", "deformable") or (attention == "deformable" and fine_level is not None):
            raise ValueError(f'attention "{attention}" with fine_level {fine_level}: use "full", or "deformable" alone')
        self.config = {key: value for key, value in locals().items() if key not in ("self", "__class__")}
        self.skeleton = stated_skeleton(skeleton, transformer.get("num_joints"))
        if skeleton is not None:
            self.config["skeleton"] = declaration(self.skeleton)  # weights must not need the file it may have come from
        transformer = transformer | {"num_joints": self.skeleton.num_joints}
        self.crop_size = tuple(crop_size)
        self.input_levels = list(input_levels)
        self.fine_levels = as_list(fine_level)
        self.backbone = Backbone(**backbone)
        self.attention = attention
        channels = [self.backbone.channels[i] for i in self.input_levels]
        self.transformer: KeypointTransformer | DeformableKeypointTransformer
        if attention == "deformable":
            self.transformer = DeformableKeypointTransformer(channels, **transformer)
        else:
            fine_channels = [self.backbone.channels[i] for i in self.fine_levels]
            self.transformer = KeypointTransformer(sum(channels), fine_channels=fine_channels, **transformer)

    def forward(self, crops: Tensor) -> dict:
        """crops [N, 3, h, w], RGB in 0..1 -> the outputs of `KeypointTransformer`."""
        if self.attention == "deformable":
            maps = self.backbone(crops)
            return self.transformer([maps[i] for i in self.input_levels])
        return self.transformer(*self._features(crops))

    def projected(self, crops: Tensor) -> list[Tensor]:
        """All that the full-attention transformer and its readout are told of crops [N, 3, h, w]: what enters it [N,
        d_model, h', w'], and the finer maps of a heat-map readout [N, heatmap_dim, h'', w''] each.
        """
        features, fine = self._features(crops)
        heatmap = self.transformer.heatmap
        return [self.transformer.input_proj(features), *([] if heatmap is None else heatmap.project(fine))]

    def _features(self, crops: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Crop features in the resolution of the first input level, and the finer maps."""
        maps = self.backbone(crops)
        chosen = [maps[i] for i in self.input_levels]
        features = torch.cat([resize_to(m, chosen[0].shape[-2:]) for m in chosen], dim=1)
        return features, [maps[i] for i in self.fine_levels]

    def read_joints(self, out: dict) -> tuple[Tensor, Tensor, Tensor]:
        """See `KeypointTransformer.read_joints`."""
        return self.transformer.read_joints(out)

    @property
    def sharpness(self) -> float:
        """See `KeypointTransformer.sharpness`; the deformable transformer has no heat maps."""
        return getattr(self.transformer, "sharpness", 1.0)
