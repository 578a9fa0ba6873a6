"""The learning rate of every step."""

import pytest
import torch

from cascadepose.training.schedule import Schedule, lr_factor
from cascadepose.training.settings import TrainConfig


def factors(total_steps: int = 40, **settings) -> list[float]:
    return [lr_factor(step, total_steps, 10, TrainConfig(**settings)) for step in range(total_steps)]


def test_cosine():
    values = factors(warmup_steps=4, min_lr_ratio=0.1)
    assert values[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert values[22] == pytest.approx(0.55)
    assert 0.1 < values[-1] < 0.11
    assert values[3:] == sorted(values[3:], reverse=True)


def test_cosine_after_it_was_held():
    values = factors(warmup_steps=4, hold_steps=20, min_lr_ratio=0.1)
    assert values[3:25] == [1.0] * 22
    assert values[32] == pytest.approx(0.55)
    assert values[24:] == sorted(values[24:], reverse=True) and 0.1 < values[-1] < 0.12
    assert factors(warmup_steps=4, hold_steps=100)[3:] == [1.0] * 37  # of a run shorter than that


def test_constant():
    assert set(factors(schedule="constant", warmup_steps=0)) == {1.0}


def test_exponential_decays_once_an_epoch():
    values = factors(schedule="exponential", lr_decay=0.5, warmup_steps=2)
    assert values[:2] == [0.5, 1.0]
    assert [values[i] for i in (9, 10, 19, 20, 39)] == [1.0, 0.5, 0.5, 0.25, 0.125]


def test_steps_at_milestones():
    values = factors(schedule="steps", lr_decay=0.5, milestones=[1, 3], warmup_steps=0)
    assert [values[i] for i in (0, 9, 10, 29, 30, 39)] == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]


def test_warm_up_is_half_of_a_short_run_at_most():
    assert factors(total_steps=4, warmup_steps=200)[:2] == [0.5, 1.0]


def test_groups_keep_their_ratio():
    groups = [{"params": [torch.zeros(1)], "lr": lr} for lr in (1.0, 0.1)]
    optimizer = torch.optim.AdamW(groups)
    schedule = Schedule(optimizer, 40, 10, TrainConfig(schedule="exponential", warmup_steps=0, lr_decay=0.5))
    schedule.set(15)
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.05]
