"""Joint lists, their relations, and the linear maps between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import numpy as np
import torch

from cascadepose.errors import InputError

Array = np.ndarray | torch.Tensor


@dataclass(frozen=True)
class Skeleton:
    """A named joint list.

    names       joint names in order
    parents     index of each joint's parent, -1 for the root
    flip_pairs  (left, right) index pairs that a mirrored image exchanges
    edges       index pairs to draw
    sigmas      per-joint OKS constants (COCO), or None where no OKS is defined
    """

    name: str
    names: tuple[str, ...]
    parents: tuple[int, ...]
    flip_pairs: tuple[tuple[int, int], ...]
    edges: tuple[tuple[int, int], ...]
    sigmas: tuple[float, ...] | None = field(default=None)

    @property
    def num_joints(self) -> int:
        return len(self.names)

    @property
    def flip_index(self) -> tuple[int, ...]:
        """Permutation that exchanges left and right: `x[..., flip_index, :]`."""
        index = list(range(self.num_joints))
        for left, right in self.flip_pairs:
            index[left], index[right] = right, left
        return tuple(index)

    def index(self, name: str) -> int:
        """Position of joint `name`; InputError names the joints there are."""
        try:
            return self.names.index(name)
        except ValueError:
            raise InputError(f"{self.name} has no joint {name!r}; use one of: {', '.join(self.names)}") from None

    def converts_to(self, other: Skeleton) -> bool:
        """Whether `convert` knows the way to the joints of `other`."""
        return self.name == other.name or (self.name, other.name) in _MEANS

    def convert(
        self, keypoints: Array, scores: Array | None = None, to: Skeleton | None = None, style: str = "midpoints"
    ) -> tuple[Array, Array | None, np.ndarray]:
        """Map joints of this skeleton to those of `to` (default: H36M17); linear, so differentiable.

        keypoints  [..., K, D]; D is 2 (image, y down) or, for "midpoints" only, any number of coordinates
        scores     [..., K] or None
        style      "midpoints": joints that have no namesake are means, from COCO-17: pelvis, spine, thorax and head of
                   hips, hips and shoulders, shoulders, and eyes (the practice of MotionBERT);
                   "gast": the offsets that the MHFormer and Strided Transformer demos use (GAST-Net), averaged
                   scores; it differs for COCO-17 only

        Returns joints [..., J, D], scores [..., J] (a synthesised joint has the lowest score of its parents, from
        Halpe-26 their mean as in MotionBERT; None if none were given), and measured [J], False for joints that no
        single input joint stands for.
        Raises InputError for an unknown pair of skeletons or style, or a joint count that is not this skeleton's.
        """
        to = H36M17 if to is None else to
        if keypoints.shape[-2] != self.num_joints:
            raise InputError(f"{self.name} keypoints need {self.num_joints} joints, got shape {tuple(keypoints.shape)}")
        if scores is not None and scores.shape[-1] != self.num_joints:
            raise InputError(f"{self.name} scores need {self.num_joints} joints, got shape {tuple(scores.shape)}")
        rule = _conversion(self.name, to.name, style)
        if rule.per_axis and keypoints.shape[-1] != 2:
            raise InputError(
                f"style {style!r} is defined in the image plane only; use 'midpoints' for {keypoints.shape[-1]}D joints"
            )
        joints = _apply(rule.matrices, keypoints)
        return joints, None if scores is None else _convert_scores(rule, scores), rule.measured.copy()


@dataclass(frozen=True)
class _Conversion:
    matrices: np.ndarray  # [1 or 2, J, K]: one for all axes, or one for x and one for y
    parents: np.ndarray  # [J, 4] indices of the joints whose scores count, padded by repetition
    measured: np.ndarray  # [J] bool
    mean_scores: bool

    @property
    def per_axis(self) -> bool:
        return len(self.matrices) == 2


def _apply(matrices: np.ndarray, keypoints: Array) -> Array:
    if isinstance(keypoints, torch.Tensor):
        weights = torch.as_tensor(matrices, dtype=keypoints.dtype, device=keypoints.device)
        einsum = torch.einsum
    else:
        weights, einsum = matrices.astype(np.result_type(keypoints, np.float32), copy=False), np.einsum
    if len(weights) == 1:
        return einsum("jk,...kd->...jd", weights[0], keypoints)
    return einsum("djk,...kd->...jd", weights, keypoints)


def _convert_scores(rule: _Conversion, scores: Array) -> Array:
    if isinstance(scores, torch.Tensor):
        gathered = scores[..., torch.as_tensor(rule.parents, device=scores.device)]
        return gathered.mean(-1) if rule.mean_scores else gathered.amin(-1)
    gathered = scores[..., rule.parents]
    return gathered.mean(-1) if rule.mean_scores else gathered.min(-1)


@cache
def _conversion(source: str, target: str, style: str) -> _Conversion:
    if source == target:
        count = SKELETONS[source].num_joints
        return _Conversion(np.eye(count)[None], np.arange(count)[:, None].repeat(4, 1), np.ones(count, bool), False)
    if (source, target) not in _MEANS:
        known = ", ".join(f"{a} to {b}" for a, b in _MEANS)
        raise InputError(f"no conversion from {source} to {target}; known: {known}")
    if style not in ("midpoints", "gast"):
        raise InputError(f"unknown conversion style {style!r}; use 'midpoints' or 'gast'")
    rule = _by_means(SKELETONS[source], SKELETONS[target], _MEANS[source, target], mean_scores=source == "halpe26")
    return _gast(rule) if style == "gast" and source == "coco17" else rule


_MEANS = {  # joints that have no namesake are means of these; a name that is repeated counts twice
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


def _by_means(source: Skeleton, target: Skeleton, means: dict[str, str], mean_scores: bool) -> _Conversion:
    """Every joint of the target as the mean of joints of the source, at most four."""
    parents = [[source.index(name) for name in means.get(joint, joint).split()] for joint in target.names]
    rows = np.stack([np.eye(source.num_joints)[index].mean(0) for index in parents])
    padded = np.array([np.resize(index, 4) for index in parents])
    measured = np.array([len(index) == 1 for index in parents])
    return _Conversion(rows[None], padded, measured, mean_scores)


def _gast(rule: _Conversion) -> _Conversion:
    """The offsets of GAST-Net on top of the midpoints of COCO17."""
    coco, rows, measured = np.eye(17), rule.matrices[0], rule.measured.copy()
    shoulders, eyes, ears = (coco[list(pair)].mean(0) for pair in ((5, 6), (1, 2), (3, 4)))
    parents = rule.parents.copy()
    parents[10] = [1, 2, 3, 4]
    measured[9] = False
    nose = coco[0]
    thorax = shoulders + (nose - shoulders) / 3
    x, y = rows.copy(), rows.copy()
    x[7] = 3 * rows[7] - (rows[0] + thorax)
    x[8], y[8] = thorax, thorax - (eyes - nose) * 2 / 3
    x[9] = y[9] = nose - (nose - shoulders) / 4
    x[10], y[10] = (eyes + ears) / 2, 2 * eyes - nose
    return _Conversion(np.stack([x, y]), parents, measured, mean_scores=True)


COCO17 = Skeleton(
    name="coco17",
    names=(
        "nose",
        "left_eye",
        "right_eye",
        "left_ear",
        "right_ear",
        "left_shoulder",
        "right_shoulder",
        "left_elbow",
        "right_elbow",
        "left_wrist",
        "right_wrist",
        "left_hip",
        "right_hip",
        "left_knee",
        "right_knee",
        "left_ankle",
        "right_ankle",
    ),
    parents=(-1, 0, 0, 1, 2, 0, 0, 5, 6, 7, 8, 5, 6, 11, 12, 13, 14),
    flip_pairs=((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)),
    edges=(
        *((0, 1), (0, 2), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6)),
        *((5, 6), (5, 7), (7, 9), (6, 8), (8, 10)),
        *((5, 11), (6, 12), (11, 12), (11, 13), (13, 15), (12, 14), (14, 16)),
    ),
    sigmas=(
        0.026,
        0.025,
        0.025,
        0.035,
        0.035,
        0.079,
        0.079,
        0.072,
        0.072,
        0.062,
        0.062,
        0.107,
        0.107,
        0.087,
        0.087,
        0.089,
        0.089,
    ),
)

_H36M_PARENTS = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15)

H36M17 = Skeleton(
    name="h36m17",
    names=(
        "pelvis",
        "right_hip",
        "right_knee",
        "right_ankle",
        "left_hip",
        "left_knee",
        "left_ankle",
        "spine",
        "thorax",
        "nose",
        "head",
        "left_shoulder",
        "left_elbow",
        "left_wrist",
        "right_shoulder",
        "right_elbow",
        "right_wrist",
    ),
    parents=_H36M_PARENTS,
    flip_pairs=((4, 1), (5, 2), (6, 3), (11, 14), (12, 15), (13, 16)),
    edges=tuple((parent, joint) for joint, parent in enumerate(_H36M_PARENTS) if parent >= 0),
)

HALPE26 = Skeleton(
    name="halpe26",
    names=(
        *COCO17.names,
        *("head", "neck", "pelvis", "left_big_toe", "right_big_toe", "left_small_toe", "right_small_toe"),
        *("left_heel", "right_heel"),
    ),
    parents=(18, 0, 0, 1, 2, 18, 18, 5, 6, 7, 8, 19, 19, 11, 12, 13, 14, 18, 19, -1, 15, 16, 15, 16, 15, 16),
    flip_pairs=(*COCO17.flip_pairs, (20, 21), (22, 23), (24, 25)),
    edges=(
        *((0, 1), (0, 2), (1, 3), (2, 4), (17, 18), (0, 18), (18, 5), (18, 6), (5, 7), (7, 9), (6, 8), (8, 10)),
        *((18, 19), (19, 11), (19, 12), (11, 13), (13, 15), (12, 14), (14, 16)),
        *((15, 20), (15, 22), (15, 24), (16, 21), (16, 23), (16, 25)),
    ),
)

POSETRACK17 = Skeleton(
    name="posetrack17",
    names=("nose", "neck", "head", *COCO17.names[3:]),
    parents=(1, -1, 1, 0, 0, 1, 1, 5, 6, 7, 8, 5, 6, 11, 12, 13, 14),
    flip_pairs=COCO17.flip_pairs[1:],
    edges=((0, 1), (0, 2), (0, 3), (0, 4), (1, 5), (1, 6), *COCO17.edges[8:]),
)

_BODY = ("nose", "neck", *(f"right_{name}" for name in ("shoulder", "elbow", "wrist")))
_BODY += tuple(f"left_{name}" for name in ("shoulder", "elbow", "wrist"))
_FACE = ("right_eye", "left_eye", "right_ear", "left_ear")
_LEGS = tuple(f"{side}_{name}" for side in ("right", "left") for name in ("hip", "knee", "ankle"))

BODY25 = Skeleton(  # OpenPose's default
    name="body25",
    names=(
        *(*_BODY, "pelvis", *_LEGS, *_FACE),
        *("left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel"),
    ),
    parents=(1, 8, 1, 2, 3, 1, 5, 6, -1, 8, 9, 10, 8, 12, 13, 0, 0, 15, 16, 14, 19, 14, 11, 22, 11),
    flip_pairs=(
        *((5, 2), (6, 3), (7, 4), (12, 9), (13, 10), (14, 11)),
        *((16, 15), (18, 17), (19, 22), (20, 23), (21, 24)),
    ),
    edges=(
        *((1, 8), (1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7), (8, 9), (9, 10), (10, 11), (8, 12), (12, 13)),
        *((13, 14), (1, 0), (0, 15), (15, 17), (0, 16), (16, 18), (14, 19), (19, 20), (14, 21), (11, 22), (22, 23)),
        (11, 24),
    ),
)

OPENPOSE18 = Skeleton(  # OpenPose's COCO model: COCO's joints in another order, and a neck
    name="openpose18",
    names=(*_BODY, *_LEGS, *_FACE),
    parents=(1, -1, 1, 2, 3, 1, 5, 6, 1, 8, 9, 1, 11, 12, 0, 0, 14, 15),
    flip_pairs=((5, 2), (6, 3), (7, 4), (11, 8), (12, 9), (13, 10), (15, 14), (17, 16)),
    edges=(
        *((1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13)),
        *((1, 0), (0, 14), (14, 16), (0, 15), (15, 17)),
    ),
)

_3DHP_PARENTS = (16, 15, 1, 2, 3, 1, 5, 6, 14, 8, 9, 14, 11, 12, -1, 14, 1)

MPI_INF_3DHP17 = Skeleton(  # the 17 of 28 joints that are evaluated, as P-STMO orders them
    name="mpi_inf_3dhp17",
    names=("head_top", *_BODY[1:], *_LEGS, "pelvis", "spine", "head"),
    parents=_3DHP_PARENTS,
    flip_pairs=((5, 2), (6, 3), (7, 4), (11, 8), (12, 9), (13, 10)),
    edges=tuple((parent, joint) for joint, parent in enumerate(_3DHP_PARENTS) if parent >= 0),
)

_HUMANEVA_PARENTS = (-1, 0, 1, 2, 3, 1, 5, 6, 0, 8, 9, 0, 11, 12, 1)

HUMANEVA15 = Skeleton(
    name="humaneva15",
    names=("pelvis", "thorax", *_BODY[5:], *_BODY[2:5], *_LEGS[3:], *_LEGS[:3], "head"),
    parents=_HUMANEVA_PARENTS,
    flip_pairs=((2, 5), (3, 6), (4, 7), (8, 11), (9, 12), (10, 13)),
    edges=tuple((parent, joint) for joint, parent in enumerate(_HUMANEVA_PARENTS) if parent >= 0),
)

_MPII_PARENTS = (1, 2, 6, 6, 3, 4, -1, 6, 7, 8, 11, 12, 7, 7, 13, 14)

MPII16 = Skeleton(
    name="mpii16",
    names=(
        *(*_LEGS[2::-1], *_LEGS[3:], "pelvis", "thorax", "neck", "head_top"),
        *("right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist"),
    ),
    parents=_MPII_PARENTS,
    flip_pairs=((5, 0), (4, 1), (3, 2), (15, 10), (14, 11), (13, 12)),
    edges=tuple((parent, joint) for joint, parent in enumerate(_MPII_PARENTS) if parent >= 0),
)

SKELETONS = {
    skeleton.name: skeleton
    for skeleton in (*(COCO17, H36M17, HALPE26, POSETRACK17, BODY25, OPENPOSE18, MPI_INF_3DHP17, HUMANEVA15, MPII16),)
}
