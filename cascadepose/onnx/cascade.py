"""The 2D cascade as one graph: picture -> boxes -> crops -> joints."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from cascadepose.boxes import cxcywh_to_xyxy
from cascadepose.errors import InputError
from cascadepose.models.crop import crop_grid, crop_regions
from cascadepose.models.prtr import PRTR
from cascadepose.models.second_look import agreed, best_of, boxes_in_image
from cascadepose.onnx.graphs import Graph, WholePictures, reads_in_order


class CascadeGraph(nn.Module):
    """frame uint8 [H, W, 3] -> boxes_xyxy [N, 4] px, box_scores [N], keypoints [N, Q, 2] px, sigma [N, Q, 2] px, and
    scores [N, K], or logits [N, Q, K+1] where query j is not joint j. People above the threshold, best first.
    """

    def __init__(self, prtr: PRTR, threshold: float):
        super().__init__()
        self.prtr, self.threshold = prtr, threshold

    def forward(self, frame: Tensor) -> tuple[Tensor, ...]:
        images = frame.permute(2, 0, 1)[None].float() / 255
        size = torch.stack([torch.as_tensor(side) for side in images.shape[-2:]])
        side = self.prtr.detector_side
        out = self.prtr.detector(WholePictures(images if side is None else fit_within(images, size, side)))
        boxes, scores = self._people(out)
        # somebody always goes on: runtimes stumble over batches of nobody
        goes_on = (scores > self.prtr.looks_from(self.threshold)) | (scores >= scores.max())
        boxes, scores = boxes[goes_on], scores[goes_on]
        joints, regions = self._joints(images, size, boxes, out)
        pixels = size.flip(0).to(boxes.dtype)
        points, sigma = self.prtr.in_image(joints["pred_keypoints"], joints["pred_kpt_sigma"], regions)
        believed = None
        if self.prtr.looks_again:
            boxes, quality = boxes_in_image(joints, regions)
            scores = agreed(scores, quality)
            believed = best_of(
                boxes, scores, torch.zeros_like(scores, dtype=torch.long), self.threshold, self.prtr.nms_iou
            )
        ordered = reads_in_order(self.prtr.keypoints)
        last = self.prtr.keypoints.read_joints(joints)[1] if ordered else joints["pred_kpt_logits"]
        found = cxcywh_to_xyxy(boxes) * pixels.repeat(2), scores, points * pixels, sigma * pixels, last
        believed = scores > self.threshold if believed is None else believed
        return tuple(value[believed] for value in found)

    def _people(self, out: dict) -> tuple[Tensor, Tensor]:
        """Boxes and scores of the best queries, as `PRTR.select_people` takes them."""
        from torchvision.ops import nms

        scores, boxes = out["pred_logits"][0].softmax(-1)[:, 0], out["pred_boxes"][0]
        if self.prtr.nms_iou is None:
            kept = scores.topk(min(self.prtr.max_people, self.prtr.detector.num_queries)).indices
        else:
            kept = nms(cxcywh_to_xyxy(boxes), scores, self.prtr.nms_iou)[: self.prtr.max_people]
        return boxes[kept], scores[kept]

    def _joints(self, images: Tensor, size: Tensor, boxes: Tensor, out: dict) -> tuple[dict, Tensor]:
        prtr = self.prtr
        features = prtr.crop == "features"
        regions = crop_regions(boxes, size.expand_as(boxes[:, :2]), None if features else prtr.aspect, prtr.enlarge)
        maps = [out["features"][i] for i in prtr.crop_levels] if features else [images]
        clamp = features and prtr.clamp_to_image
        crops = []
        for level in maps:
            grid = crop_grid(regions, level, prtr.crop_size, None, prtr.alignment, clamp)
            tall = nn.functional.grid_sample(
                level, grid.flatten(0, 1)[None], padding_mode="border" if features else "zeros", align_corners=False
            )
            crops.append(tall[0].unflatten(1, (-1, prtr.crop_size[0])).transpose(0, 1))
        return prtr.keypoints(torch.cat(crops, dim=1)), regions


def fit_within(images: Tensor, size: Tensor, side: int) -> Tensor:
    """[B, 3, H, W] -> the same pictures with the longer side `side`: `ImageBatch.resized` for sizes known at run time.

    size: [2] (height, width). Both axes are resampled by a product with triangle filters as wide as a cell of the
    result, which is what interpolation with antialiasing computes.
    """
    wanted = (size.double() * (side / size.max().double())).round().clamp(min=1)
    rows, columns = (_filters(old, new) for old, new in zip(size.unbind(), wanted.unbind(), strict=True))
    return rows @ images @ columns.T


def _filters(old: Tensor, new: Tensor) -> Tensor:
    """[new, old] weights, whose rows add up to one."""
    scale = (old / new).float()
    centers = (torch.arange(new.long()) + 0.5) * scale
    cells = torch.arange(old) + 0.5
    weights = (1 - (cells - centers[:, None]).abs() / scale.clamp(min=1)).clamp(min=0)
    return weights / weights.sum(1, keepdim=True)


def cascade_graph(prtr: PRTR, threshold: float | None = None, picture: np.ndarray | None = None) -> Graph:
    """Of a PRTR in either form. threshold: instead of its own; picture: uint8 RGB with people to check it with."""
    threshold = prtr.threshold if threshold is None else threshold
    photograph = torch.from_numpy(sample_picture() if picture is None else picture)
    last = "scores" if reads_in_order(prtr.keypoints) else "logits"
    outputs = ("boxes_xyxy", "box_scores", "keypoints", "sigma", last)
    empty = torch.zeros(240, 320, 3, dtype=torch.uint8)
    return Graph(
        "cascade",
        CascadeGraph(prtr, threshold),
        {"frame": photograph},
        [{"frame": photograph}, {"frame": photograph[: len(photograph) * 5 // 6, 3:].contiguous()}, {"frame": empty}],
        outputs,
        {"frame": {0: "height", 1: "width"}} | {name: {0: "people"} for name in outputs},
        tolerance=0.02,  # of a pixel
        facts={
            "frame": "[height, width, 3] uint8 RGB",
            "boxes_xyxy": "[people, 4] px",
            "box_scores": f"[people] above {threshold:g}, best first",
            "keypoints": "[people, queries, 2] px",
            "sigma": "[people, queries, 2] standard deviations in px",
            "scores": "[people, joints] in 0..1; query j is joint j",
            "logits": "[people, queries, joints + 1], the last is no joint; assign queries to joints by softmax",
            "threshold": str(threshold),
        },
    )


def sample_picture() -> np.ndarray:
    """A photograph of a person, uint8 RGB [H, W, 3]: the one that matplotlib carries."""
    import cv2
    from matplotlib import get_data_path

    picture = cv2.imread(f"{get_data_path()}/sample_data/grace_hopper.jpg")
    if picture is None:
        raise InputError("matplotlib's photograph is missing: give a picture of people to check the cascade with")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
