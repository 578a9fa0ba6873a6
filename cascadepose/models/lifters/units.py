"""Metres for lifters that answer in image units: the size of a person cannot be seen, so an ordinary one is assumed."""

from torch import Tensor

# Metres from joint to joint (H36M17): thighs, shins, lower and upper trunk, upper arms, forearms of an adult, between
# human averages and the Human3.6M subjects.
LIMBS = {
    **dict.fromkeys(((1, 2), (4, 5)), 0.435),
    **dict.fromkeys(((2, 3), (5, 6)), 0.44),
    **dict.fromkeys(((0, 7), (7, 8)), 0.245),
    **dict.fromkeys(((11, 12), (14, 15)), 0.285),
    **dict.fromkeys(((12, 13), (15, 16)), 0.25),
}


def adult_size(joints: Tensor) -> Tensor:
    """Root-relative joints [N, T, 17, 3] in any unit -> metres: one scale a window, by the limbs' median lengths."""
    starts, ends = (list(side) for side in zip(*LIMBS, strict=True))
    lengths = (joints[..., starts, :] - joints[..., ends, :]).norm(dim=-1)
    total = lengths.median(dim=1).values.sum(-1)
    return joints * (sum(LIMBS.values()) / total.clamp(min=1e-6))[:, None, None, None]
