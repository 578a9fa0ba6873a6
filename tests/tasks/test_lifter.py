"""The lifter task: learns, validates, saves what the hub loads."""

from dataclasses import replace

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
    model = {"dim": 16, "depth": 1, "num_heads": 2, "dim_rep": 16}
    return LifterTaskConfig(**motion, num_frames=9, model=model, short_frames=3)


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
    """The weights say how they want to be fed; the configuration sets the window."""
    task = build_task(config)
    path = tmp_path / "lifter.safetensors"
    task.save(task.model, path, {})
    config.weights, config.normalization, config.model, config.num_frames = str(path), "screen", {"dim": 64}, 5
    again = build_task(config)
    of_the_data = {"mean_pose": again.model.mean_pose}
    assert again.model.config == task.model.config | {"num_frames": 5} | of_the_data
    assert again.train_set.normalization == "crop_scale"
    assert again.train_set[0]["x"].shape == (5, 17, 3)


def test_weights_go_on_with_longer_windows_and_looking_back_only(config, tmp_path):
    path = tmp_path / "lifter.safetensors"
    task = build_task(config)
    task.save(task.model, path, {})
    longer = build_task(replace(config, weights=str(path), num_frames=17)).model
    assert (longer.maxlen, longer.causal) == (17, False)
    half = task.model.temp_embed.half().float()
    assert torch.allclose(longer.temp_embed[:, ::2], half, atol=1e-6)
    causal = build_task(replace(config, weights=str(path), model={"causal": True})).model
    assert (causal.maxlen, causal.causal, causal.context) == (9, True, 6)
    assert torch.equal(causal.temp_embed, half)


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


def test_a_causal_lifter_learns_from_what_a_stream_asks_of_it(config):
    """The frames after the context count, in training and validation; the box of a window is that of its context."""
    config.model["causal"], config.short_epochs = True, 1
    task = build_task(config)
    batch = task.collate([task.train_set[(i, 5)] for i in range(3)])
    assert task.answered(batch["joints"]).shape == (3, 3, 17, 3)
    task.new_epoch(1)
    loss = task.losses(task.model, batch)["loss"]
    batch["joints"][:, :6] += 1
    assert torch.equal(task.losses(task.model, batch)["loss"], loss)
    task.new_epoch(0)
    assert not torch.equal(task.losses(task.model, batch)["loss"], loss)
    assert np.isfinite(list(task.validate(task.model.eval()).values())).all()
    assert task.train_set.context == 6


OTHERS = {
    "poseformer": {"embed_dim_ratio": 4, "depth": 1, "num_heads": 2, "drop_path": 0.0},
    "poseformerv2": {"kept_frames": 3, "kept_coefficients": 3, "embed_dim_ratio": 4, "depth": 1, "num_heads": 2},
    "strided": {"strides": [3, 3], "dim": 16, "hidden": 16, "depth": 1, "num_heads": 2, "dropout": 0.0},
    "tcn": {"widths": [3, 3], "dim": 16, "in_channels": 3},
}


@pytest.fixture(params=OTHERS)
def other(request, config):
    """The same data for a lifter that answers for the middle frame."""
    return replace(config, kind=request.param, model=OTHERS[request.param])


def test_lifters_of_one_frame_learn(other):
    torch.manual_seed(0)
    task = build_task(other)
    batch = task.collate([task.train_set[(i, 5)] for i in range(8)])
    assert batch["x"].shape == (8, 9, 17, task.model.in_channels)
    optimizer = torch.optim.AdamW(task.parameter_groups(3e-3, 0.01))
    losses = []
    for _ in range(30):
        parts = task.losses(task.model, batch)
        optimizer.zero_grad()
        parts["loss"].backward()
        optimizer.step()
        losses.append(parts["loss"].item())
    assert losses[-1] < 0.8 * losses[0]


def test_lifters_of_one_frame_validate_and_save(other, tmp_path):
    task = build_task(other)
    metrics = task.validate(task.model.eval())
    assert metrics.keys() == {f"{name}_{noise}" for name in ("mpjpe", "p_mpjpe") for noise in ("clean", "detector")}
    assert all(np.isfinite(value) for value in metrics.values())
    path = tmp_path / "lifter.safetensors"
    task.save(task.model, path, {})
    again = build_task(replace(other, weights=str(path), kind="dstformer", model={}))
    assert again.kind == other.kind
    assert again.model.config == task.model.config | {"mean_pose": again.model.mean_pose}
    with pytest.raises(InputError, match="takes windows of 9 frames"):
        build_task(replace(other, weights=str(path), num_frames=5))


def test_a_lifter_that_answers_both_ways_is_trained_full_to_single(config):
    task = build_task(replace(config, kind="strided", model=OTHERS["strided"]))
    batch = task.collate([task.train_set[(i, 0)] for i in range(2)])
    parts = task.losses(task.model, batch)
    assert parts.keys() == {"loss", "full", "single"}
    assert parts["loss"].item() == pytest.approx(parts["full"].item() + parts["single"].item())


def test_the_answer_is_for_the_middle_or_the_last_frame(config):
    joints = torch.arange(9.0)[None, :, None, None].expand(2, 9, 17, 3)
    for causal, frame in ((False, 4), (True, 8)):
        model = OTHERS["poseformer"] | {"causal": causal}
        answered = build_task(replace(config, kind="poseformer", model=model)).answered(joints)
        assert answered.shape == (2, 1, 17, 3)
        assert answered.unique().tolist() == [frame]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"kind": "prtr"}, "no lifter"),
        ({"kind": "poseformr"}, "no lifter"),
        ({"kind": "poseformer", "model": {"depht": 2}}, "did you mean task.model.depth"),
        ({"kind": "poseformer", "model": {"num_heads": 5}}, "num_heads 5"),
        ({"kind": "poseformer", "model": {"num_frames": 27}}, "windows of 27 frames"),
        ({"kind": "poseformer", "model": {}, "short_epochs": 2}, "short_epochs"),
        ({"kind": "poseformer", "model": {"embed_dim_ratio": "wide"}}, "cannot be built"),
    ],
)
def test_models_that_cannot_be_trained(change, message, config):
    with pytest.raises(InputError, match=message):
        build_task(replace(config, **change))


def test_position_embeddings_do_not_decay(other):
    task = build_task(other)
    groups = task.parameter_groups(1e-3, 0.1)
    decay = {id(p) for p in groups[0]["params"]}
    for name, parameter in task.model.named_parameters():
        positions = any(word in name for word in ("pos_embed", "temp_embed"))
        assert (id(parameter) in decay) == (parameter.ndim > 1 and not positions and parameter.requires_grad), name
