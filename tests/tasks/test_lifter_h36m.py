"""Published recipes on Human3.6M: two steps of each on files of its layout with made-up people."""

import numpy as np
import pytest
import torch

from cascadepose import hub, models
from cascadepose.config import parse
from cascadepose.errors import InputError
from cascadepose.tasks.lifter import LifterTaskConfig, build_task
from cascadepose.tasks.lifter_data import H36MSource
from cascadepose.train import TrainConfig, fit

SUBJECTS = ("S1", "S5", "S6", "S7", "S8", "S9", "S11")
RECIPES = {"poseformer_27_cpn": 27, "poseformer_81_cpn": 81, "poseformer_81_gt": 81}


@pytest.fixture
def files(tmp_path, rng):
    """Paths of 3D and 2D files: 30 frames of one action a subject, 32 joints, four cameras."""
    truth, seen = {}, {}
    for subject in SUBJECTS:
        joints = np.array([0, 0, 1.0]) + rng.normal(0, 0.3, (1, 32, 3)) + rng.normal(0, 0.02, (30, 32, 3))
        truth[subject] = {"Walking": joints.astype(np.float32)}
        seen[subject] = {"Walking": list(rng.uniform(300, 700, (4, 31, 17, 2)).astype(np.float32))}
    paths = {"positions_3d": str(tmp_path / "data_3d_h36m.npz"), "positions_2d": str(tmp_path / "data_2d_h36m_x.npz")}
    np.savez(paths["positions_3d"], positions_3d=truth)
    np.savez(paths["positions_2d"], positions_2d=seen, metadata={"layout_name": "h36m", "num_joints": 17})
    return paths


@pytest.mark.parametrize("recipe", RECIPES)
def test_two_steps_of_a_published_recipe(recipe, files, repository, tmp_path):
    options = ["--config", str(repository / "configs" / f"{recipe}.yaml"), "--train.output_dir", str(tmp_path / "run")]
    config = parse({"train": TrainConfig, "task": LifterTaskConfig}, options)
    source, train = config.task.h36m, config.train
    assert config.task.num_frames == RECIPES[recipe]
    assert ("gt" in source.positions_2d) == recipe.endswith("gt") == (train.lr == 4e-4)
    assert (train.epochs, train.batch_size, train.weight_decay, train.schedule) == (200, 512, 0.1, "exponential")
    assert (train.clip_grad_norm, train.ema_decay, source.train_subjects) == (None, None, list(SUBJECTS[:5]))
    with torch.device("meta"):
        model = models.build("poseformer", num_frames=config.task.num_frames, **config.task.model)
    assert sum(p.numel() for p in model.parameters()) == {27: 9_573_455, 81: 9_602_885}[model.num_frames]
    source.positions_3d, source.positions_2d = files["positions_3d"], files["positions_2d"]
    config.task.model |= {"embed_dim_ratio": 8, "depth": 1}
    train.max_steps, train.batch_size, train.num_workers, train.device, train.tensorboard = 2, 2, 0, "cpu", False
    torch.manual_seed(0)
    task = build_task(config.task)
    assert len(task.train_set) == 2 * 5 * 4 * 30  # mirrored, subjects, cameras, frames
    best = hub.load_model(fit(task, train), kind="poseformer")
    assert (best.frame_rate, best.normalization, best.in_channels) == (50.0, "screen", 2)


def test_two_steps_of_poseformerv2(files, repository, tmp_path):
    options = ["--config", str(repository / "configs" / "poseformerv2_27_1_cpn.yaml")]
    config = parse({"train": TrainConfig, "task": LifterTaskConfig}, options)
    train = config.train
    assert (train.epochs, train.batch_size, train.lr, train.lr_decay) == (200, 1024, 1e-4, 0.99)
    config.task.h36m.positions_3d, config.task.h36m.positions_2d = files["positions_3d"], files["positions_2d"]
    config.task.model |= {"embed_dim_ratio": 8, "depth": 1}
    train.max_steps, train.batch_size, train.num_workers, train.device, train.tensorboard = 2, 2, 0, "cpu", False
    train.output_dir = str(tmp_path / "run")
    best = hub.load_model(fit(build_task(config.task), train), kind="poseformerv2")
    assert (best.num_frames, best.config["kept_frames"], best.kept_coefficients) == (27, 1, 3)


@pytest.fixture
def config(files):
    model = {"embed_dim_ratio": 4, "depth": 1, "num_heads": 2}
    source = H36MSource(**files, train_subjects=["S1"], test_subjects=["S9"], stride=3)
    return LifterTaskConfig("poseformer", model, source, frame_rate=50.0, num_frames=9, normalization="screen")


def test_one_metric_of_the_test_subjects(config):
    task = build_task(config)
    metrics = task.validate(task.model.eval())
    assert metrics.keys() == {"mpjpe_test", "p_mpjpe_test"}
    assert metrics[task.metric] > 0
    # every 25th of 30 frames and the last one, of four cameras
    assert len(task.val_sets["test"]) == 4 * 3


def test_joints_without_a_2d_file_are_projected(config):
    """Inputs are then the true joints: near the image's middle, the same in each run."""
    config.h36m.positions_2d = None
    item = build_task(config).train_set[3]
    assert np.abs(item["x"]).max() < 1
    np.testing.assert_array_equal(item["x"], build_task(config).train_set[3]["x"])


def test_lifters_of_every_frame_take_whole_windows(config):
    config.kind, config.model = "dstformer", {"dim": 16, "depth": 1, "num_heads": 2, "dim_rep": 16, "in_channels": 2}
    task = build_task(config)
    assert task.train_set[0]["joints"].shape == (9, 17, 3)
    assert "mpjve_test" in task.validate(task.model.eval())


def test_another_rate_is_refused(config):
    config.frame_rate = 25.0
    with pytest.raises(InputError, match="filmed at 50 Hz"):
        build_task(config)


def test_evolution_is_refused(config):
    """A film shows the limbs that it shows."""
    config.evolution = 0.5
    with pytest.raises(InputError, match=r"task\.evolution is for motion capture"):
        build_task(config)
