"""What tensors answer as arrays do, and what undoes a projection, on the official VideoPose3D's outputs."""

import pytest
import torch

from cascadepose.geometry import back_project, normalize_screen, project


@pytest.fixture
def arrays(oracle):
    return oracle("videopose3d_metrics_camera")[1]


def test_screen_normalisation_of_tensors(arrays):
    expected = arrays["out.normalized"].float()
    torch.testing.assert_close(normalize_screen(arrays["in.px"], (1000, 1002)), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name, distortion", [("proj", 1), ("proj_linear", 0)])
def test_projection_of_tensors(name, distortion, arrays):
    points, intrinsics = arrays["out.camera"][None], arrays["out.intrinsic"][:, None, None].clone()
    intrinsics[..., 4:] *= distortion
    ours = project(points, intrinsics, clamp=1.0)
    torch.testing.assert_close(ours, arrays[f"out.{name}"], atol=1e-6, rtol=0)


def test_back_projection(arrays):
    points, intrinsics = arrays["out.camera"].double(), arrays["out.intrinsic"][:, None].double()
    again = back_project(project(points, intrinsics), points[..., 2], intrinsics)
    torch.testing.assert_close(again, points, atol=1e-6, rtol=0)
