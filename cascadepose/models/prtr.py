"""PRTR in both forms: a person detector, a crop for each person, a keypoint transformer (Li et al., CVPR 2021)."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from cascadepose.boxes import cxcywh_to_xyxy
from cascadepose.models.crop import Alignment, crop_regions, crop_resample, to_image
from cascadepose.models.detector import PersonDetector
from cascadepose.models.image_batch import ImageBatch
from cascadepose.models.keypoints import KeypointEstimator, KeypointTransformer
from cascadepose.models.pretrained import Pretrained
from cascadepose.models.second_look import boxes_in_image
from cascadepose.skeletons import declaration, stated_skeleton


class PRTR(Pretrained, nn.Module):
    """Images in, people with joints out; one differentiable function.

    detector: keyword arguments of `PersonDetector`; detector_side: images are scaled to this longer side before
        detection (None: as they are).
    keypoints: for crop "image" (two-stage PRTR) keyword arguments of `KeypointEstimator`, which sees pixels of the
        full-size image; for crop "features" (end-to-end PRTR) those of `KeypointTransformer`, less `in_channels`, which
        sees the detector's maps.
    crop_levels: which of the detector's maps are cropped ("features"); crop_size: (height, width) of a crop in samples;
        for "image" the estimator's own.
    aspect: width / height of a crop in pixels ("image"), None keeps the box. enlarge: the crop is this much larger than
        the box; close_enlarge: than a box that can be relied on, as it is given or corrected (None: `enlarge`).
    threshold, max_people: which queries reach the keypoint stage: the best `max_people` an image, if their score
        passes.
    look_threshold: instead, where the keypoint stage looks for the person's box and judges it (`person_box`): those who
        are seen again and score `threshold` with both stages are believed. None: `threshold`.
    nms_iou: at inference, of two boxes that overlap more than this only the better goes on. None is DETR's rule: the
        set loss alone keeps people apart, which takes a detector longer to learn than to find them.
    skeleton: the joints that it finds, see `KeypointEstimator`, which may state them itself.
    """

    def __init__(
        self,
        detector: dict,
        keypoints: dict,
        crop: Literal["image", "features"] = "image",
        detector_side: int | None = None,
        crop_levels: Sequence[int] = (-1,),
        crop_size: tuple[int, int] | None = None,
        enlarge: float = 1.25,
        close_enlarge: float | None = None,
        aspect: float | None = 0.75,
        alignment: Alignment = "centers",
        clamp_to_image: bool = True,
        clamp_keypoints: bool = False,
        threshold: float = 0.5,
        max_people: int = 20,
        nms_iou: float | None = None,
        look_threshold: float | None = None,
        skeleton: str | dict | None = None,
    ):
        super().__init__()
        if crop not in ("image", "features"):
            raise ValueError(f'unknown crop "{crop}": use "image" or "features"')
        self.config = {key: value for key, value in locals().items() if key not in ("self", "__class__")}
        self.detector = PersonDetector(**detector)
        if (logits := self.detector.class_embed.out_features) != 2:
            raise ValueError(f'PRTR needs two logits, "person" and "nobody", of its detector, not {logits}')
        self.crop, self.detector_side = crop, detector_side
        self.crop_levels = list(crop_levels)
        self.enlarge, self.close_enlarge = enlarge, close_enlarge or enlarge
        self.aspect, self.alignment = aspect, alignment
        self.clamp_to_image, self.clamp_keypoints = clamp_to_image, clamp_keypoints
        self.threshold, self.max_people, self.nms_iou = threshold, max_people, nms_iou
        self.look_threshold = threshold if look_threshold is None else look_threshold
        self.keypoints: KeypointEstimator | KeypointTransformer
        if crop == "image":
            self.keypoints = KeypointEstimator(**({"skeleton": skeleton} | keypoints))
            self.skeleton = self.keypoints.skeleton
            self.crop_size = tuple(crop_size or self.keypoints.crop_size)
        else:
            channels = sum(self.detector.backbone.channels[i] for i in self.crop_levels)
            self.skeleton = stated_skeleton(skeleton, keypoints.get("num_joints"))
            self.keypoints = KeypointTransformer(channels, **keypoints | {"num_joints": self.skeleton.num_joints})
            self.crop_size = tuple(crop_size or (10, 10))
        self.looks_again = keypoints.get("transformer", keypoints).get("person_box", False)
        if skeleton is not None:
            self.config["skeleton"] = declaration(self.skeleton)
        if keypoints.get("skeleton") is not None:
            self.config["keypoints"] = keypoints | {"skeleton": declaration(self.skeleton)}

    def forward(
        self,
        batch: ImageBatch,
        boxes: Tensor | None = None,
        batch_index: Tensor | None = None,
        threshold: float | None = None,
        detections: dict | None = None,
        choose: Callable[[dict], tuple[Tensor, Tensor]] | None = None,
        enlarge: float | None = None,
    ) -> dict:
        """Images -> people and their joints.

        boxes [N, 4] cxcywh relative to the un-padded images, with batch_index [N]: people to look at instead of the
        detector's (the detector then runs only where its maps are cropped). threshold: instead of the model's own.
        detections: what `detect` has already answered for this batch. choose: instead of `select_people`, the
            detector's outputs -> boxes and batch_index (training looks at the queries that were matched). enlarge:
            instead of the model's own.

        Returns the detector's outputs, and for N people `people_batch_index` [N], `people_boxes` [N, 4],
        `people_scores` [N], `pred_keypoints` [N, Qk, 2] relative to the un-padded image, `pred_kpt_sigma` [N, Qk, 2] in
        the same unit, `pred_kpt_logits` [N, Qk, K+1], `pred_heatmaps` where the stage has them, and `crop_outputs`: the
        keypoint stage's own answer, relative to the crops in `crop_regions` [N, 4]; where that looks for boxes,
        `refined_boxes` [N, 4] as `people_boxes`, and `box_quality` [N] in 0..1. In training mode the best
        `max_people` queries of every image go on, whatever their score.
        """
        out = detections or {}
        if not out and (boxes is None or self.crop == "features"):
            out = self.detect(batch)
        if boxes is None and choose is not None:
            boxes, batch_index = choose(out)
        if boxes is None:
            boxes, scores, batch_index = self.select_people(out, threshold)
        else:
            scores = boxes.new_ones(len(boxes))
        crops, regions = self.crop_people(batch, boxes, batch_index, out, enlarge)
        joints = self.keypoints(crops)
        points, sigma = self.in_image(joints["pred_keypoints"], joints["pred_kpt_sigma"], regions)
        people = {
            "people_batch_index": batch_index,
            "people_boxes": boxes,
            "people_scores": scores,
            "pred_keypoints": points,
            "pred_kpt_sigma": sigma,
            "pred_kpt_logits": joints["pred_kpt_logits"],
            "crop_outputs": joints,
            "crop_regions": regions,
        }
        if "pred_heatmaps" in joints:
            people["pred_heatmaps"] = joints["pred_heatmaps"]
        if self.looks_again:
            people["refined_boxes"], people["box_quality"] = boxes_in_image(joints, regions)
        return out | people

    def detect(self, batch: ImageBatch) -> dict:
        """The detector's outputs on the images scaled to `detector_side`."""
        scaled = batch if self.detector_side is None else batch.resized(self.detector_side)
        return self.detector(scaled.as_float())

    def select_people(self, out: dict, threshold: float | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Detector outputs -> boxes [N, 4], scores [N], batch_index [N] of the queries that go on.

        Never more than `max_people` an image; at inference only those over the threshold, at the price of one wait for
        the device.
        """
        scores = out["pred_logits"].softmax(-1)[..., 0]
        if self.nms_iou is not None and not self.training:
            scores = without_duplicates(scores, out["pred_boxes"], self.nms_iou)
        best, query = scores.topk(min(self.max_people, scores.shape[1]), dim=1)
        boxes = out["pred_boxes"].gather(1, query[..., None].expand(-1, -1, 4))
        batch_index = torch.arange(len(scores), device=scores.device)[:, None].expand_as(query)
        if self.training:
            return boxes.flatten(0, 1), best.flatten(), batch_index.flatten()
        keep = best > (self.threshold if threshold is None else threshold)
        return boxes[keep], best[keep], batch_index[keep]

    def looks_from(self, threshold: float) -> float:
        """The detector's score from which the keypoint stage looks at somebody who is believed from `threshold` on."""
        return min(threshold, self.look_threshold) if self.looks_again else threshold

    def crop_people(
        self,
        batch: ImageBatch,
        boxes: Tensor,
        batch_index: Tensor,
        out: dict | None = None,
        enlarge: float | None = None,
    ) -> tuple[Tensor, Tensor]:
        """People -> crops [N, C, *crop_size] and the regions [N, 4] they cover, relative to the un-padded image."""
        sizes = batch.size_tensor[batch_index]
        aspect = self.aspect if self.crop == "image" else None
        regions = crop_regions(boxes, sizes, aspect, enlarge or self.enlarge)
        if self.crop == "image":
            maps, ratios, outside = [batch.images], [batch.valid_ratio], "zeros"
        else:
            maps = [out["features"][i] for i in self.crop_levels]
            ratios = [out["feature_ratios"][i] for i in self.crop_levels]
            outside = "border"
        crops = crop_resample(
            maps, regions, batch_index, self.crop_size, ratios, self.alignment, outside, self.clamp_to_image
        )
        if self.crop == "image" and not batch.images.is_floating_point():
            crops = crops / 255
        return crops, regions

    def in_image(self, points: Tensor, sigma: Tensor, regions: Tensor) -> tuple[Tensor, Tensor]:
        """Points and spreads [N, Q, 2] relative to crops of `regions` [N, 4] -> relative to the un-padded image."""
        placed = to_image(points, regions)
        return placed.clamp(0, 1) if self.clamp_keypoints else placed, sigma * regions[:, None, 2:]

    def read_joints(self, out: dict) -> tuple[Tensor, Tensor, Tensor]:
        """Outputs -> keypoints [N, K, 2] and sigma [N, K, 2] relative to the un-padded image, scores [N, K]."""
        return self.keypoints.read_joints(out)


def without_duplicates(scores: Tensor, boxes: Tensor, max_iou: float) -> Tensor:
    """Scores [B, Q] of boxes [B, Q, 4] (cxcywh), zero where a better box of the same image overlaps by more."""
    from torchvision.ops import batched_nms

    image = torch.arange(len(scores), device=scores.device)[:, None].expand_as(scores)
    kept = batched_nms(cxcywh_to_xyxy(boxes).flatten(0, 1).float(), scores.flatten().float(), image.flatten(), max_iou)
    unique = torch.zeros_like(scores, dtype=torch.bool).flatten()
    unique[kept] = True
    return scores.masked_fill(~unique.view_as(scores), 0.0)
