"""Metrics, screen normalisation and projection against the official VideoPose3D's outputs."""

import numpy as np
import pytest
import torch

from cascadepose.evaluation import lifting as metrics
from cascadepose.geometry import back_project, denormalize_screen, normalize_screen, project


@pytest.fixture
def arrays(oracle):
    return oracle("videopose3d_metrics_camera")[1]


@pytest.mark.parametrize("name", ["mpjpe", "n_mpjpe", "p_mpjpe", "mpjve"])
def test_metrics(name, arrays):
    errors = getattr(metrics, name)(arrays["in.pred"].numpy(), arrays["in.gt"].numpy())
    np.testing.assert_allclose(errors.mean() / 1000, arrays[f"out.{name}"], rtol=1e-5)


def test_screen_normalisation(arrays):
    size = (1000, 1002)
    expected = arrays["out.normalized"].float()
    torch.testing.assert_close(normalize_screen(arrays["in.px"], size), expected, atol=1e-6, rtol=0)
    back = denormalize_screen(arrays["out.normalized"], size)
    torch.testing.assert_close(back, arrays["out.image_coordinates"], atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", ["torch", "numpy"])
@pytest.mark.parametrize("name, distortion", [("proj", 1), ("proj_linear", 0)])
def test_projection(name, distortion, kind, arrays):
    points, intrinsics = arrays["out.camera"][None], arrays["out.intrinsic"][:, None, None].clone()
    intrinsics[..., 4:] *= distortion
    if kind == "numpy":
        points, intrinsics = points.numpy(), intrinsics.numpy()
    ours = torch.as_tensor(project(points, intrinsics, clamp=1.0))
    torch.testing.assert_close(ours, arrays[f"out.{name}"], atol=1e-6, rtol=0)


def test_back_projection(arrays):
    points, intrinsics = arrays["out.camera"].double(), arrays["out.intrinsic"][:, None].double()
    again = back_project(project(points, intrinsics), points[..., 2], intrinsics)
    torch.testing.assert_close(again, points, atol=1e-6, rtol=0)
