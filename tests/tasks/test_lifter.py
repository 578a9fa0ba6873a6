"""The lifter task: learns, validates, saves what the hub loads."""

import numpy as np
import pytest
import torch

from cascadepose import hub
from cascadepose.errors import InputError
from cascadepose.tasks.lifter import LifterTaskConfig, build_task


@pytest.fixture
def config(tmp_path, rng):
    """Two sequences of random bones that swing, a tiny model."""
    base = rng.normal(0, 0.3, (1, 17, 3)) + np.array([0, 1, 0])
    swing = 0.1 * np.sin(np.arange(90)[:, None, None] / 9 + rng.uniform(0, 6, (1, 17, 3)))
    for name in ("train", "val"):
        np.savez(tmp_path / f"{name}.npz", one=(base + swing).astype(np.float32), two=(base - swing).astype(np.float32))
    motion = {"train_motion": str(tmp_path / "train.npz"), "val_motion": str(tmp_path / "val.npz")}
    return LifterTaskConfig(**motion, num_frames=9, dim=16, depth=1, num_heads=2, dim_rep=16, short_frames=3)


def test_a_few_steps_lower_the_loss(config):
    torch.manual_seed(0)
    task = build_task(config)
    batch = task.collate([task.train_set[(i, 5)] for i in range(8)])
    assert batch["x"].shape == (8, 9, 17, 3)
    optimizer = torch.optim.AdamW(task.parameter_groups(3e-3, 0.01))
    losses = []
    for _ in range(30):
        parts = task.losses(task.model, batch)
        optimizer.zero_grad()
        parts["loss"].backward()
        optimizer.step()
        losses.append(parts["mpjpe"].item())
    assert losses[-1] < 0.8 * losses[0]


def test_every_parameter_is_in_one_group(config):
    task = build_task(config)
    groups = task.parameter_groups(1e-3, 0.1)
    listed = [id(p) for group in groups for p in group["params"]]
    assert sorted(listed) == sorted(id(p) for p in task.model.parameters())
    decay = {id(p) for p in groups[0]["params"]}
    assert id(task.model.pos_embed) not in decay
    assert id(task.model.head.weight) in decay


def test_validation_and_weights(config, tmp_path):
    task = build_task(config)
    metrics = task.validate(task.model.eval())
    assert metrics[task.metric] > 0
    assert all(np.isfinite(value) for value in metrics.values())
    assert task.validate(task.model) == metrics
    task.save(task.model, tmp_path / "lifter.safetensors", {"note": "test"})
    again = hub.load_model(tmp_path / "lifter.safetensors", kind="dstformer")
    assert (again.frame_rate, again.num_frames, again.normalization) == (25.0, 9, "crop_scale")
    assert np.shape(again.mean_pose) == (17, 3)


def test_going_on_from_weights(config, tmp_path):
    """The weights say how they want to be fed; the configuration may shorten the window, not lengthen it."""
    task = build_task(config)
    path = tmp_path / "lifter.safetensors"
    task.save(task.model, path, {})
    config.weights, config.normalization, config.dim, config.num_frames = str(path), "screen", 64, 5
    again = build_task(config)
    of_the_data = {"mean_pose": again.model.mean_pose}
    assert again.model.config == task.model.config | {"num_frames": 5} | of_the_data
    assert again.train_set.normalization == "crop_scale"
    assert again.train_set[0]["x"].shape == (5, 17, 3)
    config.num_frames = 10
    with pytest.raises(InputError, match="at most 9 frames"):
        build_task(config)


def test_short_windows_in_the_first_epochs(config):
    config.short_epochs = 2
    task = build_task(config)
    seen = []
    task.model.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0].shape[1]))
    batch = task.collate([task.train_set[(0, 0)]])
    for epoch in (0, 1, 2):
        task.new_epoch(epoch)
        task.losses(task.model, batch)
    assert seen == [3, 3, 9]


def test_missing_motion(config):
    config.val_motion = "nowhere.npz"
    with pytest.raises(InputError, match=r"nowhere\.npz"):
        build_task(config)
