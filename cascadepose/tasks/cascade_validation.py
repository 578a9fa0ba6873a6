"""How well the cascade does from pixels: drawn clips with exact truth, labelled pictures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils.data import Dataset

from cascadepose.data.cascade_items import collate_samples
from cascadepose.evaluation.lifting import mpjpe, p_mpjpe
from cascadepose.models.cascade import CascadePose

if TYPE_CHECKING:
    from cascadepose.tasks.cascade import CascadeTask

BATCH = 4  # clips or pictures at a time


def validate(task: CascadeTask, model: CascadePose) -> dict[str, float]:
    """Errors of a cascade in eval mode.

    On drawn clips `mpjpe` and `p_mpjpe` in mm from pixels alone (the detector finds the person), `mpjpe_boxes` with the
    true boxes, and `joints2d`: the mean distance of the 2D joints, with the true boxes, relative to the person's size
    (root of the box area). On labelled pictures, with the annotated boxes, `pictures_joints2d`, and `pictures_mpjpe`
    in mm to what the teacher sees in the labels. Means over frames.
    """
    config, device = task.config, next(model.parameters()).device
    metrics = _drawn(task, model, device)
    if task.val_pictures is not None:
        metrics |= _pictures(task, model, device, config.val_people)
    return metrics


def _drawn(task: CascadeTask, model: CascadePose, device: torch.device) -> dict[str, float]:
    alone, guided, truth, errors = [], [], [], []
    for batch in _batches(task.val_clips, task.config.val_clips, task.config.num_frames, device):
        frames = batch["frames"].float() / 255
        out = model(frames, batch["boxes"][:, None], windows=batch["windows"])
        guided.append(out["joints"][:, 0].cpu())
        errors.append(_joint_error(out, batch))
        alone.append(model(frames, windows=batch["windows"])["joints"][:, 0].cpu())
        truth.append(task.answered(batch["joints"]).cpu())
    target = torch.cat(truth).numpy()
    found, helped = torch.cat(alone).numpy(), torch.cat(guided).numpy()
    return {
        "mpjpe": float(mpjpe(found, target).mean()),
        "p_mpjpe": float(p_mpjpe(found, target).mean()),
        "mpjpe_boxes": float(mpjpe(helped, target).mean()),
        "joints2d": float(torch.cat(errors).mean()),
    }


def _pictures(task: CascadeTask, model: CascadePose, device: torch.device, count: int) -> dict[str, float]:
    found, truth, errors = [], [], []
    for batch in _batches(task.val_pictures, count, task.config.num_frames, device):
        out = model(batch["frames"].float() / 255, batch["boxes"][:, None], windows=batch["windows"])
        errors.append(_joint_error(out, batch))
        taught = batch["taught"]
        found.append(out["joints"][taught, 0].cpu())
        truth.append(task.answered(batch["joints"])[taught].cpu())
    metrics = {"pictures_joints2d": float(torch.cat(errors).mean())}
    if len(target := torch.cat(truth)):
        metrics["pictures_mpjpe"] = float(mpjpe(torch.cat(found).numpy(), target.numpy()).mean())
    return metrics


def _batches(data: Dataset, count: int, num_frames: int, device: torch.device) -> Iterator[dict[str, Tensor]]:
    """Batches of `count` evaluation items, evenly spread over the data."""
    chosen = torch.linspace(0, len(data) - 1, min(count, len(data))).round().long().tolist()
    for start in range(0, len(chosen), BATCH):
        samples = [data[index] for index in chosen[start : start + BATCH]]
        samples = [sample | {"crops": sample["boxes"]} for sample in samples]
        batch = collate_samples([{"taught": True} | sample for sample in samples], num_frames)
        yield {name: value.to(device) for name, value in batch.items()}


def _joint_error(out: dict, batch: dict[str, Tensor]) -> Tensor:
    """Mean distance of the visible 2D joints of each frame, relative to the person's size -> [F]."""
    side = batch["frames"].shape[-1]
    windows, people = batch["windows"], out["keypoints"][:, 0]
    found = people.new_zeros(len(batch["frames"]), *people.shape[2:]).index_put((windows,), people)
    sizes = batch["boxes"][:, 2:].prod(-1).sqrt()
    away = (found / side - batch["keypoints"]).norm(dim=-1) * batch["visible"]
    return away.sum(-1) / batch["visible"].sum(-1).clamp(min=1) / sizes
