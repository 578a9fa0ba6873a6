"""DSTformer, joint conversion, losses and metrics against the official MotionBERT's outputs."""

import numpy as np
import pytest
import torch

from cascadepose import models
from cascadepose.evaluation import lifting as metrics
from cascadepose.geometry import flip_horizontal
from cascadepose.losses import lifting as losses
from cascadepose.normalization import crop_box
from cascadepose.skeletons import COCO17, H36M17

LITE = ("motionbert_lite_short_81f", {"dim": 256, "mlp_ratio": 4}, 16_001_549)
FULL = ("motionbert_full_243f", {"dim": 512, "mlp_ratio": 2}, 42_466_317)


@pytest.mark.parametrize(
    "name, size, parameters", [pytest.param(*LITE, id="lite"), pytest.param(*FULL, id="full", marks=pytest.mark.slow)]
)
def test_dstformer(name, size, parameters, oracle, parity):
    case, arrays = oracle(name)
    model = models.build("dstformer", depth=5, num_heads=8, dim_rep=512, maxlen=243, **size).eval()
    assert sum(p.numel() for p in model.parameters()) == parameters == case["params"]
    model.load_state_dict(parity.official_state_dict(case))
    with torch.no_grad():
        representation = model.get_representation(arrays["in.x"])
        joints = model.head(representation)
    torch.testing.assert_close(joints, arrays["out.y"], atol=1e-4, rtol=0)
    torch.testing.assert_close(representation[..., ::32], arrays["out.rep_every32"], atol=1e-4, rtol=0)


def test_joint_conversion(oracle):
    _, arrays = oracle("motionbert_coco2h36m")
    joints, _, measured = COCO17.convert(arrays["in.coco"])
    torch.testing.assert_close(joints, arrays["out.h36m"].float(), atol=1e-3, rtol=0)
    assert [H36M17.names[i] for i in np.flatnonzero(~measured)] == ["pelvis", "spine", "thorax", "head"]


def test_losses(oracle):
    _, arrays = oracle("motionbert_losses_and_data")
    pred, target = arrays["in.pred"], arrays["in.gt"]
    for ours, theirs in (("mpjpe", "loss_mpjpe"), ("n_mpjpe", "n_mpjpe"), ("velocity", "loss_velocity")):
        torch.testing.assert_close(getattr(losses, ours)(pred, target), arrays[f"out.{theirs}"])


def test_metrics(oracle):
    _, arrays = oracle("motionbert_losses_and_data")
    pred, target = arrays["in.pred"][0].numpy(), arrays["in.gt"][0].numpy()
    np.testing.assert_allclose(metrics.mpjpe(pred, target) / 1000, arrays["out.np_mpjpe"], rtol=1e-5)
    np.testing.assert_allclose(metrics.p_mpjpe(pred, target) / 1000, arrays["out.np_p_mpjpe"], rtol=1e-4)


def test_flip(oracle):
    _, arrays = oracle("motionbert_losses_and_data")
    torch.testing.assert_close(flip_horizontal(arrays["in.pred"], H36M17.flip_index), arrays["out.flip"])


def test_untrimmed_crop_box_is_crop_scale(oracle):
    """The official crop_scale of the converted Halpe joints: bounding box of all that have a score, clipped."""
    _, arrays = oracle("motionbert_losses_and_data")
    joints = arrays["out.halpe2h36m"]
    keypoints, scores = joints[..., :2], (joints[..., 2] > 0).double()
    center, half = crop_box(keypoints, scores, trim=0)
    scaled = ((keypoints - center) / half).clamp(-1, 1)
    torch.testing.assert_close(scaled, arrays["out.crop_scale_1_1"][..., :2])
