"""HumanEva-I as VideoPose3D passes it around: `data_3d_humaneva15.npz`, `data_2d_humaneva15_*.npz`.

Joints are HUMANEVA15. Actions are cut into chunks ("Walking 1 chunk0") where the motion capture was lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cascadepose.data.layouts import expects
from cascadepose.data.pickles import read_npz
from cascadepose.data.recordings import Recording
from cascadepose.errors import InputError
from cascadepose.geometry import world_to_camera
from cascadepose.skeletons import COCO17, HUMANEVA15

__all__ = ["FRAME_RATE", "IMAGE_SIZE", "VALIDATION_SUBJECTS", "read_humaneva"]

VALIDATION_SUBJECTS = ("Validate/S1", "Validate/S2", "Validate/S3")
FRAME_RATE, IMAGE_SIZE = 60.0, (640, 480)
LAYOUTS = {"humaneva15": HUMANEVA15, "coco": COCO17}
CAMERAS = ("C1", "C2", "C3")
_FIRST = (
    (0.424207, -0.4983646, -0.5802981, 0.4847012, 4062.227, 663.2477, 1528.397),
    (0.6503354, -0.7481602, -0.0919284, 0.0941766, 844.8131, -3805.2092, 1504.9929),
    (0.0664734, -0.0690535, 0.7416416, -0.6639132, -797.67377, 3916.3174, 1433.6602),
)
_SECOND = (
    (0.4214752, -0.4961493, -0.5838273, 0.4851187, 4112.9121, 626.4929, 1545.2988),
    (0.6501393, -0.7476588, -0.0954617, 0.0959808, 923.5740, -3877.9243, 1504.5518),
    (0.0699353, -0.0712403, 0.7421637, -0.662742, -781.4915, 3838.8853, 1444.9929),
)
EXTRINSICS = {"S1": _FIRST, "S2": _SECOND, "S3": _FIRST}  # quaternion (camera to world), centre in millimetres


@expects("data_3d_ and data_2d_humaneva15*.npz of VideoPose3D's layout")
def read_humaneva(
    data_3d: str | Path,
    data_2d: str | Path,
    subjects: Sequence[str] = VALIDATION_SUBJECTS,
    actions: Sequence[str] | None = None,
) -> list[Recording]:
    """Each chunk of each subject as each of the three cameras saw it, in metres, camera frame, at 60 Hz.

    data_3d  npz, `positions_3d`: {"Validate/S1": {"Walking 1 chunk0": [T, 15, 3] metres, world frame}}
    data_2d  npz, `positions_2d`: {subject: {action: three arrays [T', 15 or 17, 2] px, T' >= T}} and `metadata`
    actions  how the actions' names begin ("Walk", "Jog", "Box"; default: all)
    Raises InputError for files of another layout and for what the 2D file lacks.
    """
    truth, content = read_npz(data_3d).get("positions_3d"), read_npz(data_2d)
    points, metadata = content.get("positions_2d"), content.get("metadata")
    if not isinstance(truth, dict) or not isinstance(points, dict) or not isinstance(metadata, dict):
        raise InputError(f"{data_3d}, {data_2d}: not of the layout of VideoPose3D's data_3d_ and data_2d_humaneva15")
    if (layout := metadata.get("layout_name")) not in LAYOUTS:
        raise InputError(f"{data_2d}: its joints have the layout {layout!r}; known: {', '.join(LAYOUTS)}")
    recordings = []
    for subject in subjects:
        person = subject.split("/")[-1]
        if subject not in truth or person not in EXTRINSICS:
            raise InputError(f"{data_3d}: has no subject {subject!r}; it holds {', '.join(truth)}")
        for action, joints in truth[subject].items():
            if actions is not None and not action.startswith(tuple(actions)):
                continue
            views = points.get(subject, {}).get(action)
            if views is None or len(views) != len(CAMERAS):
                raise InputError(
                    f"{data_2d}: {subject} {action} is missing or has no three cameras; make the file again"
                )
            for name, row, view in zip(CAMERAS, EXTRINSICS[person], views, strict=True):
                recordings.append(_record(subject, action, name, row, joints, view, layout))
    return recordings


def _record(
    subject: str, action: str, camera: str, row: tuple[float, ...], joints: Any, view: Any, layout: str
) -> Recording:
    world = np.asarray(joints, np.float32)
    keypoints = np.asarray(view, np.float32)[: len(world), :, :2]
    return Recording(
        name=f"{subject} {action} {camera}",
        subject=subject,
        action=action,
        camera=camera,
        keypoints=keypoints,
        scores=np.ones(keypoints.shape[:2], np.float32),
        joints=world_to_camera(world, np.float32(row[:4]), np.float32(row[4:]) / np.float32(1000)),
        image_size=IMAGE_SIZE,
        frame_rate=FRAME_RATE,
        keypoint_skeleton=LAYOUTS[layout],
        skeleton=HUMANEVA15,
    )
