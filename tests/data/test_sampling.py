"""SeededSampler: what is read depends on seed, epoch and position, and on nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascadepose.data.sampling import SeededSampler
from cascadepose.errors import InputError


@settings(max_examples=50, deadline=None)
@given(num_items=st.integers(1, 40), length=st.integers(1, 100), world_size=st.integers(1, 4), seed=st.integers(0, 9))
def test_processes_together_read_the_stream_of_one(num_items, length, world_size, seed):
    settings = {"num_items": num_items, "seed": seed, "epoch_length": length, "multiple_of": world_size * 2}
    whole = list(SeededSampler(**settings))
    shares = [list(SeededSampler(**settings, rank=r, world_size=world_size)) for r in range(world_size)]
    assert len(whole) % (2 * world_size) == 0
    assert [item for step in zip(*shares, strict=True) for item in step] == whole


@settings(max_examples=50, deadline=None)
@given(start=st.integers(0, 12), world_size=st.integers(1, 3), epoch=st.integers(0, 3))
def test_starts_anywhere(start, world_size, epoch):
    start *= world_size
    for rank in range(world_size):
        sampler = SeededSampler(36, seed=1, multiple_of=12, rank=rank, world_size=world_size)
        sampler.set_position(epoch)
        whole = list(sampler)
        sampler.set_position(epoch, start)
        assert list(sampler) == whole[start // world_size :]
        assert len(sampler) == len(whole) - start // world_size


def test_an_epoch_is_a_permutation_and_epochs_differ():
    sampler = SeededSampler(100, seed=3)
    epochs = []
    for epoch in range(3):
        sampler.set_position(epoch)
        epochs.append(list(sampler))
    for items in epochs:
        assert sorted(index for index, _ in items) == list(range(100))
    seeds = [seed for items in epochs for _, seed in items]
    assert len(set(seeds)) == 300
    assert max(seeds) < 2**32
    assert [i for i, _ in epochs[0]] != [i for i, _ in epochs[1]]


def test_the_run_seed_changes_order_and_seeds():
    first, second = (list(SeededSampler(50, seed=seed)) for seed in (0, 1))
    assert [i for i, _ in first] != [i for i, _ in second]
    assert not {s for _, s in first} & {s for _, s in second}


def test_few_items_are_repeated_evenly():
    indices = [index for index, _ in SeededSampler(3, multiple_of=8)]
    assert len(indices) == 8
    assert np.bincount(indices).max() - np.bincount(indices).min() <= 1


@settings(max_examples=50, deadline=None)
@given(weights=st.lists(st.floats(0, 10), min_size=1, max_size=30), length=st.integers(1, 200), seed=st.integers(0, 9))
def test_weighted_items_come_as_often_as_their_weight_says(weights, length, seed):
    weights = np.array(weights)
    if weights.sum() < 1e-3:
        weights += 1
    indices = [i for i, _ in SeededSampler(len(weights), seed, weights, epoch_length=length)]
    expected = length * weights / weights.sum()
    counts = np.bincount(indices, minlength=len(weights))
    assert counts.sum() == length
    assert (np.abs(counts - expected) <= 1 + 1e-6).all()
    assert (counts[weights == 0] == 0).all()


def test_weighted_epochs_pick_different_items():
    sampler = SeededSampler(1000, weights=np.ones(1000), epoch_length=100)
    first, second = (set(sampler.epoch_order(epoch)[0].tolist()) for epoch in (0, 1))
    assert len(first) == len(second) == 100
    assert len(first & second) < 40


@pytest.mark.parametrize("weights", [[1, 2], [[1, 1, 1]], [1, -1, 1], [0, 0, 0], [1, np.nan, 1]])
def test_bad_weights_are_refused(weights):
    with pytest.raises(InputError, match="weights"):
        SeededSampler(3, weights=weights)


def test_an_empty_data_set_is_refused():
    with pytest.raises(InputError, match="training set is empty"):
        SeededSampler(0)
