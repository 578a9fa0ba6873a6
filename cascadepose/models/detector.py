"""DETR as a person detector."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cascadepose.models.backbone import Backbone
from cascadepose.models.finer import FinerMemory
from cascadepose.models.image_batch import ImageBatch, outside
from cascadepose.models.position import build_position
from cascadepose.models.pretrained import Pretrained
from cascadepose.models.proposals import Proposals, RefiningDecoder, start_unsure
from cascadepose.models.transformer import MLP, Transformer, tokens


class PersonDetector(Pretrained, nn.Module):
    """Backbone, transformer and two heads (DETR, Carion et al., ECCV 2020).

    backbone: keyword arguments of `Backbone`.
    input_levels: which of the backbone's returned levels enter the transformer; more than one are resized to the first
        and concatenated. DETR: the last one only.
    num_logits: classes plus "no object", which is the last (2 for person / nobody; 92 for COCO's official head).
    queries: "learned" is DETR's table of `num_queries` embeddings; "proposals" starts from the image (see
        `proposals.py`).
    input_norm: LayerNorm before the encoder, see `keypoints.KeypointTransformer`.
    fine_level: one of the backbone's returned levels, finer than those; proposals and the decoder then look at its
        cells (see `finer.py`). For queries "proposals".
    grouped: at inference, run the backbone once for each image size instead of on the padded batch, so that an image's
        answer does not depend on its neighbours. Off for parity with the official code, which pads.
    """

    def __init__(
        self,
        backbone: dict,
        input_levels: Sequence[int] = (-1,),
        d_model: int = 256,
        num_heads: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.0,
        num_queries: int = 100,
        num_logits: int = 2,
        queries: str = "learned",
        position: str = "sine",
        grouped: bool = True,
        fine_level: int | None = None,
        input_norm: bool = False,
    ):
        super().__init__()
        if queries not in ("learned", "proposals"):
            raise ValueError(f'unknown queries "{queries}": use "learned" or "proposals"')
        if fine_level is not None and queries == "learned":
            raise ValueError('fine_level is for queries "proposals": learned queries look at the encoder\'s tokens')
        self.config = {key: value for key, value in locals().items() if key not in ("self", "__class__")}
        self.backbone = Backbone(**backbone)
        self.input_levels = list(input_levels)
        self.num_queries = num_queries
        self.grouped = grouped
        self.input_proj = nn.Conv2d(sum(self.backbone.channels[i] for i in self.input_levels), d_model, 1)
        self.input_norm = nn.LayerNorm(d_model) if input_norm else nn.Identity()
        self.position = build_position(position, d_model)
        layer = (d_model, num_heads, dim_feedforward, dropout)
        self.transformer = Transformer(
            d_model,
            num_heads,
            num_encoder_layers,
            num_decoder_layers,
            dim_feedforward,
            dropout,
            RefiningDecoder(num_decoder_layers, *layer) if queries == "proposals" else None,
        )
        self.class_embed = nn.Linear(d_model, num_logits)
        self.bbox_embed = self.query_embed = self.proposals = self.finer = None
        self.fine_level = fine_level
        if queries == "learned":
            self.bbox_embed = MLP(d_model, d_model, 4, 3)
            self.query_embed = nn.Embedding(num_queries, d_model)
        else:
            cells = 1.0
            if fine_level is not None:
                self.finer = FinerMemory(self.backbone.channels[fine_level], d_model)
                cells = self.backbone.strides[self.input_levels[0]] / self.backbone.strides[fine_level]
            self.proposals = Proposals(d_model, num_logits, (3.0 * cells, 6.0 * cells))
            start_unsure(self.class_embed)

    def forward(self, batch: ImageBatch) -> dict:
        """Images -> one prediction per query.

        Returns `pred_logits` [B, Q, num_logits], `pred_boxes` [B, Q, 4] (cxcywh, relative to each un-padded image),
        `aux_outputs`: the same two of every earlier decoder layer, `proposals`: the same two of every encoder token
        with their `mask` (where the queries are proposals), and for crops `features`: the backbone's maps [B, C_l, H_l,
        W_l], and `feature_ratios`: which part (x, y) of each map every image fills, [B, 2] a level.
        """
        features, ratios, merged, mask = self.extract(batch)
        x = self.input_norm(tokens(self.input_proj(merged)))
        pos = tokens(self.position(mask)).to(x.dtype)
        padding = None if batch.is_uniform else mask.flatten(1)
        memory = self.transformer.encode(x, pos, padding)
        out: dict = {"features": features, "feature_ratios": ratios}
        if self.proposals is None:
            hs = self.transformer.decode(self.query_embed.weight, memory, pos, padding)
            boxes = self.bbox_embed(hs).sigmoid()
        else:
            if self.finer is not None:
                memory, mask = self._finer(memory, mask, features, ratios, batch.is_uniform)
            logits, proposed = self.proposals(memory, mask)
            content, reference = self.proposals.select(memory, logits, proposed, mask, self.num_queries)
            hs, boxes = self.transformer.decoder(content, reference, memory, mask)
            out["proposals"] = {"pred_logits": logits, "pred_boxes": proposed, "mask": mask.flatten(1)}
        layers = [{"pred_logits": a, "pred_boxes": b} for a, b in zip(self.class_embed(hs), boxes, strict=True)]
        return out | layers[-1] | {"aux_outputs": layers[:-1]}

    def extract(self, batch: ImageBatch) -> tuple[list[Tensor], list[Tensor], Tensor, Tensor]:
        """-> backbone maps, the part each image fills, merged input levels [B, C, H, W], their padding [B, H, W]."""
        if batch.is_uniform or self.training or not self.grouped:
            maps = self.backbone(batch.images, None if batch.is_uniform else batch.mask)
            merged = self._merge(maps)
            mask = F.interpolate(batch.mask[:, None].float(), size=merged.shape[-2:])[:, 0].bool()
            return maps, [batch.valid_ratio] * len(maps), merged, mask
        maps_of: list[list[Tensor]] = [[] for _ in batch.sizes]
        for size, indices in batch.groups().items():
            maps = self.backbone(batch.select(indices, size))
            maps.append(self._merge(maps))
            for slot, index in enumerate(indices):
                maps_of[index] = [m[slot] for m in maps]
        *levels, (merged, merged_sizes) = [pad_stack(level) for level in zip(*maps_of, strict=True)]
        ratios = [sizes.flip(-1) / sizes.new_tensor([m.shape[-1], m.shape[-2]]) for m, sizes in levels]
        return [m for m, _ in levels], ratios, merged, outside(merged.shape[-2:], merged_sizes)

    def _finer(
        self, memory: Tensor, mask: Tensor, features: list[Tensor], ratios: list[Tensor], uniform: bool
    ) -> tuple[Tensor, Tensor]:
        """Tokens [B, S, C] and their padding [B, H, W] -> the same on the cells of `fine_level`."""
        fine, ratio = features[self.fine_level], ratios[self.fine_level]
        maps = memory.transpose(1, 2).unflatten(2, mask.shape[-2:])
        finer = self.finer(maps, fine, ratios[self.input_levels[0]], ratio, uniform)
        rows, columns = fine.shape[-2:]
        return finer, outside((rows, columns), torch.stack([ratio[:, 1] * rows, ratio[:, 0] * columns], dim=1))

    def _merge(self, maps: list[Tensor]) -> Tensor:
        chosen = [maps[i] for i in self.input_levels]
        return torch.cat([resize_to(m, chosen[0].shape[-2:]) for m in chosen], dim=1)


def resize_to(feature_map: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear [B, C, H, W] -> [B, C, *size]; unchanged where the size already fits."""
    if tuple(feature_map.shape[-2:]) == tuple(size):
        return feature_map
    return F.interpolate(feature_map, size=tuple(size), mode="bilinear", align_corners=False)


def pad_stack(maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Maps [C, H_i, W_i] -> [B, C, max H, max W], zeros at the right and the bottom; their (h, w) as floats [B, 2]."""
    sizes = torch.tensor([m.shape[-2:] for m in maps], dtype=torch.float32, device=maps[0].device)
    height, width = (max(side) for side in zip(*(m.shape[-2:] for m in maps), strict=True))
    return torch.stack([F.pad(m, (0, width - m.shape[-1], 0, height - m.shape[-2])) for m in maps]), sizes
