"""Metrics, screen normalisation and camera geometry of VideoPose3D."""

from __future__ import annotations

import numpy as np

from cascadepose import geometry
from cascadepose.evaluation import lifting as metrics
from cascadepose.parity.cases import Case
from cascadepose.parity.compare import PIXELS, Comparison, compare
from cascadepose.rotations import matrix_to_quaternion

IMAGE_SIZE = (1000, 1002)  # of camera 54138969, which the case names
METRES = 1e-6


def metrics_and_camera(case: Case) -> list[Comparison]:
    """Every output but `intrinsic`, which the projections start from."""
    return [*_metrics(case), *_screen(case), *_motion_of_the_camera(case), *_projection(case)]


def _metrics(case: Case) -> list[Comparison]:
    pred, target = case.inputs["pred"], case.inputs["gt"]
    names = ("mpjpe", "n_mpjpe", "p_mpjpe", "mpjve")
    errors = {name: getattr(metrics, name)(pred, target).mean() / metrics.MILLIMETRES for name in names}
    return [compare(name, error, case.outputs[name], METRES) for name, error in errors.items()]


def _screen(case: Case) -> list[Comparison]:
    pixels, normalised = case.inputs["px"], case.outputs["normalized"]
    back = geometry.denormalize_screen(normalised, IMAGE_SIZE)
    return [
        compare("normalized", geometry.normalize_screen(pixels, IMAGE_SIZE), normalised, METRES),
        compare("image_coordinates", back, case.outputs["image_coordinates"], PIXELS),
    ]


def _motion_of_the_camera(case: Case) -> list[Comparison]:
    """World to camera and back, by the pose of the camera that the case's two sets of points are in."""
    orientation, translation = _camera_pose(case.inputs["world"], case.outputs["camera"])
    camera = geometry.world_to_camera(case.inputs["world"], orientation, translation)
    world = geometry.camera_to_world(case.outputs["camera"], orientation, translation)
    return [
        compare("camera", camera, case.outputs["camera"], 10 * METRES),
        compare("world_back", world, case.outputs["world_back"], 10 * METRES),
    ]


def _camera_pose(world: np.ndarray, camera: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Camera-to-world quaternion and camera centre that fit points [..., 3] in both frames best (Kabsch)."""
    a, b = (x.reshape(-1, 3).astype(np.float64) for x in (camera, world))
    u, _, vt = np.linalg.svd((a - a.mean(0)).T @ (b - b.mean(0)))
    mirror = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    matrix = (u @ mirror @ vt).T
    return matrix_to_quaternion(matrix), b.mean(0) - matrix @ a.mean(0)


def _projection(case: Case) -> list[Comparison]:
    """With distortion and without, which is what the linear form leaves out."""
    points, intrinsics = case.outputs["camera"][None], case.outputs["intrinsic"][:, None, None]
    linear = np.concatenate([intrinsics[..., :4], np.zeros_like(intrinsics[..., 4:])], -1)
    return [
        compare("proj", geometry.project(points, intrinsics, clamp=1.0), case.outputs["proj"], METRES),
        compare("proj_linear", geometry.project(points, linear, clamp=1.0), case.outputs["proj_linear"], METRES),
    ]
