"""Human3.6M as VideoPose3D, PoseFormer and Strided Transformer pass it around: data_3d_h36m.npz, data_2d_h36m_*.npz.

    recordings = read_h36m("data_3d_h36m.npz", "data_2d_h36m_cpn_ft_h36m_dbb.npz", subjects=("S9", "S11"))

The data set's terms forbid passing it on; these files are made with VideoPose3D's instructions from the originals.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cascadepose.data.h36m_cameras import CAMERAS, EXTRINSICS, H36MCamera, h36m_cameras
from cascadepose.data.layouts import expects
from cascadepose.data.pickles import read_npz
from cascadepose.data.recordings import Recording
from cascadepose.errors import InputError
from cascadepose.geometry import project, world_to_camera
from cascadepose.skeletons import COCO17, H36M17, Skeleton

__all__ = ["ACTIONS", "FRAME_RATE", "TEST_SUBJECTS", "TRAIN_SUBJECTS", "read_h36m", "source_2d"]

TRAIN_SUBJECTS = ("S1", "S5", "S6", "S7", "S8")
TEST_SUBJECTS = ("S9", "S11")
FRAME_RATE = 50.0
ACTIONS = (
    *("Directions", "Discussion", "Eating", "Greeting", "Phoning", "Photo", "Posing", "Purchases", "Sitting"),
    *("SittingDown", "Smoking", "Waiting", "WalkDog", "Walking", "WalkTogether"),
)
KEPT = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)  # of the 32 recorded joints; the rest do not move
# The truth of these has drifted. MotionBERT leaves them out, as s_09_act_05_subact_02, _10_..02 and _13_..01; here they
# have the names of the original files (https://github.com/Vegetebird/MHFormer/issues/92).
DAMAGED = {("S9", "Greeting"), ("S9", "SittingDown 1"), ("S9", "Waiting 1")}
RENAMED = {"TakingPhoto": "Photo", "WalkingDog": "WalkDog", "WalkingTogether": "WalkTogether"}
LAYOUTS = {"h36m": H36M17, "coco": COCO17}  # `layout_name` of 2D files
LAYOUT = "expected data_{} of VideoPose3D's layout"


@expects("data_3d_h36m.npz and data_2d_h36m_*.npz of VideoPose3D's layout")
def read_h36m(
    data_3d: str | Path,
    data_2d: str | Path | None = None,
    subjects: Sequence[str] = TEST_SUBJECTS,
    actions: Sequence[str] | None = None,
) -> list[Recording]:
    """Each action of each subject as each of the four cameras saw it, in metres and the camera's frame, at 50 Hz.

    data_3d  npz, `positions_3d`: {subject: {action: [T, 32 or 17, 3] metres, world frame}}
    data_2d  npz, `positions_2d`: {subject: {action: four arrays [T', 17, 2] px, T' >= T}} and `metadata`; None: the
             true joints through the cameras with their distortion, as `data_2d_h36m_gt.npz` has them
    actions  first words of the actions' names (default: all)

    S11's Directions is left out as everywhere: its video is corrupt. Raises InputError for files of another layout,
    unknown subjects, and recordings that the 2D file lacks or has too short.
    """
    truth = _positions(data_3d, "positions_3d")
    points, skeleton = (None, H36M17) if data_2d is None else _read_2d(data_2d)
    recordings = []
    for subject in subjects:
        if subject not in EXTRINSICS or subject not in truth:
            raise InputError(f"{data_3d}: has no subject {subject!r}; it holds {', '.join(map(str, truth))}")
        for raw, joints in truth[subject].items():
            action = _canonical(raw)
            if (actions is not None and action.split()[0] not in actions) or (subject, action) == ("S11", "Directions"):
                continue
            world = _joints(joints, f"{data_3d}: {subject} {raw}")
            views = None if points is None else _views(points, subject, raw, len(world), f"{data_2d}: {subject} {raw}")
            for number, camera in enumerate(h36m_cameras(subject)):
                keypoints = None if views is None else views[number]
                recordings.append(_record(subject, action, camera, world, keypoints, skeleton))
    if not recordings:
        raise InputError(f"{data_3d}: has nothing of {', '.join(actions or subjects)}; check the names")
    return recordings


def source_2d(data_2d: str | Path | None) -> str:
    """What a 2D file is called in protocols: the part of its name that says who found the joints."""
    if data_2d is None:
        return "true joints, projected with distortion"
    stem = Path(data_2d).stem.removeprefix("data_2d_h36m_")
    return "true joints (gt file)" if stem == "gt" else stem


def _record(
    subject: str, action: str, camera: H36MCamera, world: np.ndarray, keypoints: np.ndarray | None, skeleton: Skeleton
) -> Recording:
    joints = world_to_camera(world, camera.orientation, camera.translation)
    if keypoints is None:
        keypoints = project(joints, camera.intrinsics, clamp=1.0)
    return Recording(
        name=f"{subject} {action} {camera.name}",
        subject=subject,
        action=action,
        camera=camera.name,
        keypoints=keypoints.astype(np.float32),
        scores=np.ones(keypoints.shape[:2], np.float32),
        joints=joints.astype(np.float32),
        image_size=camera.image_size,
        frame_rate=FRAME_RATE,
        intrinsics=camera.intrinsics,
        damaged=(subject, action) in DAMAGED,
        keypoint_skeleton=skeleton,
    )


def _positions(path: str | Path, key: str) -> dict[str, dict[str, Any]]:
    content = read_npz(path).get(key)
    if not isinstance(content, dict) or not all(isinstance(actions, dict) for actions in content.values()):
        raise InputError(f"{path}: has no {key!r} of subjects and actions; {LAYOUT.format(key[-2:] + '_h36m.npz')}")
    return content


def _read_2d(path: str | Path) -> tuple[dict[str, dict[str, Any]], Skeleton]:
    content = read_npz(path)
    layout = content["metadata"].get("layout_name", "h36m") if isinstance(content.get("metadata"), dict) else "h36m"
    if layout not in LAYOUTS:
        raise InputError(f"{path}: its joints have the layout {layout!r}; known: {', '.join(LAYOUTS)}")
    return _positions(path, "positions_2d"), LAYOUTS[layout]


def _canonical(action: str) -> str:
    """The name in VideoPose3D's files: an original name with three first words shortened."""
    first, *rest = action.split(" ")
    return " ".join([RENAMED.get(first, first), *rest])


def _joints(joints: Any, where: str) -> np.ndarray:
    """World joints [T, 17, 3] float32."""
    joints = np.asarray(joints, np.float32)
    if joints.ndim != 3 or joints.shape[1:] not in ((32, 3), (17, 3)):
        raise InputError(f"{where} has shape {joints.shape}; {LAYOUT.format('3d_h36m.npz')}, [T,32,3] metres")
    return joints[:, KEPT] if joints.shape[1] == 32 else joints


def _views(points: dict, subject: str, action: str, frames: int, where: str) -> list[np.ndarray]:
    """The 2D joints of the four cameras, cut to the frames of the motion capture."""
    views = points.get(subject, {}).get(action, points.get(subject, {}).get(_canonical(action)))
    if views is None:
        raise InputError(f"{where} is missing; give 2D joints of the same subjects and actions")
    views = [np.asarray(view, np.float32)[..., :2] for view in views]
    if len(views) != len(CAMERAS) or any(view.shape[1:] != (17, 2) for view in views):
        raise InputError(
            f"{where} has {len(views)} arrays of shapes {[view.shape for view in views]}; "
            f"{LAYOUT.format('2d_h36m_*.npz')}, four of [T,17,2] pixels"
        )
    if any(len(view) < frames for view in views):
        raise InputError(
            f"{where} has {min(map(len, views))} frames, fewer than the {frames} of the truth; copy the file again"
        )
    return [view[:frames] for view in views]
