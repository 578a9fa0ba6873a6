"""Parts of a model with rates of their own, frozen parts, gradient checkpointing."""

import numpy as np
import pytest
import torch

from cascadepose import models
from cascadepose.errors import InputError
from cascadepose.tasks.finetuning import checkpoint_gradients, freeze, parameter_groups
from cascadepose.tasks.lifter import LifterTaskConfig, build_task


@pytest.fixture
def model():
    torch.manual_seed(0)
    return models.build("dstformer", dim=16, depth=2, num_heads=2, dim_rep=16, maxlen=9)


def rates(model, lr_factors):
    """Rate by parameter name."""
    names = {id(p): name for name, p in model.named_parameters()}
    groups = parameter_groups(model, 1e-3, 0.1, lr_factors)
    return {names[id(p)]: group["lr"] for group in groups for p in group["params"]}


def test_from_scratch_everything_learns_alike(model):
    assert rates(model, {}) == {name: 1e-3 for name, _ in model.named_parameters()}
    decayed, plain = sorted(parameter_groups(model, 1e-3, 0.1), key=lambda group: -group["weight_decay"])
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.1, 0)
    kept = {id(p) for p in plain["params"]}
    assert id(model.temp_embed) in kept
    assert id(model.head.bias) in kept
    assert id(model.head.weight) not in kept


def test_the_longest_part_counts(model):
    found = rates(model, {"": 0.1, "head": 1.0, "blocks_st": 0.5, "blocks_st.1": 2.0})
    assert found["head.weight"] == pytest.approx(1e-3)
    assert found["blocks_st.0.norm1_s.weight"] == pytest.approx(5e-4)
    assert found["blocks_st.1.norm1_s.weight"] == pytest.approx(2e-3)
    assert found["pos_embed"] == pytest.approx(1e-4)


def test_frozen_backbone(model):
    """Only the head moves."""
    factors = {"": 0.0, "head": 1.0}
    freeze(model, factors)
    before = {name: p.clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.AdamW(parameter_groups(model, 1e-2, 0.1, factors))
    model(torch.randn(2, 9, 17, 3)).square().sum().backward()
    optimizer.step()
    assert {name for name, p in model.named_parameters() if not torch.equal(p, before[name])} == {
        "head.weight",
        "head.bias",
    }


def test_frozen_batch_norms_keep_their_statistics():
    model = models.build("tcn", widths=[3, 3], dim=8)
    freeze(model, {"": 0.0, "head": 1.0})
    before = {name: b.clone() for name, b in model.named_buffers() if "running" in name}
    model.train()(torch.randn(4, 9, 17, 2))
    assert all(torch.equal(b, before[name]) for name, b in model.named_buffers() if name in before)


@pytest.mark.parametrize("factors, message", [({"neck": 1.0}, "joints_embed"), ({"head": -1.0}, "-1")])
def test_bad_factors(model, factors, message):
    with pytest.raises(InputError, match=message):
        freeze(model, factors)


def test_gradient_checkpointing_changes_nothing_but_memory(model):
    x = torch.randn(2, 9, 17, 3)
    model.train()
    gradients = []
    for again in (False, True):
        if again:
            checkpoint_gradients(model)
        model.zero_grad()
        model(x).square().sum().backward()
        gradients.append([p.grad.clone() for p in model.parameters()])
    for plain, checkpointed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, checkpointed)
    with pytest.raises(InputError, match="TCN"):
        checkpoint_gradients(models.build("tcn", widths=[3], dim=8))


def test_the_lifter_task_takes_them(tmp_path, rng):
    sequence = rng.normal(0, 0.3, (40, 17, 3)).astype(np.float32) + np.float32([0, 1, 0])
    np.savez(tmp_path / "motion.npz", one=sequence)
    motion = {"train_motion": str(tmp_path / "motion.npz"), "val_motion": str(tmp_path / "motion.npz")}
    model = {"dim": 16, "depth": 1, "num_heads": 2, "dim_rep": 16}
    config = LifterTaskConfig(
        **motion, model=model, num_frames=9, lr_factors={"": 0.0, "head": 0.5}, gradient_checkpointing=True
    )
    task = build_task(config)
    assert task.model.gradient_checkpointing
    assert [(len(g["params"]), g["lr"]) for g in task.parameter_groups(1e-3, 0.1)] == [(1, 5e-4), (1, 5e-4)]
