"""MotionBERT beside its model: losses, metrics, joint conversions, clips, corruption of pre-training."""

from __future__ import annotations

import numpy as np
import torch

from cascadepose.data.corruption import Corruption, add_noise
from cascadepose.data.pretraining import crop_scale_3d
from cascadepose.data.windows import whole_clips
from cascadepose.evaluation import lifting as metrics
from cascadepose.geometry import flip_horizontal
from cascadepose.losses import bones, lifting
from cascadepose.normalization import crop_tight
from cascadepose.parity.cases import Case
from cascadepose.parity.compare import NORMALISED, PIXELS, Comparison, compare
from cascadepose.skeletons import H36M17, HALPE26, POSETRACK17

WINDOW = 243
LENGTHS = (400, 600)  # of the two sources whose clips the case lists; it does not hold them, but these give its starts


def losses_and_data(case: Case) -> list[Comparison]:
    """Every output of the case."""
    return [*_losses(case), *_metrics(case), *_conversions(case), *_clips(case)]


def _losses(case: Case) -> list[Comparison]:
    pred, target, scores = (torch.as_tensor(case.inputs[name]) for name in ("pred", "gt", "conf"))
    found = {
        "loss_mpjpe": lifting.mpjpe(pred, target),
        "n_mpjpe": lifting.n_mpjpe(pred, target),
        "loss_velocity": lifting.velocity(pred, target),
        "loss_2d_weighted": lifting.reprojection(pred, target[..., :2], scores[..., 0]),
        "loss_limb_gt": bones.length_error(pred, target),
        "loss_limb_var": bones.length_variance(pred),
        "loss_angle": bones.angle_error(pred, target),
        "loss_angle_velocity": bones.angle_velocity(pred, target),
    }
    return [compare(name, value, case.outputs[name], NORMALISED / 10) for name, value in found.items()]


def _metrics(case: Case) -> list[Comparison]:
    """Of the first clip, frame by frame; the official code answers in the unit of the joints."""
    pred, target = case.inputs["pred"][0], case.inputs["gt"][0]
    found = {"np_mpjpe": metrics.mpjpe(pred, target), "np_p_mpjpe": metrics.p_mpjpe(pred, target)}
    return [compare(name, error / metrics.MILLIMETRES, case.outputs[name]) for name, error in found.items()]


def _conversions(case: Case) -> list[Comparison]:
    found = []
    for skeleton, given, name in ((HALPE26, "kp26", "halpe2h36m"), (POSETRACK17, "kp17", "posetrack2h36m")):
        points = case.inputs[given]
        joints, scores, _ = skeleton.convert(points[..., :2], points[..., 2])
        ours = np.concatenate([joints, scores[..., None]], -1)
        found.append(compare(name, ours, case.outputs[name], PIXELS))
    flipped = flip_horizontal(case.inputs["pred"], H36M17.flip_index)
    return [*found, compare("flip", flipped, case.outputs["flip"])]


def _clips(case: Case) -> list[Comparison]:
    joints = case.outputs["halpe2h36m"]
    confidence = joints[..., 2:].clip(-1, 1)  # the published code limits all three channels alike
    scaled = np.concatenate([crop_tight(joints[..., :2], joints[..., 2]), confidence], -1)
    offsets = np.cumsum([0, *LENGTHS])
    starts = [offsets[number] + frames[0] for number, frames in whole_clips(list(LENGTHS), WINDOW, WINDOW)]
    solid = crop_scale_3d(case.inputs["pred"][0])
    return [
        compare("crop_scale_1_1", scaled, case.outputs["crop_scale_1_1"]),
        compare("crop_scale_3d_1_1", solid, case.outputs["crop_scale_3d_1_1"]),
        compare("split_clips_243_243", np.array(starts)[:, None], case.outputs["split_clips_243_243"]),
    ]


def augmenter(case: Case) -> list[Comparison]:
    """Noise, masks and both, each after the global generator was seeded as its output says."""
    x = torch.as_tensor(case.inputs["x"])
    found = []
    for name, theirs in case.outputs.items():
        kind, _, seed = name.rpartition("_seed")
        torch.manual_seed(int(seed))
        ours = x if kind == "mask" else add_noise(x)
        ours = ours if kind == "noise" else Corruption().mask(ours)
        found.append(compare(name, ours, theirs))
    return found
