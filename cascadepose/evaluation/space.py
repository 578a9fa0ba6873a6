"""How well people are placed: motion capture seen by known cameras, lifted, placed, and compared with the truth."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from torch import nn

from cascadepose.data.bodies import TO_COCO, adapt_body
from cascadepose.data.cameras import VirtualCamera, random_camera
from cascadepose.data.error_model import read_error_model
from cascadepose.data.noise import detect, person_size
from cascadepose.geometry import pinhole
from cascadepose.models.lifters.window import Sequence2D, lift_sequences
from cascadepose.rotations import look_at, quaternion_inverse, rotate
from cascadepose.space import place_people
from cascadepose.space.body import stature
from cascadepose.space.contacts import FEET
from cascadepose.space.feet import drift, lock_feet
from cascadepose.types import Camera, Poses3D, Track, VideoResult


def film(
    body: np.ndarray, camera: VirtualCamera, rate: float, level: float = 0.0, rng: np.random.Generator | None = None
) -> tuple[np.ndarray, VideoResult]:
    """World joints [T, 21, 3] as `camera` sees them: true camera-frame joints [T, 17, 3] and a result with one track
    that is not lifted, whose `camera` has the true intrinsics. level: of the detector's errors, 0 for none.
    """
    points, pixels = camera.see(body)
    keypoints, count = pixels[:, TO_COCO], len(body)
    scores = np.ones(keypoints.shape[:2], np.float32)
    spread = np.float32(read_error_model().spread) * person_size(keypoints) * level
    sigma = np.broadcast_to(spread[:, None], keypoints.shape)
    if level:
        keypoints, scores = detect(keypoints, camera.image_size, rng, level)
    boxes_xyxy = np.concatenate([keypoints.min(1), keypoints.max(1)], -1)
    observed, times = scores.max(1) > 0, np.arange(count) / rate
    track = Track(1, np.arange(count), times, boxes_xyxy, observed, keypoints, scores, sigma, observed)
    intrinsics = camera.intrinsics
    seen = Camera(intrinsics[:2], intrinsics[2:4], camera.image_size)
    return points[:, :17].astype(np.float64), VideoResult((track,), camera.image_size, rate, times, "", camera=seen)


def side_camera() -> VirtualCamera:
    """A camera 5.3 m from the world's origin, aslant, 1.7 m high, that looks down a little: 1280x720, 65 degrees."""
    eye = np.array([2.5, 1.7, 4.6])
    orientation = look_at(eye, np.array([0.0, 0.9, 0.0]), np.array([0.0, 1.0, 0.0]), np.zeros(()))
    size = (1280, 720)
    return VirtualCamera(orientation.astype(np.float32), eye.astype(np.float32), pinhole(1000, size), size)


def lift_films(lifter: nn.Module, films: list[VideoResult], batch_size: int = 32) -> list[VideoResult]:
    """The results with 3D joints."""
    tracks = [result.tracks[0] for result in films]
    clips = [
        Sequence2D(track.keypoints, track.scores, result.frame_size, track.timestamp, track.observed)
        for track, result in zip(tracks, films, strict=True)
    ]
    joints = lift_sequences(lifter, clips, batch_size=batch_size)
    return [
        replace(result, tracks=(replace(track, poses3d=Poses3D(points)),))
        for result, track, points in zip(films, tracks, joints, strict=True)
    ]


def compare(result: VideoResult, truth: np.ndarray, camera: VirtualCamera) -> dict[str, float]:
    """Errors of one placed person against true camera-frame joints [T, 17, 3]; mm, degrees, shares of frames."""
    track = result.tracks[0]
    root, joints = track.root - truth[:, 0], track.poses3d.joints - (truth - truth[:, :1])
    up = rotate(quaternion_inverse(camera.orientation), np.float32([0, 1, 0]))
    tilt = np.degrees(np.arccos(np.clip(result.camera.rotation[:, 1] @ up, -1, 1)))
    world = track.in_world(result.camera).joints.astype(np.float64)
    locked = lock_feet(world, track.contacts, track.timestamp, track.observed, 0.0)
    far, off = np.abs(root / track.root_sigma), np.abs(joints / np.maximum(track.poses3d.sigma, 1e-9))[:, 1:]
    truly = result.camera.to_world(truth)
    true_contacts = standing(truly[:, FEET], 1 / np.median(np.diff(track.timestamp)))
    return {
        "root RMS": 1000 * np.sqrt((root**2).sum(-1).mean()),
        "root RMS across": 1000 * np.sqrt((root[:, :2] ** 2).sum(-1).mean()),
        "root RMS depth": 1000 * np.sqrt((root[:, 2] ** 2).mean()),
        "distance": 1000 * truth[:, 0, 2].mean(),
        "floor tilt": float(tilt),
        "drift of contacts": 1000 * drift(world[:, FEET], track.contacts),
        "drift, feet held": 1000 * drift(locked[:, FEET], track.contacts),
        "contacts found": float((track.contacts & true_contacts).sum() / max(true_contacts.sum(), 1)),
        "contacts true": float((track.contacts & true_contacts).sum() / max(track.contacts.sum(), 1)),
        "ankle error": 1000 * _relative_error(world, truly)[:, FEET].mean(),
        "ankle error, feet held": 1000 * _relative_error(locked, truly)[:, FEET].mean(),
        "root depth within 1 sigma": float((far[:, 2] < 1).mean()),
        "root depth within 2 sigma": float((far[:, 2] < 2).mean()),
        "across within 1 sigma": float((off[..., :2] < 1).mean()),
        "across within 2 sigma": float((off[..., :2] < 2).mean()),
        "depth within 1 sigma": float((off[..., 2] < 1).mean()),
        "depth within 2 sigma": float((off[..., 2] < 2).mean()),
    }


def standing(ankles: np.ndarray, rate: float) -> np.ndarray:
    """Which true ankles [T, 2, 3] (y up) stand: slower than 0.5 m/s and within 8 cm of their lowest place: [T, 2]."""
    speed = np.linalg.norm(np.gradient(ankles, 1 / rate, axis=0), axis=-1)
    return (speed < 0.5) & (ankles[..., 1] - ankles[..., 1].min(0) < 0.08)


def evaluate_space(
    lifter: nn.Module,
    sequences: dict[str, np.ndarray],
    level: float = 0.0,
    seed: int = 0,
    cameras: int = 2,
    source_rate: float = 60.0,
    video_rate: float = 30.0,
    fixed: bool = False,
) -> dict[str, Any]:
    """`compare` for every sequence (name -> [T, 17, 3] metres, y up) and camera, with the intrinsics and the height
    given: {"mean": {figure: value}, "median": the same, "root RMS below 100 mm": share, "films": number of films}.

    level  of detector-like errors (data/noise.py), 0 for ideal 2D;  seed  draws cameras and errors
    fixed  one `side_camera` in place of cameras drawn at random; the middle of the motion is moved before it
    """
    step = max(round(source_rate / video_rate), 1)
    truths, films, views = [], [], []
    for number, joints in enumerate(sequences.values()):
        for camera in range(1 if fixed else cameras):
            rng = np.random.default_rng([seed, number, camera])
            body = adapt_body(joints[::step])
            if fixed:
                body = body - body[len(body) // 2, :1] * np.float32([1, 0, 1])
            views.append(side_camera() if fixed else random_camera(body, rng, whole=True))
            truth, result = film(body, views[-1], source_rate / step, level, rng)
            truths.append(truth)
            films.append(result)
    rows = []
    for truth, result, view in zip(truths, lift_films(lifter, films), views, strict=True):
        placed = place_people(result, height=stature(truth - truth[:, :1]))
        rows.append(compare(placed, truth, view))
    table = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return {
        "mean": {name: round(float(np.nanmean(values)), 3) for name, values in table.items()},
        "median": {name: round(float(np.nanmedian(values)), 3) for name, values in table.items()},
        "root RMS below 100 mm": float((table["root RMS"] < 100).mean()),
        "films": len(rows),
    }


def _relative_error(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.linalg.norm((a - a[:, :1]) - (b - b[:, :1]), axis=-1)
