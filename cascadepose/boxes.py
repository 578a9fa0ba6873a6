"""Box formats and overlaps on torch tensors, any leading shape.

`xyxy` is two corners, `xywh` corner and size (COCO files), `cxcywh` centre and size (DETR).
"""

import torch
from torch import Tensor


def cxcywh_to_xyxy(boxes: Tensor) -> Tensor:
    """[..., 4] centre and size -> two corners."""
    center, size = boxes[..., :2], boxes[..., 2:]
    return torch.cat([center - size / 2, center + size / 2], dim=-1)


def xyxy_to_cxcywh(boxes: Tensor) -> Tensor:
    """[..., 4] two corners -> centre and size."""
    low, high = boxes[..., :2], boxes[..., 2:]
    return torch.cat([(low + high) / 2, high - low], dim=-1)


def xywh_to_xyxy(boxes: Tensor) -> Tensor:
    """[..., 4] corner and size -> two corners."""
    return torch.cat([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], dim=-1)


def xyxy_to_xywh(boxes: Tensor) -> Tensor:
    """[..., 4] two corners -> corner and size."""
    return torch.cat([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], dim=-1)


def mirrored(boxes_cxcywh: Tensor) -> Tensor:
    """Boxes [..., 4] (cxcywh) relative to an image or a crop -> the same in its mirror image."""
    return torch.cat([1 - boxes_cxcywh[..., :1], boxes_cxcywh[..., 1:]], dim=-1)


def area(boxes_xyxy: Tensor) -> Tensor:
    """[..., 4] -> [...] area; a box with crossed corners counts as empty."""
    return (boxes_xyxy[..., 2:] - boxes_xyxy[..., :2]).clamp(min=0).prod(dim=-1)


def intersection(a_xyxy: Tensor, b_xyxy: Tensor) -> Tensor:
    """Shared area of broadcastable boxes [..., 4] -> [...]."""
    low = torch.maximum(a_xyxy[..., :2], b_xyxy[..., :2])
    high = torch.minimum(a_xyxy[..., 2:], b_xyxy[..., 2:])
    return (high - low).clamp(min=0).prod(dim=-1)


def iou(a_xyxy: Tensor, b_xyxy: Tensor, eps: float = 1e-9) -> Tensor:
    """Intersection over union of broadcastable boxes [..., 4] -> [...]."""
    shared = intersection(a_xyxy, b_xyxy)
    return shared / (area(a_xyxy) + area(b_xyxy) - shared + eps)


def generalized_iou(a_xyxy: Tensor, b_xyxy: Tensor, eps: float = 1e-9) -> Tensor:
    """GIoU (Rezatofighi et al., CVPR 2019, eq. 3) of broadcastable boxes [..., 4] -> [...], in (-1, 1]."""
    shared = intersection(a_xyxy, b_xyxy)
    union = area(a_xyxy) + area(b_xyxy) - shared
    low = torch.minimum(a_xyxy[..., :2], b_xyxy[..., :2])
    high = torch.maximum(a_xyxy[..., 2:], b_xyxy[..., 2:])
    hull = (high - low).clamp(min=0).prod(dim=-1)
    return shared / (union + eps) - (hull - union) / (hull + eps)


def shift_boxes(reference: Tensor, deltas: Tensor) -> Tensor:
    """Boxes [..., 4] (cxcywh) moved by deltas in units of their own size (R-CNN, Girshick et al., 2014, appendix C):
    centre + delta * size, size * exp(delta). The same correction then means the same to the eye wherever a box stands.

    A side grows at most to 60 times its reference and nothing reaches beyond the image, 0..1.
    """
    center = reference[..., :2] + deltas[..., :2] * reference[..., 2:]
    size = reference[..., 2:] * deltas[..., 2:].clamp(max=4.1).exp()
    low, high = (center - size / 2).clamp(0, 1), (center + size / 2).clamp(0, 1)
    return torch.cat([(low + high) / 2, high - low], dim=-1)
