"""The order in which training items are read: a function of (seed, epoch, position), resumable anywhere."""

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

from cascadepose.errors import InputError


class SeededSampler(Sampler[tuple[int, int]]):
    """Yields `(index, seed)`; the item's augmentation draws from `seed` alone, never from a worker's random state.

    All processes share one global stream of positions, and rank r of W reads r, r + W, r + 2W, ...: one step of W
    processes with batch B reads the same items as one step of a single process with batch W * B.

    Args:
        num_items: size of the data set.
        seed: seed of the run.
        weights: [num_items] relative probabilities, any scale; None visits every item once before any item twice.
        epoch_length: positions in an epoch; None is `num_items`.
        multiple_of: items of an optimiser step over all processes; an epoch is cut to whole steps, at least one.
        rank, world_size: this process and how many there are.

    Raises:
        InputError: no items, or weights that are not `num_items` finite, non-negative numbers with a positive sum.
    """

    def __init__(
        self,
        num_items: int,
        seed: int = 0,
        weights: Sequence[float] | np.ndarray | None = None,
        epoch_length: int | None = None,
        multiple_of: int = 1,
        rank: int = 0,
        world_size: int = 1,
    ):
        if num_items < 1:
            raise InputError("the training set is empty: check its annotation file and the filters of the task section")
        self.num_items, self.seed, self.rank, self.world_size = num_items, seed, rank, world_size
        self.weights = None if weights is None else _checked_weights(weights, num_items)
        self.length = max((epoch_length or num_items) // multiple_of, 1) * multiple_of
        self.epoch, self.start = 0, 0

    def set_position(self, epoch: int, start: int = 0) -> None:
        """Let the next iteration read `epoch` from global position `start` on (items read by all processes)."""
        self.epoch, self.start = epoch, start

    def __len__(self) -> int:
        return len(range(self.start + self.rank, self.length, self.world_size))

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order, seeds = self.epoch_order(self.epoch)
        mine = slice(self.start + self.rank, None, self.world_size)
        yield from zip(order[mine].tolist(), seeds[mine].tolist(), strict=True)

    def epoch_order(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Indices [length] and seeds [length] of a whole epoch; 32-bit seeds, which every library accepts."""
        order_stream, seed_stream = np.random.SeedSequence([self.seed, epoch]).spawn(2)
        seeds = np.random.default_rng(seed_stream).integers(0, 2**32, size=self.length, dtype=np.uint64)
        rng = np.random.default_rng(order_stream)
        if self.weights is None:
            rounds = -(-self.length // self.num_items)
            order = np.concatenate([rng.permutation(self.num_items) for _ in range(rounds)])[: self.length]
        else:
            order = _systematic_draw(self.weights, self.length, rng)
        return order, seeds


def _systematic_draw(weights: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` indices in random order; index i comes floor or ceil of `count * weights[i] / sum` times.

    Evenly spaced pointers into the shuffled, cumulated weights: the mixture is exact in every epoch, where independent
    draws would let it wander, and leave out a third of equally weighted items.
    """
    shuffled = rng.permutation(len(weights))
    cumulative = np.cumsum(weights[shuffled])
    pointers = (np.arange(count) + rng.random()) * (cumulative[-1] / count)
    slots = np.searchsorted(cumulative, pointers, side="right")
    last = np.flatnonzero(weights[shuffled])[-1]  # rounding may put the last pointer past the end
    return rng.permutation(shuffled[np.minimum(slots, last)])


def _checked_weights(weights: Sequence[float] | np.ndarray, num_items: int) -> np.ndarray:
    weights = np.asarray(weights, dtype=np.float64)
    if weights.shape != (num_items,):
        raise InputError(f"sample weights have shape {weights.shape} for {num_items} items: give one weight an item")
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.sum() > 0):
        raise InputError(
            "sample weights must be finite, not negative, not all zero: check the mixing weights of the data sets"
        )
    return weights
