"""People of one frame as the label objects of other tools: supervision (drawing, zones) and FiftyOne (browsing data).

Only people who were seen in the frame count; ids are those of the tracks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cascadepose.errors import InputError

if TYPE_CHECKING:
    from cascadepose.types import VideoResult


def to_supervision(result: VideoResult, frame_index: int = 0) -> tuple[Any, Any]:
    """`supervision.KeyPoints` (pixels) and `supervision.Detections` (boxes with tracker_id) of a frame.

    Raises InputError where supervision is missing.
    """
    sv = _package("supervision")
    people = _seen(result, frame_index)
    rows = {
        name: np.array([getattr(track, name)[row] for track, row in people], np.float32)
        for name in ("keypoints", "scores", "boxes_xyxy", "box_scores")
    }
    person = np.zeros(len(people), int)
    joints = result.tracks[0].skeleton.num_joints if result.tracks else 0
    return (
        # by position: the third has changed its name between versions
        sv.KeyPoints(rows["keypoints"].reshape(-1, joints, 2), person, rows["scores"].reshape(-1, joints)),
        sv.Detections(
            xyxy=rows["boxes_xyxy"].reshape(-1, 4),
            confidence=rows["box_scores"],
            class_id=person,
            tracker_id=np.array([track.track_id for track, _ in people], int),
        ),
    )


def to_fiftyone(result: VideoResult, frame_index: int = 0) -> tuple[Any, Any]:
    """`fiftyone.Keypoints` and `fiftyone.Detections` of a frame, in 0..1 of the picture; `index` is the track's id.

    Raises InputError where fiftyone is missing.
    """
    fo = _package("fiftyone")
    size = np.array(result.frame_size, float)
    keypoints, detections = [], []
    for track, row in _seen(result, frame_index):
        facts = {"label": "person", "index": track.track_id}
        points = (track.keypoints[row] / size).tolist()
        keypoints.append(fo.Keypoint(points=points, confidence=track.scores[row].tolist(), **facts))
        low, high = track.boxes_xyxy[row].reshape(2, 2) / size
        box = [*low.tolist(), *(high - low).tolist()]
        detections.append(fo.Detection(bounding_box=box, confidence=float(track.box_scores[row]), **facts))
    return fo.Keypoints(keypoints=keypoints), fo.Detections(detections=detections)


def _seen(result: VideoResult, frame_index: int) -> list[tuple[Any, int]]:
    return [(track, row) for track, row in result.people(frame_index) if track.observed[row]]


def _package(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        raise InputError(f"{name} is not installed: pip install {name}") from None
