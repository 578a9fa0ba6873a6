"""Evaluating a lifter the way it is used: motion capture seen by virtual cameras, through `lift_sequences`."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from cascadepose.data.bodies import FOREARM_EXTENSION, HIP_WIDENING, adapt_body
from cascadepose.data.cameras import random_camera
from cascadepose.data.motion import observe
from cascadepose.errors import InputError
from cascadepose.evaluation.lifting import mpjpe, mpjve, n_mpjpe, p_mpjpe
from cascadepose.models.lifters.window import Sequence2D, lift_sequences

METRICS = {"MPJPE": mpjpe, "P-MPJPE": p_mpjpe, "N-MPJPE": n_mpjpe, "MPJVE": mpjve}
BODY = (
    f"motion capture joints moved to Human3.6M's definitions: hips widened by {HIP_WIDENING}, forearms extended by "
    f"{FOREARM_EXTENSION}, thorax on the shoulder line, head rebuilt from the neck; no other change of proportions"
)


def evaluate_lifter(
    lifter: nn.Module,
    sequences: dict[str, np.ndarray],
    noise: str = "clean",
    seed: int = 0,
    cameras: int = 2,
    source_rate: float = 60.0,
    video_rate: float = 30.0,
    flip_test: bool = True,
    baseline: np.ndarray | None = None,
) -> dict[str, Any]:
    """Errors in mm over every frame of `sequences` (name -> [T, 17, 3] metres, y up) as a video would show them.

    noise     "clean": projected joints with score 1; "detector": errors and scores of data/noise.py
    seed      draws cameras and noise; the same for every lifter
    cameras   views of each sequence
    baseline  [17, 3] metres, root-relative, camera frame: a pose to answer always (default: the lifter's `mean_pose`)

    Returns {"lifter": {metric: mm}, "mean_pose": the same for the baseline or None, "protocol": {...}}.
    """
    if noise not in ("clean", "detector"):
        raise InputError(f"unknown noise {noise!r}; use 'clean' or 'detector'")
    step = max(round(source_rate / video_rate), 1)
    truths, inputs = [], []
    for number, joints in enumerate(sequences.values()):
        for camera in range(cameras):
            truth, sequence = _film(joints[::step], step / source_rate, noise, [seed, number, camera])
            truths.append(truth)
            inputs.append(sequence)
    poses = lift_sequences(lifter, inputs, batch_size=32, flip_test=flip_test)
    baseline = getattr(lifter, "mean_pose", None) if baseline is None else baseline
    fixed = None if baseline is None else [np.broadcast_to(np.float32(baseline), t.shape) for t in truths]
    return {
        "lifter": _average(poses, truths),
        "mean_pose": None if fixed is None else _average(fixed, truths),
        "protocol": {
            "sequences": len(sequences),
            "frames": sum(len(t) for t in truths),
            "joints": "17, Human3.6M order, root-relative (pelvis at the origin), camera axes, millimetres",
            "body": BODY,
            "2d_source": f"{noise}: COCO-17 keypoints of the projected body"
            + (
                ", errors and scores as measured of the packaged 2D stage, lost frames"
                if noise == "detector"
                else ", every score 1"
            ),
            "video_rate_hz": source_rate / step,
            "lifter_rate_hz": lifter.frame_rate,
            "window": lifter.num_frames,
            "flip_test": flip_test,
            "cameras": f"{cameras} a sequence, static; side, elevation, roll, lens, distance drawn with seed {seed}",
            "averaging": "mean over all frames of all sequences and cameras; MPJVE in mm a video frame",
        },
    }


def _film(joints: np.ndarray, interval: float, noise: str, seed: list[int]) -> tuple[np.ndarray, Sequence2D]:
    """One view of one sequence: the truth [T, 17, 3] and what a 2D stage reports."""
    rng = np.random.default_rng(seed)
    body = adapt_body(joints)
    camera = random_camera(body, rng, whole=True)
    truth, keypoints, scores = observe(body, camera, rng if noise == "detector" else None, level=1.0)
    return truth, Sequence2D(keypoints, scores, camera.image_size, np.arange(len(joints)) * interval)


def _average(poses: list[np.ndarray], truths: list[np.ndarray]) -> dict[str, float]:
    return {
        name: round(float(np.concatenate([metric(p, t) for p, t in zip(poses, truths, strict=True)]).mean()), 2)
        for name, metric in METRICS.items()
    }
