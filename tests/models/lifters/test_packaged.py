"""The packaged lifter: it says where it comes from, answers for one frame, and is far better than the mean pose."""

import numpy as np
import pytest

from cascadepose import hub
from cascadepose.data.motion import load_motion
from cascadepose.evaluation.lifter import evaluate_lifter
from cascadepose.models.lifters.window import lift_sequence


@pytest.fixture(scope="module")
def lifter():
    return hub.load_model("dstformer-small", kind="dstformer")


def test_card_names_data_recipe_scores_and_licence():
    info = hub.weights_info("dstformer-small").info
    assert "mocap.cs.cmu.edu" in info["licence"]
    assert "EIA-0196217" in info["licence"]
    assert "configs/dstformer_small.yaml" in info["recipe"]
    assert set(info["scores"]) == {"clean", "detector"}


def test_a_single_photograph(lifter, rng):
    keypoints = rng.uniform(100, 300, (1, 17, 2))
    joints = lift_sequence(lifter, keypoints, np.ones((1, 17)), (640, 480), np.zeros(1))
    assert joints.shape == (1, 17, 3)
    assert np.isfinite(joints).all()


@pytest.mark.parametrize("noise, bound", [("clean", 90), ("detector", 105)])
def test_errors_on_unseen_motion(noise, bound, lifter, shared):
    motion = load_motion(shared / "data" / "cmu_mocap" / "cmu_h36m17_60fps_val.npz")
    some = dict(list(motion.items())[::5])
    result = evaluate_lifter(lifter, some, noise=noise, seed=0, cameras=1)
    assert result["lifter"]["MPJPE"] < bound
    assert result["lifter"]["MPJPE"] < 0.5 * result["mean_pose"]["MPJPE"]
