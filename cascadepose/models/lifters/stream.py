"""A causal lifter on a stream: people come and go, each frame is answered at once, memory does not grow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from cascadepose.errors import InputError
from cascadepose.models.lifters.causal import CausalTrack, Layout
from cascadepose.models.lifters.feeding import answers, inputs
from cascadepose.models.lifters.memory import Memory, newest_answers
from cascadepose.normalization import presented_skeleton
from cascadepose.skeletons import Skeleton


@dataclass
class _Person:
    track: CausalTrack
    keypoints: np.ndarray  # [K, 2] px, the last seen
    memory: Memory = field(default_factory=Memory)
    frames: int = 0


class StreamLifter:
    """Lifts everybody of a frame together, each from the past; the same numbers as `lift_sequences` gives afterwards.

    A lifter that can `extend` a window, such as a causal DSTformer, does not look at a frame of it twice.

    image_size  (width, height) of the frames
    skeleton    of the keypoints that push() gets
    flip_test   average with the prediction for the mirrored input, at twice the cost
    Raises InputError for a lifter that looks ahead, and for keypoints that cannot be made those of the lifter.
    """

    def __init__(
        self, lifter: nn.Module, image_size: tuple[int, int], skeleton: Skeleton, flip_test: bool = False
    ) -> None:
        if not lifter.causal:
            raise InputError("this lifter looks at later frames; a stream needs a causal one, or none for 2D only")
        self._lifter, self._size, self._flip_test = lifter.eval(), image_size, flip_test
        self._layout = Layout.of(lifter)
        self._skeleton, self._presented = skeleton, presented_skeleton(lifter, skeleton)
        self._people: dict[int, _Person] = {}

    @torch.no_grad()
    def push(self, time: float, keys: Iterable[int], keypoints: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """One frame: keypoints [P, K, 2] px and scores [P, K] of the people seen -> [P, J, 3] metres, root-relative.

        `keys` tell who is who. Whoever was seen before and is not now stays as last seen, with scores of 0, until
        `keep` leaves them out. `time` (s) rises from frame to frame.
        """
        if self._presented != self._skeleton:
            keypoints, scores, _ = self._skeleton.convert(keypoints, scores, to=self._presented)
        found = {key: (keypoints[row], scores[row]) for row, key in enumerate(keys)}
        for key, person in self._people.items():
            if key not in found:
                self._advance(person, time, person.keypoints, np.zeros(scores.shape[1:], np.float32))
        windows, places = [], []
        for key, (points, point_scores) in found.items():
            person = self._people.get(key)
            if person is None:
                person = self._people[key] = _Person(CausalTrack(self._layout, self._lifter.frame_rate), points)
            window, place = self._advance(person, time, points, point_scores)
            windows.append(window)
            places.append(place)
        if not windows:
            return np.zeros((0, self._presented.num_joints, 3), np.float32)
        points, point_scores = (np.stack(parts) for parts in zip(*windows, strict=True))
        x = inputs(self._lifter, points, point_scores, self._size, self._presented.name)
        if hasattr(self._lifter, "extend"):
            people = [self._people[key] for key in found]
            memories, starts = [person.memory for person in people], [person.track.start for person in people]
            return newest_answers(self._lifter, x, memories, starts, places, self._flip_test).cpu().numpy()
        positions = np.array(places)[:, None] if self._layout.tips else None
        return answers(self._lifter, x, positions, self._flip_test)[:, -1].cpu().numpy()

    def keep(self, keys: Iterable[int]) -> None:
        """Forget everybody else."""
        wanted = set(keys)
        self._people = {key: person for key, person in self._people.items() if key in wanted}

    def _advance(
        self, person: _Person, time: float, keypoints: np.ndarray, scores: np.ndarray
    ) -> tuple[list[np.ndarray], int]:
        person.keypoints, person.frames = keypoints, person.frames + 1
        tick = time if self._lifter.frame_rate else person.frames - 1
        return person.track.push(tick, keypoints.astype(np.float32), scores.astype(np.float32))
