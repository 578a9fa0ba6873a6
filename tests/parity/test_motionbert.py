"""DSTformer, pre-training data, joint conversion, losses and metrics against the official MotionBERT's outputs."""

import numpy as np
import pytest
import torch

from cascadepose import models
from cascadepose.data.corruption import CONFIDENCE, Corruption, add_noise
from cascadepose.data.pretraining import crop_scale_3d
from cascadepose.data.windows import whole_clips
from cascadepose.evaluation import lifting as metrics
from cascadepose.geometry import flip_horizontal
from cascadepose.hub import load_model, save_model
from cascadepose.losses import bones
from cascadepose.losses import lifting as losses
from cascadepose.models.upstream import family
from cascadepose.normalization import crop_box, crop_tight
from cascadepose.skeletons import COCO17, H36M17, HALPE26, POSETRACK17

LITE = ("motionbert_lite_short_81f", 16_001_549)
FULL = ("motionbert_full_243f", 42_466_317)


@pytest.mark.parametrize(
    "name, parameters", [pytest.param(*LITE, id="lite"), pytest.param(*FULL, id="full", marks=pytest.mark.slow)]
)
def test_official_file_gives_the_official_answer(name, parameters, oracle, parity, tmp_path):
    """Official layout -> ours -> file -> model: the size, the joints and the motion representation."""
    case, arrays = oracle(name)
    upstream, official = family("motionbert"), parity.official_state_dict(case)
    assert upstream.recognises(official)
    config, tensors = upstream.translate(official, case["config"])
    model = models.build(upstream.kind, **config)
    assert sum(p.numel() for p in model.parameters()) == parameters == case["params"]
    model.load_state_dict(tensors, strict=True)
    save_model(model, tmp_path / "model.safetensors", upstream.kind, dtype=torch.float32)
    model = load_model(tmp_path / "model.safetensors", kind=upstream.kind)
    with torch.no_grad():
        answers = upstream.run(model, {"x": arrays["in.x"].numpy()})
    assert set(answers) == {"y", "rep_every32"}
    for key, answer in answers.items():
        torch.testing.assert_close(answer, arrays[f"out.{key}"], atol=1e-4, rtol=0)


@pytest.mark.parametrize("seed, noise, mask, key", [(123, 1, 0, "noise"), (124, 0, 1, "mask"), (125, 1, 1, "both")])
def test_corruption_of_pretraining(seed, noise, mask, key, oracle):
    """The same draws give the same noise, confidences and masks."""
    case, arrays = oracle("motionbert_augmenter")
    assert case["config"]["d2c"] == CONFIDENCE
    torch.manual_seed(seed)
    x = add_noise(arrays["in.x"]) if noise else arrays["in.x"]
    x = Corruption().mask(x) if mask else x
    torch.testing.assert_close(x, arrays[f"out.{key}_seed{seed}"], atol=1e-5, rtol=0)


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
    scored = losses.reprojection(pred, target[..., :2], arrays["in.conf"][..., 0])
    torch.testing.assert_close(scored, arrays["out.loss_2d_weighted"])


def test_losses_of_bones(oracle):
    _, arrays = oracle("motionbert_losses_and_data")
    pred, target = arrays["in.pred"], arrays["in.gt"]
    for ours, theirs in (
        (bones.length_error(pred, target), "loss_limb_gt"),
        (bones.length_variance(pred), "loss_limb_var"),
        (bones.angle_error(pred, target), "loss_angle"),
        (bones.angle_velocity(pred, target), "loss_angle_velocity"),
    ):
        torch.testing.assert_close(ours, arrays[f"out.{theirs}"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "skeleton, given, converted", [(HALPE26, "kp26", "halpe2h36m"), (POSETRACK17, "kp17", "posetrack2h36m")]
)
def test_other_joints(skeleton, given, converted, oracle):
    _, arrays = oracle("motionbert_losses_and_data")
    points, expected = arrays[f"in.{given}"], arrays[f"out.{converted}"].float()
    joints, scores, measured = skeleton.convert(points[..., :2], points[..., 2])
    torch.testing.assert_close(joints, expected[..., :2], atol=1e-3, rtol=0)
    torch.testing.assert_close(scores, expected[..., 2], atol=1e-3, rtol=0)
    made = ["spine"] if skeleton is HALPE26 else ["pelvis", "spine"]
    assert [H36M17.names[i] for i in np.flatnonzero(~measured)] == made


def test_clips_of_motion(oracle):
    _, arrays = oracle("motionbert_losses_and_data")
    scaled = crop_scale_3d(arrays["in.pred"][0].numpy())
    np.testing.assert_allclose(scaled, arrays["out.crop_scale_3d_1_1"], atol=1e-5)
    lengths = [400, 600]
    starts = [sum(lengths[:number]) + frames[0] for number, frames in whole_clips(lengths, 243, 243)]
    assert starts == arrays["out.split_clips_243_243"][:, 0].tolist()


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
    torch.testing.assert_close(crop_tight(keypoints, joints[..., 2]), scaled)
