"""What a causal lifter keeps of a stream: keys and values of the frames of a window, so that a new frame costs a frame.

A window's frames are seen in the same way for as long as the window lasts (causal.py), so what attention made of them
stays true until the next window begins; then its context is looked at anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from cascadepose.models.lifters.blocks import Past
from cascadepose.models.lifters.feeding import in_metres, mirrored_mean


@dataclass
class Memory:
    """Of one person: the first `count` frames of the window that begins at grid point `start`.

    views  as seen and, in a flip test, mirrored: keys and values [A, 2, J, heads, S, C / heads] of A attentions
    """

    start: int = 0
    count: int = 0
    views: list[Tensor] = field(default_factory=list)

    def knows(self, start: int) -> int:
        """How many frames of the window at `start` are remembered."""
        return self.count if self.views and self.start == start else 0


def newest_answers(
    lifter: nn.Module, x: np.ndarray, memories: list[Memory], starts: list[int], places: list[int], flip_test: bool
) -> Tensor:
    """Joints [P, J, 3] of the newest frames, in metres, root-relative, camera axes; the memories learn what is new.

    x       [P, W, J, C] windows of P people, the newest frame last
    starts  of the windows; places: of the newest frames in them, as `CausalTrack` gives them
    """
    seen, at = torch.from_numpy(x).to(next(lifter.parameters()).device), np.array(places)
    known = np.array([memory.knows(start) for memory, start in zip(memories, starts, strict=True)])
    joints = seen.new_empty(len(seen), 1, seen.shape[2], 3)
    for rows, count in _alike(known, at):
        columns = np.concatenate([at[rows, None] + np.arange(-count, 0), np.full((len(rows), 1), x.shape[1] - 1)], 1)
        views = _Views(lifter, [memories[row] for row in rows], at[rows], count, x.shape[1] - 1)
        if not known[rows[0]]:
            views.forget(1 + flip_test)
        joints[rows] = mirrored_mean(lifter, views, seen[rows[:, None], columns], flip_test)[:, None]
    for memory, start, place in zip(memories, starts, places, strict=True):
        memory.start, memory.count = start, place
    return in_metres(lifter, joints)[:, 0]


def _alike(known: np.ndarray, places: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
    """Rows that can share a batch, and how many frames before the newest each is to look at.

    Those who know their windows: as many as the one who missed most. The others: all, and so only with their like.
    """
    going_on = np.flatnonzero(known)
    if len(going_on):
        yield going_on, int((places - known)[going_on].max())
    for place in np.unique(places[known == 0]):
        yield np.flatnonzero((known == 0) & (places == place)), int(place)


@dataclass
class _Views:
    """Runs a lifter on the newest frames of several people, with and into their memories of one view of them.

    places  [P] of the newest frames; count: frames that are given before them; slots: that a memory has
    """

    lifter: nn.Module
    memories: list[Memory]
    places: np.ndarray
    count: int
    slots: int

    def forget(self, views: int) -> None:
        """Begin anew, with so many views."""
        like, shape = next(self.lifter.parameters()), self.lifter.past_shape(self.slots)
        for memory in self.memories:
            memory.views = [like.new_zeros(shape) for _ in range(views)]

    def __call__(self, tokens: Tensor, view: int) -> Tensor:
        stored = [memory.views[view] for memory in self.memories]
        past = [Past(*pair.flatten(1, 2).unbind(0)) for pair in torch.stack(stored, 2)]
        joints = self.lifter.extend(tokens, torch.from_numpy(self.places).to(tokens.device), past)
        new = torch.stack([torch.stack(attention.new) for attention in past])[..., : self.count, :]
        new = new.unflatten(2, (len(stored), -1)).unbind(2)
        for memory, place, frames in zip(stored, self.places, new, strict=True):
            memory[..., place - self.count : place, :] = frames
        return joints
