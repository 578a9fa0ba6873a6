"""Cases of single steps: matching, attention, crops, the keypoint stage and its training. Each takes a device and if it
is small.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cascadepose.benchmark import Case
from cascadepose.boxes import cxcywh_to_xyxy, generalized_iou
from cascadepose.losses.matching import box_cost, hungarian
from cascadepose.models.crop import crop_regions, crop_resample
from cascadepose.models.image_batch import ImageBatch
from cascadepose.models.keypoints import KeypointEstimator
from cascadepose.models.prtr import PRTR
from cascadepose.models.transformer import MultiHeadAttention
from cascadepose.training.precision import FasterBfloat16

CLASS, L1, GIOU = 1.0, 5.0, 2.0  # DETR's matching weights
# the packaged transformers' size
TRANSFORMER = {"d_model": 192, "num_encoder_layers": 3, "num_decoder_layers": 3, "dim_feedforward": 512}


def matching(device: torch.device, small: bool) -> Case:
    """Plain: for each decoder layer, the cost of all images against all people, a copy to the host, a loop."""
    layers, images, queries = (2, 3, 10) if small else (6, 16, 100)
    counts = [1 + 3 * i % 8 for i in range(images)]
    logits = torch.randn(layers, images, queries, 2, device=device)
    boxes = torch.rand(layers, images, queries, 4, device=device) / 2 + 0.1
    wanted = torch.rand(images, max(counts), 4, device=device) / 2 + 0.1
    labels = torch.zeros(images, max(counts), dtype=torch.long, device=device)

    def plain() -> Tensor:
        from scipy.optimize import linear_sum_assignment

        people = torch.cat([row[:count] for row, count in zip(wanted, counts, strict=True)])
        pairs = []
        for layer in range(layers):
            probability = logits[layer].flatten(0, 1).softmax(-1)[:, [0]]
            found = boxes[layer].flatten(0, 1)
            overlap = generalized_iou(cxcywh_to_xyxy(found)[:, None], cxcywh_to_xyxy(people)[None])
            cost = L1 * torch.cdist(found, people, p=1) - CLASS * probability - GIOU * overlap
            for image, part in enumerate(cost.view(images, queries, -1).cpu().split(counts, -1)):
                pairs += zip(*linear_sum_assignment(part[image]), strict=True)
        return torch.tensor(np.array(pairs)).to(device)

    def ours() -> Tensor:
        flat = (logits.flatten(0, 1), boxes.flatten(0, 1), labels.repeat(layers, 1), wanted.repeat(layers, 1, 1))
        matches = hungarian(box_cost(*flat, CLASS, L1, GIOU), counts * layers)
        return torch.stack([matches.query, matches.target], 1)

    setting = f"{layers} layers, {images} images, {queries} queries, {sum(counts)} people"
    return Case("matching", setting, plain, ours, 0)


def attention(device: torch.device, small: bool) -> Case:
    """Plain: `nn.MultiheadAttention` as DETR calls it, which also returns the attention map."""
    batch, length, dim = (1, 20, 32) if small else (2, 1200, 256)
    reference = nn.MultiheadAttention(dim, 8, batch_first=True).to(device).eval()
    module = MultiHeadAttention(dim, 8).to(device).eval()
    module.load_state_dict(reference.state_dict())
    placed, x = torch.randn(2, batch, length, dim, device=device)
    setting = f"self-attention, {length} tokens, {dim} channels, batch {batch}"
    return Case("attention", setting, lambda: reference(placed, placed, x)[0], lambda: module(placed, placed, x))


def _people(images: int, people: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Boxes [N,4] cxcywh and batch_index [N], the same number of people in every image."""
    boxes = torch.rand(images * people, 4) * torch.tensor([0.4, 0.4, 0.2, 0.4]) + torch.tensor([0.3, 0.3, 0.1, 0.2])
    return boxes.to(device), torch.arange(images, device=device).repeat_interleave(people)


def pixel_crops(device: torch.device, small: bool) -> Case:
    """Plain: `cv2.warpAffine` of one person after another on the host, stacked, scaled and moved to the device."""
    import cv2

    images, people, (height, width), size = (2, 2, (60, 80), (32, 24)) if small else (8, 5, (480, 640), (256, 192))
    frames = np.random.default_rng(0).integers(0, 256, (images, height, width, 3), dtype=np.uint8)
    frames = np.stack([cv2.GaussianBlur(frame, (0, 0), 6) for frame in frames])
    boxes, index = _people(images, people, device)
    sizes = torch.tensor([[height, width]], device=device).expand(len(boxes), 2)
    regions = crop_regions(boxes, sizes, aspect=size[1] / size[0])

    def plain() -> Tensor:
        crops = []
        for region, image in zip(regions.cpu().numpy(), index.tolist(), strict=True):
            (x, y), (w, h) = region[:2] * (width, height), region[2:] * (width, height)
            matrix = np.array(
                [[size[1] / w, 0, size[1] / 2 - x * size[1] / w], [0, size[0] / h, size[0] / 2 - y * size[0] / h]]
            )
            matrix[:, 2] += (matrix[:, :2].sum(1) - 1) / 2  # pixel centres
            crops.append(cv2.warpAffine(frames[image], matrix, (size[1], size[0]), flags=cv2.INTER_LINEAR))
        return torch.from_numpy(np.stack(crops)).to(device).permute(0, 3, 1, 2).float().div_(255)

    def ours() -> Tensor:
        pixels = torch.from_numpy(frames).to(device).permute(0, 3, 1, 2).float().div_(255)
        return crop_resample([pixels], regions, index, size)

    setting = f"{images} frames {width}x{height} uint8 on the host, {people} people each, crops {size[1]}x{size[0]}"
    return Case("crops from pixels", setting, plain, ours, 0.1)  # warpAffine rounds to 1/32 pixel and to whole values


def feature_crops(device: torch.device, small: bool) -> Case:
    """Plain: every map repeated for each of its people, then sampled."""
    images, people, channels = (2, 2, 4) if small else (4, 20, 256)
    maps = [torch.randn(images, channels, 64 // s, 80 // s, device=device) for s in ((4, 8) if small else (1, 2, 4))]
    boxes, index = _people(images, people, device)
    regions = crop_regions(boxes)

    def plain() -> Tensor:
        line = torch.linspace(-1, 1, 10, device=device)
        x = regions[:, :1] * 2 - 1 + line * regions[:, 2:3]
        y = regions[:, 1:2] * 2 - 1 + line * regions[:, 3:4]
        grid = torch.stack([x[:, None].expand(-1, 10, -1), y[:, :, None].expand(-1, -1, 10)], -1)
        repeated = [level.repeat_interleave(people, 0) for level in maps]
        crops = [F.grid_sample(level, grid, padding_mode="border", align_corners=False) for level in repeated]
        return torch.cat(crops, 1)

    def ours() -> Tensor:
        return crop_resample(maps, regions, index, (10, 10), None, "corners", "border", max_per_image=people)

    setting = f"{len(maps)} levels of {channels} channels, {images} images, {people} people each, 10x10"
    return Case("crops from features", setting, plain, ours)


def keypoint_stage(device: torch.device, small: bool) -> Case:
    """Plain: every query of the detector goes on, as in end-to-end PRTR; ours: those that pass the threshold."""
    images, queries, people = (1, 6, 2) if small else (2, 100, 3)
    size = 64 if small else 320
    model = PRTR(**end_to_end_prtr(queries)).to(device).eval()
    batch = ImageBatch.from_list(list(torch.rand(images, 3, size, size, device=device)))
    found = model.detect(batch)
    boxes, index = _people(images, queries, device)
    chosen = (torch.arange(len(boxes), device=device) % queries) < people

    def stage(rows: Tensor) -> Tensor:
        return model(batch, boxes[rows], index[rows], detections=found)["pred_keypoints"]

    everyone = torch.ones_like(chosen)
    setting = f"end-to-end form, {images} images, {queries} queries against {people} people"
    return Case("keypoint stage", setting, lambda: stage(everyone)[chosen], lambda: stage(chosen))


def end_to_end_prtr(num_queries: int) -> dict:
    """An end-to-end PRTR of about the packaged size, with random weights."""
    backbone = {"name": "mobilenetv2_100", "levels": [2, 3, 4]}
    return {
        "crop": "features",
        "detector": TRANSFORMER | {"backbone": backbone, "input_levels": [1, 2], "num_queries": num_queries},
        "crop_levels": [0, 1, 2],
        "keypoints": TRANSFORMER | {"num_queries": 17, "matching": "ordered"},
    }


def training_step(device: torch.device, small: bool) -> Case:
    """Plain: bfloat16 as autocast has it; ours: what training does otherwise on a CPU (elsewhere it is the same)."""
    crops, size = (2, (64, 48)) if small else (8, (256, 192))
    one_each = {"num_queries": 17, "matching": "ordered", "readout": "heatmap", "heatmap_blocks": 1}
    backbone = {"name": "mobilenetv2_100", "levels": [1, 2, 3, 4], "frozen_stages": 3}
    with torch.inference_mode(False):
        model = KeypointEstimator(backbone, TRANSFORMER | one_each, size, [2, 3], [1, 0]).to(device).train()
        model.to(memory_format=torch.channels_last)
        pixels = torch.rand(crops, 3, *size, device=device)

    def step(otherwise: AbstractContextManager) -> Tensor:
        model.zero_grad()
        with torch.inference_mode(False):
            with torch.autocast(device.type, torch.bfloat16), otherwise:
                out = model(pixels)
            loss = out["pred_keypoints"].float().mean() + out["pred_heatmaps"].float().std()
            loss.backward()
            return loss.detach()

    setting = f"keypoint stage in bfloat16, {crops} crops of {size[0]}x{size[1]}"
    return Case("training step", setting, lambda: step(nullcontext()), lambda: step(FasterBfloat16()), 0.05)


CASES = (matching, attention, pixel_crops, feature_crops, keypoint_stage, training_step)
