"""A named list of joints and what is known of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cascadepose.errors import InputError
from cascadepose.skeletons.conversions import Array, apply, conversion, convert_scores, means


@dataclass(frozen=True)
class Skeleton:
    """A named joint list.

    names       joint names in order
    parents     index of each joint's parent, -1 for the root
    flip_pairs  (left, right) index pairs that a mirrored image exchanges
    edges       index pairs to draw
    sigmas      per-joint OKS constants (COCO), or None where no OKS is defined
    conversions of a declared joint set: pairs of another set's name and, for those of its joints that have no namesake
                here, pairs of joint and what it is the mean of: ((name, ((joint, "a b"), ...)), ...)
    """

    name: str
    names: tuple[str, ...]
    parents: tuple[int, ...]
    flip_pairs: tuple[tuple[int, int], ...]
    edges: tuple[tuple[int, int], ...]
    sigmas: tuple[float, ...] | None = None
    conversions: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()

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
        return self.name == other.name or means(self, other) is not None

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
        if to is None:
            from cascadepose.skeletons.joint_sets import H36M17 as to
        if keypoints.shape[-2] != self.num_joints:
            raise InputError(f"{self.name} keypoints need {self.num_joints} joints, got shape {tuple(keypoints.shape)}")
        if scores is not None and scores.shape[-1] != self.num_joints:
            raise InputError(f"{self.name} scores need {self.num_joints} joints, got shape {tuple(scores.shape)}")
        rule = conversion(self, to, style)
        if rule.per_axis and keypoints.shape[-1] != 2:
            raise InputError(
                f"style {style!r} is defined in the image plane only; use 'midpoints' for {keypoints.shape[-1]}D joints"
            )
        joints = apply(rule.matrices, keypoints)
        return joints, None if scores is None else convert_scores(rule, scores), rule.measured.copy()
