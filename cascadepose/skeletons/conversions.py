"""The linear maps between joint sets: which joint stands for which, and what is a mean of others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from cascadepose.errors import InputError

if TYPE_CHECKING:
    from cascadepose.skeletons.skeleton import Skeleton

Array = np.ndarray | torch.Tensor


@dataclass(frozen=True)
class Conversion:
    """Joints as sums of other joints, and where their scores come from."""

    matrices: np.ndarray  # [1 or 2, J, K]: one for all axes, or one for x and one for y
    parents: np.ndarray  # [J, P] indices of the joints whose scores count, padded by repetition
    measured: np.ndarray  # [J] bool
    mean_scores: bool

    @property
    def per_axis(self) -> bool:
        return len(self.matrices) == 2


def apply(matrices: np.ndarray, keypoints: Array) -> Array:
    """Joints [..., K, D] by matrices [1 or D, J, K] -> [..., J, D], of the type of the keypoints."""
    if isinstance(keypoints, torch.Tensor):
        weights = torch.as_tensor(matrices, dtype=keypoints.dtype, device=keypoints.device)
        einsum = torch.einsum
    else:
        weights, einsum = matrices.astype(np.result_type(keypoints, np.float32), copy=False), np.einsum
    if len(weights) == 1:
        return einsum("jk,...kd->...jd", weights[0], keypoints)
    return einsum("djk,...kd->...jd", weights, keypoints)


def convert_scores(rule: Conversion, scores: Array) -> Array:
    """Scores [..., K] -> [..., J]: the lowest of the parents', or their mean."""
    if isinstance(scores, torch.Tensor):
        gathered = scores[..., torch.as_tensor(rule.parents, device=scores.device)]
        return gathered.mean(-1) if rule.mean_scores else gathered.amin(-1)
    gathered = scores[..., rule.parents]
    return gathered.mean(-1) if rule.mean_scores else gathered.min(-1)


def means(source: Skeleton, target: Skeleton) -> dict[str, str] | None:
    """What joints of the target are means of, for those without a namesake; None where no way is known."""
    return dict(source.conversions).get(target.name, MEANS.get((source.name, target.name)))


@cache
def conversion(source: Skeleton, target: Skeleton, style: str) -> Conversion:
    """The linear map between two skeletons. Raises InputError where there is none, and for an unknown style."""
    if source.name == target.name:
        count = source.num_joints
        return Conversion(np.eye(count)[None], np.arange(count)[:, None], np.ones(count, bool), False)
    if (table := means(source, target)) is None:
        known = ", ".join(f"{a} to {b}" for a, b in MEANS)
        raise InputError(f"no conversion from {source.name} to {target.name}; known: {known}")
    if style not in ("midpoints", "gast"):
        raise InputError(f"unknown conversion style {style!r}; use 'midpoints' or 'gast'")
    rule = by_means(source, target, dict(table), mean_scores=source.name == "halpe26")
    return _gast(rule) if style == "gast" and source.name == "coco17" else rule


MEANS = {  # joints that have no namesake are means of these; a name that is repeated counts twice
    ("coco17", "h36m17"): {
        "pelvis": "left_hip right_hip",
        "spine": "left_shoulder right_shoulder left_hip right_hip",
        "thorax": "left_shoulder right_shoulder",
        "head": "left_eye right_eye",
    },
    ("halpe26", "h36m17"): {"spine": "neck pelvis", "thorax": "neck"},
    ("posetrack17", "h36m17"): {
        "pelvis": "left_hip right_hip",
        "spine": "neck neck left_hip right_hip",
        "thorax": "neck",
    },
    ("halpe26", "coco17"): {},
    ("body25", "coco17"): {},
    ("openpose18", "coco17"): {},
    ("body25", "h36m17"): {"spine": "neck pelvis", "thorax": "neck", "head": "left_eye right_eye"},
    ("openpose18", "h36m17"): {
        "pelvis": "left_hip right_hip",
        "spine": "neck neck left_hip right_hip",
        "thorax": "neck",
        "head": "left_eye right_eye",
    },
    ("mpi_inf_3dhp17", "h36m17"): {"thorax": "neck", "nose": "head", "head": "head_top"},
    ("h36m17", "mpi_inf_3dhp17"): {"neck": "thorax", "head": "nose", "head_top": "head"},
}


def by_means(source: Skeleton, target: Skeleton, means: dict[str, str], mean_scores: bool) -> Conversion:
    """Every joint of the target as the mean of joints of the source. Raises InputError for a joint it does not have."""
    parents = [[source.index(name) for name in means.get(joint, joint).split()] for joint in target.names]
    rows = np.stack([np.eye(source.num_joints)[index].mean(0) for index in parents])
    length = np.lcm.reduce([len(index) for index in parents])  # so that every parent is repeated equally often
    padded = np.array([np.resize(index, length) for index in parents])
    measured = np.array([len(index) == 1 for index in parents])
    return Conversion(rows[None], padded, measured, mean_scores)


def _gast(rule: Conversion) -> Conversion:
    """The offsets of GAST-Net on top of the midpoints of COCO17."""
    coco, rows, measured = np.eye(17), rule.matrices[0], rule.measured.copy()
    shoulders, eyes, ears = (coco[list(pair)].mean(0) for pair in ((5, 6), (1, 2), (3, 4)))
    parents = rule.parents.copy()  # [17, 4]
    parents[10] = [1, 2, 3, 4]
    measured[9] = False
    nose = coco[0]
    thorax = shoulders + (nose - shoulders) / 3
    x, y = rows.copy(), rows.copy()
    x[7] = 3 * rows[7] - (rows[0] + thorax)
    x[8], y[8] = thorax, thorax - (eyes - nose) * 2 / 3
    x[9] = y[9] = nose - (nose - shoulders) / 4
    x[10], y[10] = (eyes + ears) / 2, 2 * eyes - nose
    return Conversion(np.stack([x, y]), parents, measured, mean_scores=True)
