"""What the whole cascade is trained on: drawn clips, each with a few labelled pictures beside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cascadepose.data.clips import DrawnClips
from cascadepose.data.posed_pictures import PosedPictures

Sample = dict[str, np.ndarray]


class ClipsAndPictures(Dataset):
    """An item is a list of samples: a clip and `per_clip` pictures, drawn by the item's seed.

    Each has its `crops` [T, 4]: the boxes, off by as much as a detector's where there is a seed. `taught` is True for
    clips.
    """

    def __init__(self, clips: DrawnClips, pictures: PosedPictures | None, per_clip: int):
        self.clips, self.pictures = clips, pictures
        self.per_clip = per_clip if pictures is not None else 0

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, item: tuple[int, int]) -> list[Sample]:
        rng = np.random.default_rng([item[1], item[0], 1])
        samples: list[Sample] = [self.clips[item] | {"taught": np.True_}]
        if self.pictures is not None:
            chosen = rng.integers(0, len(self.pictures), self.per_clip).tolist()
            samples += [self.pictures[(index, item[1])] for index in chosen]
        return [sample | {"crops": loosened(sample["boxes"], rng)} for sample in samples]


def loosened(boxes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Boxes [T, 4] cxcywh as a detector may give them: one shift and size a clip, a little more a frame."""
    shift = rng.normal(0, 0.04, (1, 2)) + rng.normal(0, 0.02, (len(boxes), 2))
    factor = np.exp(rng.normal(0, 0.1, (1, 2)) + rng.normal(0, 0.03, (len(boxes), 2)))
    return np.concatenate([boxes[:, :2] + shift * boxes[:, 2:], boxes[:, 2:] * factor], 1).astype(np.float32)


def collate_samples(samples: Sequence[Sample], num_frames: int) -> dict[str, Tensor]:
    """Clips and pictures in one batch, every frame once.

    Returns `frames` uint8 [F, 3, S, S]; of each frame `boxes` and `crops` [F, 4], `keypoints` [F, 17, 2], `visible` and
    `labelled` [F, 17], `complete` [F] bool (nobody else is there); `windows` [N, num_frames], the frames of each
    sample, where a picture's one frame stands still; and of each sample `joints` [N, num_frames, 17, 3], `taught` [N].
    """
    counts = torch.tensor([len(sample["frames"]) for sample in samples])
    first = counts.cumsum(0) - counts
    steps = torch.arange(num_frames).expand(len(samples), -1).minimum(counts[:, None] - 1)

    def stacked(name: str) -> Tensor:
        return torch.from_numpy(np.concatenate([sample[name] for sample in samples]))

    windows = first[:, None] + steps
    labelled = [sample.get("labelled", np.ones_like(sample["visible"])) for sample in samples]
    batch = {name: stacked(name) for name in ("frames", "boxes", "crops", "keypoints", "visible")}
    return batch | {
        "labelled": torch.from_numpy(np.concatenate(labelled)),
        "complete": (counts > 1).repeat_interleave(counts),
        "windows": windows,
        "joints": stacked("joints")[windows],
        "taught": torch.tensor([bool(sample["taught"]) for sample in samples]),
    }
