"""MPI-INF-3DHP as P-STMO and PoseFormerV2 pass it around: `data_train_3dhp.npz`, `data_test_3dhp.npz`.

Joints are MPI_INF_3DHP17. The 3D truth is `univ_annot3`: bodies scaled to one size ("universal" skeleton), as in the
benchmark's own evaluation; the 2D joints are the annotated ones.
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
from cascadepose.skeletons import MPI_INF_3DHP17

__all__ = ["SOURCE_2D", "read_3dhp_test", "read_3dhp_train"]

SOURCE_2D = "annotated joints"
IMAGE_SIZE, OUTDOOR_SIZE = (2048, 2048), (1920, 1080)  # TS5 and TS6 are outdoors
LAYOUT = "expected the layout of P-STMO's data_{}_3dhp.npz"


@expects("P-STMO's data_test_3dhp.npz")
def read_3dhp_test(path: str | Path, sequences: Sequence[str] | None = None) -> list[Recording]:
    """The test sequences TS1..TS6 (or those named) in metres, camera frame; frames that are not valid do not count.

    Layout: `data`: {"TS1": {"data_2d": [T, 17, 2] px, "data_3d": [T, 17, 3] mm, "valid": [T]}}. Raises InputError for
    another one and for sequences that are not there.
    """
    data = _data(path, "test")
    if missing := [name for name in sequences or () if name not in data]:
        raise InputError(f"{path}: has no sequence {missing[0]!r}; it holds {', '.join(data)}")
    recordings = []
    for name in sequences or data:
        entry = data[name]
        if not isinstance(entry, dict) or "valid" not in entry:
            raise InputError(f"{path}: {name} has no data_2d, data_3d and valid; {LAYOUT.format('test')}")
        size = OUTDOOR_SIZE if name in ("TS5", "TS6") else IMAGE_SIZE
        valid = np.asarray(entry["valid"]).ravel().astype(bool)
        recordings.append(_record(path, entry, name, name, "", size, None, valid))
    return recordings


@expects("P-STMO's data_train_3dhp.npz")
def read_3dhp_train(
    path: str | Path, subjects: Sequence[str] | None = None, cameras: Sequence[str] | None = None
) -> list[Recording]:
    """Every training sequence as every camera saw it, in metres, camera frame.

    Layout: `data`: {"S1 Seq1": [{camera: {"data_2d": [T, 17, 2] px, "data_3d": [T, 17, 3] mm}}, fps]}; cameras 0, 1, 2,
    4, 5, 6, 7 and 8. Raises InputError for another layout and where nothing is left of the choice.
    """
    recordings = []
    for name, entry in _data(path, "train").items():
        if not isinstance(entry, list | tuple | np.ndarray) or len(entry) != 2 or not isinstance(entry[0], dict):
            raise InputError(f"{path}: {name} is not a pair of cameras and frame rate; {LAYOUT.format('train')}")
        views, rate = entry[0], float(entry[1])
        subject = str(name).split(" ")[0]
        if subjects is not None and subject not in subjects:
            continue
        for camera, view in views.items():
            if cameras is None or str(camera) in cameras:
                recordings.append(_record(path, view, str(name), subject, str(camera), IMAGE_SIZE, rate, None))
    if not recordings:
        raise InputError(f"{path}: has nothing of these subjects and cameras; check the names")
    return recordings


def _data(path: str | Path, part: str) -> dict[str, Any]:
    data = read_npz(path).get("data")
    if not isinstance(data, dict) or not data:
        raise InputError(f"{path}: has no 'data' of sequences; {LAYOUT.format(part)}")
    return data


def _record(
    path: str | Path,
    entry: Any,
    name: str,
    subject: str,
    camera: str,
    image_size: tuple[int, int],
    rate: float | None,
    valid: np.ndarray | None,
) -> Recording:
    if not isinstance(entry, dict) or not {"data_2d", "data_3d"} <= entry.keys():
        raise InputError(f"{path}: {name} {camera} has no data_2d and data_3d; it is not of P-STMO's layout")
    keypoints = np.asarray(entry["data_2d"], np.float32)
    joints = np.asarray(entry["data_3d"], np.float32) / 1000
    where = f"{path}: {name} {camera}".rstrip()
    if keypoints.ndim != 3 or keypoints.shape[1:] != (17, 2) or joints.shape != (len(keypoints), 17, 3):
        raise InputError(
            f"{where} has data_2d {keypoints.shape} and data_3d {joints.shape}; expected [T,17,2] and [T,17,3]"
        )
    return Recording(
        name=f"{name} {camera}".rstrip(),
        subject=subject,
        action=name,
        camera=camera,
        keypoints=keypoints,
        scores=np.ones(keypoints.shape[:2], np.float32),
        joints=joints,
        image_size=image_size,
        frame_rate=rate,
        valid=valid,
        keypoint_skeleton=MPI_INF_3DHP17,
        skeleton=MPI_INF_3DHP17,
    )
