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
    swap = list(flip_index)
    classes = [*swap, *range(len(swap), out["pred_kpt_logits"].shape[-1])]
    corrections = _corrections(out, sharpness), _corrections(mirrored, sharpness)[:, swap]
    correction = (corrections[0] + corrections[1] * corrections[1].new_tensor([-1.0, 1.0])) / 2
    maps = (out["pred_heatmaps"] + mirrored["pred_heatmaps"][:, swap].flip(-1)) / 2
    return {
        "pred_heatmaps": maps,
        "pred_keypoints": (inverse_sigmoid(around_peak(maps * sharpness)) + correction).sigmoid(),
        "pred_kpt_logits": (out["pred_kpt_logits"] + mirrored["pred_kpt_logits"][:, swap][..., classes]) / 2,
        "pred_kpt_sigma": (out["pred_kpt_sigma"] + mirrored["pred_kpt_sigma"][:, swap]) / 2,
    }


def _corrections(out: dict, sharpness: float) -> Tensor:
    """What queries add to the places of their heat maps, before the sigmoid [N, K, 2]."""
    return inverse_sigmoid(out["pred_keypoints"]) - inverse_sigmoid(around_peak(out["pred_heatmaps"] * sharpness))
