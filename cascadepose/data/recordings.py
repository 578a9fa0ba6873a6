"""One person filmed by one camera, with 2D input and 3D truth: what every benchmark of lifters is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cascadepose.errors import InputError
from cascadepose.skeletons import H36M17, Skeleton

__all__ = ["Recording", "root_relative"]


@dataclass(frozen=True, eq=False)
class Recording:
    """A sequence of T frames. Shapes are checked; 2D and 3D may follow different skeletons.

    keypoints    [T, K, 2] px in `keypoint_skeleton`, scores [T, K] (1 where the source has none)
    joints       [T, J, 3] metres in `skeleton`, camera frame; root-relative where a data set holds no more than that
    image_size   (width, height) px; frame_rate Hz, None if the source does not say
    valid        [T] bool: frames that count
    intrinsics   [9] px (see geometry.project), None if unknown
    pixel_scale  [T] metres that a pixel stands for at the person's depth, None if unknown
    damaged      the truth of this recording is known to be wrong; protocols say whether they count it
    """

    name: str
    subject: str
    action: str
    camera: str
    keypoints: np.ndarray
    scores: np.ndarray
    joints: np.ndarray
    image_size: tuple[int, int]
    frame_rate: float | None = None
    valid: np.ndarray | None = None
    intrinsics: np.ndarray | None = None
    pixel_scale: np.ndarray | None = None
    damaged: bool = False
    keypoint_skeleton: Skeleton = H36M17
    skeleton: Skeleton = H36M17

    def __post_init__(self) -> None:
        count = len(self.joints)
        if self.valid is None:
            object.__setattr__(self, "valid", np.ones(count, bool))
        shapes = {
            "keypoints": (count, self.keypoint_skeleton.num_joints, 2),
            "scores": (count, self.keypoint_skeleton.num_joints),
            "joints": (count, self.skeleton.num_joints, 3),
            "valid": (count,),
            "pixel_scale": (count,),
            "intrinsics": (9,),
        }
        for name, shape in shapes.items():
            values = getattr(self, name)
            if values is None:
                continue
            if values.shape != shape:
                raise InputError(f"{self.name}: {name} has shape {values.shape}, expected {shape}")
            if not np.isfinite(values).all():
                raise InputError(f"{self.name}: {name} holds NaN or infinite values; remove or repair that recording")
        if count == 0:
            raise InputError(f"{self.name}: has no frames; remove it")

    def __len__(self) -> int:
        return len(self.joints)


def root_relative(joints: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Joints [..., J, 3] with the root of the skeleton at the origin."""
    root = skeleton.parents.index(-1)
    return joints - joints[..., root : root + 1, :]
