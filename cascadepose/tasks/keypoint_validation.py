"""How good a keypoint stage is on annotated crops: COCO's AP, for any joint set that has sigmas, or MPII's PCKh."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset, default_collate

from cascadepose.data.coco import CocoSource
from cascadepose.data.crops import PersonCrops
from cascadepose.data.mpii import MpiiTruth, read_mpii_truth
from cascadepose.data.sources import is_mpii
from cascadepose.errors import InputError
from cascadepose.evaluation.coco import evaluate_keypoints
from cascadepose.evaluation.mpii import score_mpii
from cascadepose.evaluation.oks import needed_sigmas
from cascadepose.skeletons import MPII16, Skeleton

PCKH = "PCKh@0.5"


def metric_of(validation: CocoSource | None, skeleton: Skeleton) -> str:
    """The metric that a source is validated by: "AP", or "PCKh@0.5" for MPII's files.

    Raises InputError where it is not defined: no file, no sigmas, joints of another set, MPII without its truth file.
    """
    if validation is None:
        return "AP"
    if not Path(validation.annotations).exists():
        raise InputError(f"{validation.annotations}: no such annotation file; check the path")
    if not is_mpii(validation.annotations):
        if validation.skeleton is not None:
            raise InputError(
                f"{validation.annotations}: validation takes files with the joints of {skeleton.name} only"
            )
        needed_sigmas(skeleton)
        return "AP"
    if skeleton != MPII16:
        raise InputError(f"{validation.annotations}: PCKh is of the joints of mpii16; set task.skeleton to that")
    if validation.truth is None:
        raise InputError(f"{validation.annotations}: PCKh needs the sizes of heads; set truth to gt_valid.mat")
    return PCKH


@torch.no_grad()
def validate_crops(
    model: nn.Module, data: PersonCrops, source: CocoSource, count: int | None = None
) -> dict[str, float]:
    """Scores of a keypoint stage on the people of one source, in their annotated boxes, without flip test.

    count: only about so many people, those of evenly spread images. AP, AP50, AP75 and AR of COCO, or PCKh at 0.5 and
    0.1 head sizes in percent.
    """
    chosen = _part(data, count)
    pixels, scores = _joints(model, data, chosen)
    if is_mpii(source.annotations):
        return _pckh(data, chosen, pixels, read_mpii_truth(source.truth))
    results = [
        {
            "image_id": data.people[index][0].image_id,
            "category_id": 1,
            "keypoints": np.concatenate([points, score[:, None]], 1).ravel().tolist(),
            "score": float(score.mean()),
        }
        for index, points, score in zip(chosen, pixels, scores, strict=True)
    ]
    images = {entry["image_id"] for entry in results} if len(chosen) < len(data) else None
    found = evaluate_keypoints(source.annotations, results, image_ids=images, skeleton=data.skeleton)
    return {key: found[key] for key in ("AP", "AP50", "AP75", "AR")}


def _part(data: PersonCrops, count: int | None) -> list[int]:
    """Indices of about `count` people: all of evenly spread images, for whoever is left out of one counts as missed."""
    owners = np.array([image.image_id for image, _ in data.people])
    if count is None or count >= len(owners):
        return list(range(len(owners)))
    images = np.unique(owners)
    number = max(round(len(images) * count / len(owners)), 1)
    chosen = images[np.linspace(0, len(images) - 1, number).round().astype(int)]
    return np.flatnonzero(np.isin(owners, chosen)).tolist()


def _joints(model: nn.Module, data: PersonCrops, chosen: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Joints [N, K, 2] in pixels of the images, and their scores [N, K]."""
    device, points, scores = next(model.parameters()).device, [], []
    for batch in DataLoader(Subset(data, chosen), batch_size=32, collate_fn=default_collate):
        found, score, _ = model.read_joints(model(batch["image"].to(device).float().div_(255)))
        points.append(found.cpu().numpy())
        scores.append(score.cpu().numpy())
    regions = [data.region(image.boxes_xyxy[person]) for image, person in (data.people[index] for index in chosen)]
    centers, sizes = (np.stack(parts)[:, None] for parts in zip(*regions, strict=True))
    return centers + (np.concatenate(points) - 0.5) * sizes, np.concatenate(scores)


def _pckh(data: PersonCrops, chosen: list[int], pixels: np.ndarray, truth: MpiiTruth) -> dict[str, float]:
    """The truth has a row for each person of the annotation file, those without joints included."""
    rows = np.array([image.rows[person] for image, person in (data.people[index] for index in chosen)])
    if rows.max() >= len(truth.keypoints):
        raise InputError(
            f"the truth holds {len(truth.keypoints)} people, the annotations a person {rows.max()}; give "
            "valid.json and gt_valid.mat of the same set"
        )
    part = MpiiTruth(truth.keypoints[rows], truth.missing[rows], truth.head_boxes_xyxy[rows])
    found = score_mpii(part, pixels)
    return {name: found[name]["mean"] for name in (PCKH, "PCKh@0.1")}
