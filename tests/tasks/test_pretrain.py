"""Pre-training learns, takes tracks in when it is time, and gives weights that fine-tuning starts from."""

import numpy as np
import pytest
import torch

from cascadepose import hub
from cascadepose.errors import InputError
from cascadepose.export import save_result
from cascadepose.tasks.lifter import LifterTaskConfig
from cascadepose.tasks.lifter import build_task as build_lifter_task
from cascadepose.tasks.pretrain import PretrainTaskConfig, build_task
from cascadepose.types import Track, VideoResult

MODEL = {"dim": 16, "depth": 1, "num_heads": 2, "dim_rep": 16}


@pytest.fixture
def motion(tmp_path, rng):
    base = rng.normal(0, 0.3, (1, 17, 3)) + np.array([0, 1, 0])
    swing = 0.1 * np.sin(np.arange(90)[:, None, None] / 9 + rng.uniform(0, 6, (1, 17, 3)))
    for name in ("train", "val"):
        np.savez(tmp_path / f"{name}.npz", one=(base + swing).astype(np.float32), two=(base - swing).astype(np.float32))
    return {"train_motion": str(tmp_path / "train.npz"), "val_motion": str(tmp_path / "val.npz")}


@pytest.fixture
def config(motion):
    return PretrainTaskConfig(**motion, model=MODEL, num_frames=9, tracks_from_epoch=2, velocity_weight=2.0)


@pytest.fixture
def result(tmp_path, rng):
    """A file as `cascadepose infer` writes it."""
    count = 30
    keypoints = rng.uniform(100, 300, (count, 17, 2)).astype(np.float32)
    boxes = np.tile(np.float32([50, 50, 350, 350]), (count, 1))
    times = np.arange(count) / 30
    track = Track(
        track_id=1,
        frame_index=np.arange(count),
        timestamp=times,
        boxes_xyxy=boxes,
        box_scores=np.ones(count, np.float32),
        keypoints=keypoints,
        scores=rng.random((count, 17), np.float32),
        sigma=np.ones_like(keypoints),
        observed=np.ones(count, bool),
    )
    video = VideoResult(tracks=[track], frame_size=(640, 480), fps=30.0, timestamps=times, source="x.mp4")
    return str(save_result(video, tmp_path / "poses.npz")[0])


def test_a_few_steps_lower_the_loss(config):
    torch.manual_seed(0)
    task = build_task(config)
    batch = task.collate([task.train_set[(i, 5)] for i in range(8)])
    optimizer = torch.optim.AdamW(task.parameter_groups(3e-3, 0.01))
    losses = []
    for _ in range(40):
        parts = task.losses(task.model, batch)
        optimizer.zero_grad()
        parts["loss"].backward()
        optimizer.step()
        losses.append(parts["mpjpe"].item())
    assert losses[-1] < 0.8 * losses[0]


def test_tracks_join_when_it_is_time(config, result):
    config.tracks = [result]
    task = build_task(config)
    batch = task.collate([task.train_set[(i, 5)] for i in range(4)])
    assert batch["x_2d"].shape == (4, 9, 17, 3)
    task.new_epoch(1)
    assert "reprojection" not in task.losses(task.model, batch)
    task.new_epoch(2)
    parts = task.losses(task.model, batch)
    assert parts["reprojection"] > 0
    of_motion = parts["mpjpe"] + 0.5 * parts["n_mpjpe"] + 2 * parts["velocity"]
    torch.testing.assert_close(parts["loss"], of_motion + parts["reprojection"])
    parts["loss"].backward()
    assert task.model.head.weight.grad.abs().sum() > 0


def test_the_target_is_not_corrupted(config):
    """Masks and noise reach the input only, and the same batch can be used again."""
    task = build_task(config)
    batch = task.collate([task.train_set[(i, 5)] for i in range(4)])
    before = {name: tensor.clone() for name, tensor in batch.items()}
    seen = []
    task.model.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    task.losses(task.model, batch)
    assert all(torch.equal(batch[name], before[name]) for name in batch)
    assert not torch.equal(seen[0], batch["x"])


def test_validation_is_repeatable_and_random_states_stay(config):
    task = build_task(config)
    state = torch.get_rng_state()
    metrics = task.validate(task.model.eval())
    assert metrics[task.metric] > 0
    assert task.validate(task.model) == metrics
    assert torch.equal(torch.get_rng_state(), state)


def test_fine_tuning_starts_from_the_weights(config, motion, tmp_path):
    task = build_task(config)
    path = tmp_path / "pretrained.safetensors"
    task.save(task.model, path, {"note": "test"})
    assert hub.weights_info(path).config["unit"] == "image"
    lifter = build_lifter_task(LifterTaskConfig(**motion, num_frames=9, weights=str(path)))
    assert (lifter.model.unit, lifter.model.config["unit"]) == ("metres", "metres")
    torch.testing.assert_close(lifter.model.head.weight, task.model.head.weight, atol=1e-4, rtol=1e-3)


def test_bad_settings(config, tmp_path):
    config.model = MODEL | {"dim": 15}
    with pytest.raises(InputError, match=r"task\.model"):
        build_task(config)
    config.model, config.tracks = MODEL, [str(tmp_path / "nowhere.npz")]
    with pytest.raises(InputError, match="no such file"):
        build_task(config)
