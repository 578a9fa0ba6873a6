"""One answer from crops and from their mirror images, the flip test of every published keypoint score."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from cascadepose.models.heatmaps import around_peak
from cascadepose.models.transformer import inverse_sigmoid

Joints = tuple[Tensor, Tensor, Tensor]  # keypoints [N, K, 2], scores [N, K], sigma [N, K, 2]


class Reader(Protocol):
    """A keypoint stage; sharpness: what it multiplies heat maps with before it reads places from them."""

    sharpness: float

    def read_joints(self, out: dict) -> Joints: ...


def read_both_sides(stage: Reader, out: dict, mirrored: dict, flip_index: Sequence[int]) -> Joints:
    """The joints of N crops from a stage's answers to them and to their mirror images, in 0..1 of the crops.

    Heat maps are averaged before places are read from them: where the two sides disagree about a joint, the mean of
    their places is nowhere, but the mean of their maps has its peak where both think it possible.
    """
    if "pred_heatmaps" in out:
        return stage.read_joints(mean_of_maps(out, mirrored, flip_index, stage.sharpness))
    return mean_of_joints(stage.read_joints(out), stage.read_joints(mirrored), flip_index)


def mean_of_joints(plain: Joints, mirrored: Joints, flip_index: Sequence[int]) -> Joints:
    """Joints as seen, and as seen in a mirror, with x in 0..1 of what is mirrored."""
    points, scores, sigma = (x[:, list(flip_index)] for x in mirrored)
    points = torch.stack([1 - points[..., 0], points[..., 1]], dim=-1)
    return (plain[0] + points) / 2, (plain[1] + scores) / 2, (plain[2] + sigma) / 2


def mean_of_maps(out: dict, mirrored: dict, flip_index: Sequence[int], sharpness: float) -> dict:
    """Outputs of one kind from those of ordered queries (query j is joint j) with heat maps: the mean of the maps, of
    the logits, of the spreads, and of what the queries correct places by.
    """
    seen = unmirrored(mirrored, flip_index)
    mean = {key: (out[key] + seen[key]) / 2 for key in ("pred_heatmaps", "pred_kpt_logits", "pred_kpt_sigma")}
    correction = (_corrections(out, sharpness) + _corrections(seen, sharpness)) / 2
    places = inverse_sigmoid(around_peak(mean["pred_heatmaps"] * sharpness)) + correction
    return mean | {"pred_keypoints": places.sigmoid()}


def unmirrored(out: dict, flip_index: Sequence[int]) -> dict:
    """Outputs of ordered queries with heat maps to mirrored crops, as they would be to the crops themselves."""
    swap = list(flip_index)
    classes = [*swap, *range(len(swap), out["pred_kpt_logits"].shape[-1])]
    points = out["pred_keypoints"][:, swap]
    return {
        "pred_heatmaps": out["pred_heatmaps"][:, swap].flip(-1),
        "pred_keypoints": torch.stack([1 - points[..., 0], points[..., 1]], dim=-1),
        "pred_kpt_logits": out["pred_kpt_logits"][:, swap][..., classes],
        "pred_kpt_sigma": out["pred_kpt_sigma"][:, swap],
    }


def _corrections(out: dict, sharpness: float) -> Tensor:
    """What queries add to the places of their heat maps, before the sigmoid [N, K, 2]."""
    return inverse_sigmoid(out["pred_keypoints"]) - inverse_sigmoid(around_peak(out["pred_heatmaps"] * sharpness))
