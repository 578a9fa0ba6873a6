"""Human3.6M's camera table and protocols against the official VideoPose3D's outputs (camera 54138969 of S9)."""

import numpy as np
import pytest
import torch

from cascadepose.data.h36m_cameras import h36m_cameras
from cascadepose.data.recordings import Recording
from cascadepose.evaluation.h36m import score_h36m
from cascadepose.geometry import camera_to_world, normalize_screen, world_to_camera


@pytest.fixture
def arrays(oracle):
    return oracle("videopose3d_metrics_camera")[1]


def test_camera(arrays):
    camera = h36m_cameras("S9")[0]
    pose = torch.from_numpy(camera.orientation), torch.from_numpy(camera.translation)
    seen = world_to_camera(arrays["in.world"], *pose)
    torch.testing.assert_close(seen, arrays["out.camera"], atol=1e-5, rtol=0)
    torch.testing.assert_close(camera_to_world(seen, *pose), arrays["out.world_back"], atol=1e-5, rtol=0)
    intrinsics = torch.from_numpy(camera.intrinsics)
    center = normalize_screen(intrinsics[2:4], camera.image_size)
    expected = torch.cat([intrinsics[:2] / camera.image_size[0] * 2, center, intrinsics[4:]])
    torch.testing.assert_close(expected, arrays["out.intrinsic"][0], atol=1e-6, rtol=0)


def test_protocols(arrays):
    """One video of 50 frames: the protocol's numbers are those of VideoPose3D's functions."""
    truth, pred = arrays["in.gt"][0].numpy(), arrays["in.pred"][0].numpy()
    blank = np.zeros((50, 17, 2))
    recording = Recording("x", "S9", "Walking", "c", blank, blank[..., 0], truth, (1000, 1000))
    # The truth is taken root-relative, so the prediction is moved along; N-MPJPE is about the origin and would change.
    lifter = score_h36m([recording], lambda _: pred - truth[:, :1])["lifter"]
    for name, key in (("MPJPE", "mpjpe"), ("P-MPJPE", "p_mpjpe"), ("MPJVE", "mpjve")):
        assert lifter[name] == pytest.approx(1000 * float(arrays[f"out.{key}"]), abs=0.006)
    moved = truth - truth[:, :1]
    recording = Recording("x", "S9", "Walking", "c", blank, blank[..., 0], moved, (1000, 1000))
    scale = (pred * moved).sum((1, 2)) / (pred * pred).sum((1, 2))
    expected = 1000 * np.linalg.norm(scale[:, None, None] * pred - moved, axis=-1).mean()
    assert score_h36m([recording], lambda _: pred)["lifter"]["N-MPJPE"] == pytest.approx(expected, abs=0.006)
