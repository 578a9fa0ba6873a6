"""The error model of a 2D stage, measured on annotated images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cascadepose.data.coco import CocoImage, ImageStore
from cascadepose.data.error_model import ErrorModel, measure
from cascadepose.errors import InputError
from cascadepose.timing import progress_bar

if TYPE_CHECKING:
    from cascadepose.evaluation.coco_run import Predictor


def measure_errors(
    predictor: Predictor,
    images: Sequence[CocoImage],
    min_joints: int = 12,
    min_size: float = 64.0,
    source: str = "",
    progress: bool = True,
) -> ErrorModel:
    """Run a 2D stage in the annotated boxes and measure how far its joints are off.

    min_joints, min_size: people with fewer annotated joints, or smaller (root of the box's area, px), are left out, for
    they are not who is lifted.
    Raises InputError when nobody is left.
    """
    store = ImageStore([], cache=False)
    found, truths, sizes = [], [], []
    with progress_bar("images", len(images), progress) as advance:
        for image in images:
            size = np.sqrt(np.prod(image.boxes_xyxy[:, 2:] - image.boxes_xyxy[:, :2], axis=1))
            chosen = ((image.keypoints[..., 2] > 0).sum(1) >= min_joints) & (size >= min_size)
            if chosen.any():
                found += predictor.predict([store(image.path)], [image.boxes_xyxy[chosen]])
                truths.append(image.keypoints[chosen])
                sizes.append(size[chosen])
            advance(1)
    if not found:
        raise InputError(
            f"nobody has {min_joints} annotated joints and {min_size:g} px; lower --min-joints or --min-size"
        )
    truth = np.concatenate(truths)
    keypoints, scores = (np.concatenate([getattr(poses, name) for poses in found]) for name in ("keypoints", "scores"))
    names = ", ".join(Path(part.strip()).name for part in source.split(","))
    facts = f"{names}: {len(truth)} people with {min_joints} or more joints, {min_size:g} px or more"
    return measure(keypoints, scores, truth[..., :2], truth[..., 2] > 0, np.concatenate(sizes), facts)
