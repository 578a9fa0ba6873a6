"""How well end-to-end PRTR does: COCO's scores from images alone, losses and errors of the annotated people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.utils.data import DataLoader, Subset

from cascadepose.boxes import cxcywh_to_xyxy, xyxy_to_xywh
from cascadepose.data.coco import CocoImage
from cascadepose.data.people import PersonImages
from cascadepose.models.image_batch import ImageBatch
from cascadepose.models.prtr import PRTR
from cascadepose.tasks.crop_losses import joints_inside

if TYPE_CHECKING:
    from cascadepose.tasks.joint import JointTask

MEASURED = ("loss_joints", "loss_keypoints", "joint_error", "joints_inside")


def validate(task: JointTask, model: PRTR) -> dict[str, float]:
    """COCO keypoint AP and person box AP of the whole model, from images alone.

    And for the annotated people, in the box of the query that each is matched with, `loss_joints` and `loss_keypoints`
    as in training (less the heat maps of earlier layers, which only training has); `joint_error`, the mean distance of
    the joints relative to the person's size (root of the box area), which no choice of the crop can make smaller; and
    `joints_inside`, the share of the joints that lie in the crop: losses count those only.
    """
    from cascadepose.evaluation.coco import evaluate_boxes, evaluate_keypoints

    config = task.config
    data = PersonImages([config.validation], [config.validation_side], cache=False)
    count = min(config.validation_images or len(data), len(data))
    chosen = torch.linspace(0, len(data) - 1, count).round().long().tolist()
    device, results, found = next(model.parameters()).device, [], []
    records = iter([data.records[index] for index in chosen])
    for batch in DataLoader(Subset(data, chosen), batch_size=8, collate_fn=task.collate):
        batch = {key: value if key == "counts" else value.to(device) for key, value in batch.items()}
        images = batch["batch"].as_float()
        detections = model.detect(images)
        out = model(images, threshold=0.0, detections=detections)
        results += results_of(model, out, [next(records) for _ in batch["counts"]])
        found.append(_annotated_people(task, model, images, detections, batch))
    images = [data.records[index].image_id for index in chosen]
    joints = evaluate_keypoints(config.validation.annotations, results, image_ids=images)
    boxes = evaluate_boxes(config.validation.annotations, results, image_ids=images)
    scores = {key: joints[key] for key in ("AP", "AP50", "AR")} | {"box_AP": boxes["AP"]}
    people = max(sum(number for number, _ in found), 1)
    return scores | {name: sum(number * means[name] for number, means in found) / people for name in MEASURED}


def _annotated_people(
    task: JointTask, model: PRTR, images: ImageBatch, detections: dict, batch: dict
) -> tuple[int, dict[str, float]]:
    """How many annotated people a batch has, and their means of what is `MEASURED`."""
    boxes, index, people = task.people_to_crop(detections, batch)
    if not len(people):
        return 0, dict.fromkeys(MEASURED, 0.0)
    out = model(images, boxes, index, detections=detections)
    task.criterion.to(boxes.device)
    losses = task.keypoint_losses(out, batch, people)
    real = torch.arange(batch["boxes"].shape[1], device=boxes.device) < boxes.new_tensor(batch["counts"])[:, None]
    pixels = images.size_tensor[index].flip(-1).to(boxes)
    sizes = (batch["boxes"][real][people, 2:] * pixels).prod(-1).sqrt()
    visible = batch["visible"][people]
    away = ((model.read_joints(out)[0] - batch["keypoints"][people]) * pixels[:, None]).norm(dim=-1)
    error = (away * visible).sum(-1) / visible.sum(-1) / sizes
    inside = (visible & joints_inside(out["crop_regions"], batch["keypoints"][people])).sum() / visible.sum()
    values = (losses["loss"], losses["loss_keypoints"], error.mean(), inside)
    return len(people), {name: float(value) for name, value in zip(MEASURED, values, strict=True)}


def results_of(model: PRTR, out: dict, records: list[CocoImage]) -> list[dict]:
    """The people of a batch as COCO results with boxes; a person's score is the box's times the mean of the joints'."""
    points, joint_scores, _ = model.read_joints(out)
    owners = [records[image] for image in out["people_batch_index"].tolist()]
    sizes = points.new_tensor([(record.width, record.height) for record in owners]).view(-1, 2)
    keypoints = torch.cat([points * sizes[:, None], joint_scores[..., None]], dim=-1).flatten(1).tolist()
    boxes = xyxy_to_xywh(cxcywh_to_xyxy(out["people_boxes"]) * sizes.repeat(1, 2)).tolist()
    scores = (out["people_scores"] * joint_scores.mean(-1)).tolist()
    return [
        {"image_id": record.image_id, "category_id": 1, "keypoints": joints, "bbox": box, "score": score}
        for record, joints, box, score in zip(owners, keypoints, boxes, scores, strict=True)
    ]
