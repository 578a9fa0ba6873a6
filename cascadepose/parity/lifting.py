"""Metrics, screen normalisation and camera geometry of VideoPose3D."""

from __future__ import annotations

import numpy as np

from cascadepose import geometry
from cascadepose.data.h36m_cameras import H36MCamera, h36m_cameras
from cascadepose.evaluation import lifting as metrics
from cascadepose.parity.cases import Case
from cascadepose.parity.compare import PIXELS, Comparison, compare

METRES = 1e-6


def metrics_and_camera(case: Case) -> list[Comparison]:
    """Every output, for the camera that the case names ("S9/54138969")."""
    subject, _, name = case.config["camera"].partition("/")
    camera = next(camera for camera in h36m_cameras(subject) if camera.name == name)
    return [*_metrics(case), *_screen(case, camera), *_frames(case, camera), *_projection(case)]


def _metrics(case: Case) -> list[Comparison]:
    pred, target = case.inputs["pred"], case.inputs["gt"]
    names = ("mpjpe", "n_mpjpe", "p_mpjpe", "mpjve")
    errors = {name: getattr(metrics, name)(pred, target).mean() / metrics.MILLIMETRES for name in names}
    return [compare(name, error, case.outputs[name], METRES) for name, error in errors.items()]


def _screen(case: Case, camera: H36MCamera) -> list[Comparison]:
    pixels, normalised, size = case.inputs["px"], case.outputs["normalized"], camera.image_size
    focal, center, distortion = np.split(camera.intrinsics, [2, 4])
    intrinsics = np.concatenate([focal * 2 / size[0], geometry.normalize_screen(center, size), distortion])
    back = geometry.denormalize_screen(normalised, size)
    return [
        compare("normalized", geometry.normalize_screen(pixels, size), normalised, METRES),
        compare("image_coordinates", back, case.outputs["image_coordinates"], PIXELS),
        compare("intrinsic", intrinsics[None], case.outputs["intrinsic"], METRES),
    ]


def _frames(case: Case, camera: H36MCamera) -> list[Comparison]:
    """From the world to the camera and back."""
    seen = geometry.world_to_camera(case.inputs["world"], camera.orientation, camera.translation)
    world = geometry.camera_to_world(case.outputs["camera"], camera.orientation, camera.translation)
    return [
        compare("camera", seen, case.outputs["camera"], 10 * METRES),
        compare("world_back", world, case.outputs["world_back"], 10 * METRES),
    ]


def _projection(case: Case) -> list[Comparison]:
    """With distortion and without, which is what the linear form leaves out."""
    points, intrinsics = case.outputs["camera"][None], case.outputs["intrinsic"][:, None, None]
    linear = np.concatenate([intrinsics[..., :4], np.zeros_like(intrinsics[..., 4:])], -1)
    return [
        compare("proj", geometry.project(points, intrinsics, clamp=1.0), case.outputs["proj"], METRES),
        compare("proj_linear", geometry.project(points, linear, clamp=1.0), case.outputs["proj_linear"], METRES),
    ]
