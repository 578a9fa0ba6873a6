"""Windows of recordings as training data for lifters: the published recipes on Human3.6M and its like."""

from __future__ import annotations

import numpy as np
from torch.utils.data import Dataset

from cascadepose.data.recordings import Recording, root_relative
from cascadepose.data.windows import window_starts
from cascadepose.errors import InputError
from cascadepose.geometry import flip_horizontal
from cascadepose.normalization import lifter_input
from cascadepose.skeletons import SKELETONS


class RecordingDataset(Dataset):
    """Windows [T, ...] of what cameras saw of people whose 3D joints are known.

    An item is a dict of float32 arrays: `x` [T, J, C] lifter input (made by `lifter_input`, exactly as at inference),
    `joints` [T, J, 3] root-relative, metres, camera frame. Items depend on their index only; a seed is not looked at.

    center    index of the frame in a window that is answered for: every valid frame of every recording has a window,
              around which the end frames are repeated; None: windows lie within the recordings
    stride    frames between neighbouring windows
    normalization, in_channels, skeleton, style, context  what the lifter sees, see `lifter_input`
    mirrored  every window a second time as in a mirror, the way PoseFormer and VideoPose3D are trained
    Raises InputError for no recordings, or recordings of different skeletons.
    """

    def __init__(
        self,
        recordings: list[Recording],
        num_frames: int,
        center: int | None = None,
        stride: int = 1,
        normalization: str = "screen",
        in_channels: int = 2,
        skeleton: str = "h36m17",
        style: str = "midpoints",
        context: int = 0,
        mirrored: bool = False,
    ):
        if len({recording.skeleton.name for recording in recordings}) != 1:
            raise InputError("a set of windows needs recordings, and all of them of one skeleton")
        self.recordings, self.num_frames, self.mirrored = recordings, num_frames, mirrored
        self.normalization, self.in_channels, self.context = normalization, in_channels, context
        self.skeleton, self.style = SKELETONS[skeleton], style
        starts = [window_starts(len(r), num_frames if center is None else 1, stride) for r in recordings]
        if center is not None:
            starts = [first[r.valid[first]] - center for first, r in zip(starts, recordings, strict=True)]
        numbers = np.repeat(np.arange(len(recordings)), [len(first) for first in starts])
        self.table = np.stack([numbers, np.concatenate(starts)], -1)

    def __len__(self) -> int:
        return len(self.table) * (2 if self.mirrored else 1)

    def __getitem__(self, item: int | tuple[int, int]) -> dict[str, np.ndarray]:
        mirror, index = divmod(item[0] if isinstance(item, tuple) else item, len(self.table))
        if mirror > self.mirrored:
            raise IndexError(item)
        number, start = self.table[index]
        recording = self.recordings[number]
        frames = np.clip(start + np.arange(self.num_frames), 0, len(recording) - 1)
        x = lifter_input(
            recording.keypoints[frames],
            recording.scores[frames],
            recording.image_size,
            self.normalization,
            self.in_channels,
            recording.keypoint_skeleton.name,
            self.skeleton.name,
            self.style,
            self.context,
        )
        joints = root_relative(recording.joints[frames], recording.skeleton)
        if mirror:
            x = flip_horizontal(x, self.skeleton.flip_index)
            joints = flip_horizontal(joints, recording.skeleton.flip_index)
        return {"x": x.astype(np.float32), "joints": joints.astype(np.float32)}
