"""MPII Human Pose: the json annotations that 2D codes share (`annot/train.json`, `valid.json`), and the truth file.

Pixel positions of MPII count from 1, as Matlab does; here, as everywhere, the first pixel is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cascadepose.data.layouts import expects
from cascadepose.errors import InputError
from cascadepose.files import read_json
from cascadepose.skeletons import MPII16

__all__ = ["MpiiPeople", "MpiiTruth", "read_mpii", "read_mpii_truth"]

REFERENCE = 200.0  # pixels of a person's height at scale 1


@dataclass(frozen=True, eq=False)
class MpiiPeople:
    """The annotated people of a file, one row each.

    images names; centers [N, 2] px and scales [N] (height / 200) as annotated; keypoints [N, 16, 2] px (MPII16) and
    visible [N, 16] bool (labelled at all); both are zero in files without joints.
    """

    images: tuple[str, ...]
    centers: np.ndarray
    scales: np.ndarray
    keypoints: np.ndarray
    visible: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    def boxes_xyxy(self, aspect: float = 1.0, enlarge: float = 1.25) -> np.ndarray:
        """The boxes [N, 4] that 2D codes crop: centre moved down by 15 scale, 250 scale high, width = aspect height.

        enlarge: 1 for the boxes before they are enlarged, 200 scale high.
        """
        center = self.centers + np.stack([np.zeros_like(self.scales), 15 * self.scales], -1)
        half = self.scales[:, None] * enlarge * REFERENCE / 2 * np.array([aspect, 1.0], np.float32)
        return np.concatenate([center - half, center + half], -1)


@dataclass(frozen=True, eq=False)
class MpiiTruth:
    """What PCKh is measured against: keypoints [N, 16, 2] px, missing [N, 16] bool, head_boxes_xyxy [N, 4] px."""

    keypoints: np.ndarray
    missing: np.ndarray
    head_boxes_xyxy: np.ndarray


@expects("MPII's annot/train.json, valid.json or test.json")
def read_mpii(path: str | Path) -> MpiiPeople:
    """People of a json list of {"image", "center" [2], "scale", "joints" [16][2], "joints_vis" [16]}.

    Raises InputError for a file that cannot be read or has another layout.
    """
    content = read_json(path, "MPII annotation file")
    if not isinstance(content, list) or not content:
        raise InputError(f"{path}: is no list of people; expected MPII's annot/train.json, valid.json or test.json")
    rows = [_person(path, number, entry) for number, entry in enumerate(content)]
    images, centers, scales, joints, visible = zip(*rows, strict=True)
    return MpiiPeople(images, np.stack(centers), np.float32(scales), np.stack(joints), np.stack(visible))


def _person(path: str | Path, number: int, entry: Any) -> tuple[str, np.ndarray, float, np.ndarray, np.ndarray]:
    count = MPII16.num_joints
    try:
        center = np.asarray(entry["center"], np.float32).reshape(2) - 1
        joints = np.asarray(entry.get("joints", np.ones((count, 2))), np.float32).reshape(count, 2) - 1
        visible = np.asarray(entry.get("joints_vis", np.zeros(count)), np.float32).reshape(count) > 0
        return str(entry["image"]), center, float(entry["scale"]), np.where(visible[:, None], joints, 0), visible
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"has no {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(
            f"{path}: person {number} {reason}; expected image, center, scale, joints, joints_vis"
        ) from None


def read_mpii_truth(path: str | Path) -> MpiiTruth:
    """The truth of the validation set: `gt_valid.mat` with pos_gt_src [16,2,N], jnt_missing [16,N], headboxes_src.

    headboxes_src [2,2,N] holds two corners. Raises InputError for a file that cannot be read or has another layout.
    """
    from scipy.io import loadmat

    try:
        content = loadmat(path)
        points, missing, boxes = (np.float64(content[key]) for key in ("pos_gt_src", "jnt_missing", "headboxes_src"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except Exception as error:  # the reader of .mat files fails in many ways
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: is no MPII truth file ({reason}); expected gt_valid.mat") from None
    count = points.shape[-1]
    if points.shape != (16, 2, count) or missing.shape != (16, count) or boxes.shape != (2, 2, count):
        raise InputError(
            f"{path}: has shapes {points.shape}, {missing.shape}, {boxes.shape}; expected pos_gt_src [16,2,N], "
            "jnt_missing [16,N], headboxes_src [2,2,N]"
        )
    boxes = boxes.transpose(2, 0, 1).reshape(count, 4)
    return MpiiTruth(points.transpose(2, 0, 1) - 1, missing.T > 0, boxes - 1)
