"""The refine module of the Strided Transformer: blends a lifted pose with its re-projection.

It reads the TRUE depth of the root and the camera's intrinsics, at test time as well as in training. Scores published
with it (Human3.6M, 351 frames: 43.7 mm) are therefore not those of a lifter that sees 2D only, and it cannot be used
where the true root depth is not known: on videos, photographs, or a benchmark without ground truth.
"""

import torch
from torch import Tensor, nn


class ReprojectionRefine(nn.Module):
    """Weighs x and y of a predicted pose against those of the pose that lies on the 2D joints' rays.

    forward: pred [B, T, J, 3] root-relative metres; rays [B, T, J, 3] from `on_rays`, the same frames
             -> [B, T, J, 3] root-relative metres; depths are those of pred.
    One window is one vector: T * J is fixed by `num_joints` (T = 1 as published).
    """

    def __init__(self, num_joints: int = 17, hidden: int = 1024, dropout: float = 0.5):
        super().__init__()
        self.config = {"num_joints": num_joints, "hidden": hidden, "dropout": dropout}
        self.fc1 = nn.Linear(num_joints * 6, hidden)
        self.drop = nn.Dropout(dropout)
        self.fc2 = nn.Linear(hidden, num_joints * 2)

    def forward(self, pred: Tensor, rays: Tensor) -> Tensor:
        features = torch.cat([pred, rays], -1).flatten(1)
        weight = self.fc2(self.drop(self.fc1(features).relu())).sigmoid().view(*pred.shape[:-1], 2)
        xy = weight * pred[..., :2] + (1 - weight) * rays[..., :2]
        return torch.cat([xy, pred[..., 2:]], -1)


def on_rays(keypoints: Tensor, pred: Tensor, true_root: Tensor, intrinsics: Tensor) -> Tensor:
    """The pose with the 2D joints' directions and the prediction's depths: [B, T, J, 3] metres, root-relative.

    keypoints   [B, T, J, 2] in the units of the intrinsics (normalised screen coordinates as published)
    pred        [B, T, J, 3] root-relative metres: its depths count, but for the root's
    true_root   [B, T, 1, 3] GROUND TRUTH position of the root in the camera frame, metres
    intrinsics  [B, 9] fx, fy, cx, cy, distortion; the distortion is not undone, as published
    """
    depth = torch.cat([true_root[..., 2:], pred[..., 1:, 2:] + true_root[..., 2:]], dim=-2)
    focal, center = intrinsics[:, None, None, :2], intrinsics[:, None, None, 2:4]
    joints = torch.cat([(keypoints - center) * depth / focal, depth], -1)
    return joints - joints[..., :1, :]
