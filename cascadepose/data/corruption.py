"""The corruption of masked pre-training: noise as of a 2D detector, then joints and frames that are blanked.

Section 3.3 of MotionBERT (Zhu et al., ICCV 2023), with the values that its code is published with. Coordinates are in
normalised image units, a person spans about -1..1. Every draw comes from torch's generators, in the published order.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

# Noise of each H36M17 joint: mean x, y and standard deviation x, y in thousandths of a unit, and the share of keys
# that draw from this Gaussian; the others draw evenly from +-UNIFORM / 2. Means and deviations were fitted to outputs
# of the official code, which they reproduce to 1e-6; the same outputs bound the shares to about one percent.
NOISE = (
    (0.8133, 0.2124, 3.6626, 3.5726, 0.9987),  # pelvis
    (-0.1482, 1.9976, 7.1349, 5.1092, 0.9601),  # right_hip
    (2.0388, -1.5101, 6.0844, 5.0034, 0.89),  # right_knee
    (0.9438, 0.9084, 8.9530, 5.2932, 0.8929),  # right_ankle
    (1.8671, -0.7037, 6.7166, 5.3277, 0.974),  # left_hip
    (1.9328, -5.2042, 7.0129, 4.9212, 0.8753),  # left_knee
    (0.8942, -1.8718, 9.5058, 5.6254, 0.8239),  # left_ankle
    (2.4677, 2.3339, 6.5883, 4.9677, 0.96),  # spine
    (2.1412, -6.5084, 5.4914, 5.3053, 0.9191),  # thorax
    (1.6559, 1.6551, 5.3388, 4.8766, 0.9655),  # nose
    (0.8369, 1.5929, 3.4164, 3.4922, 0.9805),  # head
    (0.7939, -4.6219, 8.0066, 6.0872, 0.891),  # left_shoulder
    (1.4994, 0.2960, 5.1677, 4.7536, 0.8005),  # left_elbow
    (1.1592, 1.6300, 4.9904, 5.0890, 0.7),  # left_wrist
    (2.1038, -3.1661, 7.8235, 7.9343, 0.8858),  # right_shoulder
    (1.6823, -0.3300, 6.0091, 5.7213, 0.8217),  # right_elbow
    (1.6639, 1.3175, 5.3703, 5.6841, 0.7289),  # right_wrist
)
KEY_FRAMES, UNIFORM, WHITE = 27, 0.06, 0.002
# confidence of a joint that is d units off: a / (d + a) + b d + Gaussian(m, s), within 0..1
CONFIDENCE = {"a": 0.028, "b": 1.1, "m": -0.004585696384310722, "s": 0.14310568571090698}


@dataclass(frozen=True)
class Corruption:
    """What pre-training does to clean 2D joints.

    mask_ratio        share of joints, drawn for each clip, frame and joint
    mask_frame_ratio  share of frames, drawn once for the whole batch as in the published code
    """

    mask_ratio: float = 0.05
    mask_frame_ratio: float = 0.10

    def __call__(self, x: Tensor, noise: bool = True, generator: torch.Generator | None = None) -> Tensor:
        """x [B, T, 17, 3] (x, y, confidence) with noise, if wanted, and masks. A new tensor; x stays as it is."""
        return self.mask(add_noise(x, generator) if noise else x, generator)

    def mask(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """x [B, T, J, C] with all channels of masked joints and frames at zero."""
        batch, frames, joints, _ = x.shape
        draw = {"generator": generator, "dtype": x.dtype, "device": x.device}
        kept = torch.rand(batch, frames, joints, 1, **draw) > self.mask_ratio
        kept_frames = torch.rand(1, frames, 1, 1, **draw) > self.mask_frame_ratio
        return x * kept * kept_frames


def add_noise(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """x [B, T, 17, 2 or more]: x, y with noise and the confidence that such an error gets, [B, T, 17, 3].

    Noise is drawn at key frames and interpolated; a little white noise on top is the same for every clip of the batch,
    as in the published code.
    """
    batch, frames, joints = x.shape[:3]
    draw = {"generator": generator, "device": x.device}
    table = torch.tensor(NOISE, device=x.device)
    mean, std, share = table[:, 0:2] / 1000, table[:, 2:4] / 1000, table[:, 4:]
    keys = (batch, KEY_FRAMES, joints)
    drawn = torch.rand(*keys, 1, **draw)
    gaussian = torch.randn(*keys, 2, **draw) * std + mean
    uniform = (torch.rand(*keys, 2, **draw) - 0.5) * UNIFORM
    white = torch.randn(frames, joints, 2, **draw) * WHITE
    slow = torch.where(drawn < share, gaussian, uniform)[:, None]
    offset = interpolate(slow, (frames, joints, 2), mode="trilinear", align_corners=True)[:, 0] + white
    return torch.cat([x[..., :2] + offset, _confidence(offset.norm(dim=-1, keepdim=True), draw)], -1)


def _confidence(distance: Tensor, draw: dict) -> Tensor:
    a, b, m, s = CONFIDENCE.values()
    jitter = torch.randn(distance.shape[:-1], **draw)[..., None] * s + m
    return (a / (distance + a) + b * distance + jitter).clamp(0, 1)
