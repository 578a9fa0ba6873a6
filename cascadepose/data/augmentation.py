"""How a person's crop is drawn for training: how far it is moved, turned and stretched.

Which boxes it is drawn around otherwise is in `data.detected`, who is laid over it in `data.pasting`.
"""

from dataclasses import dataclass

import numpy as np

from cascadepose.skeletons import COCO17, Skeleton

LOWER_BODY = ("pelvis", "hip", "knee", "ankle", "heel", "toe", "foot")  # how joints of the lower body are called
TURNED = 0.6  # how often a crop is turned at all


@dataclass(kw_only=True)
class CropAugmentation:
    """How the crops of training differ from those of evaluation."""

    color: float = 0.8
    """Strength of colour changes and hidden patches."""
    rotation: float = 25.0
    """Standard deviation of the rotation in degrees."""
    scaling: float = 0.3
    """Largest relative change of the crop's size."""
    stretch: float = 0.0
    """How much wider and less high a crop becomes, or the reverse: standard deviation of a side's logarithm."""
    half_body: float = 0.2
    """How often only the upper or lower body is cropped."""
    detected: float = 0.0
    """How often a person is cropped where a detector might see them; for a model with `person_box`."""
    nobody: float = 0.0
    """How often a crop is taken where nobody is; for a model with `person_box`."""
    pasted: float = 0.0
    """How often another person, cut out along their limbs, is laid over the crop."""

    def moved(
        self, center: np.ndarray, size: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, float]:
        """Another region of about this centre (x, y) and size (width, height), and by how many degrees it is turned."""
        center = center + rng.normal(0, 0.04, 2) * size
        size = size * np.clip(1 + rng.normal(0, self.scaling / 2), 1 - self.scaling, 1 + self.scaling)
        if self.stretch:
            wider = within(rng.normal(0, self.stretch), 2 * self.stretch)
            size = size * np.exp([wider, -wider])
        degrees = within(rng.normal(0, self.rotation), 2 * self.rotation) if rng.random() < TURNED else 0.0
        return center, size, degrees


def within(value: float, limit: float) -> float:
    """The value, or the limit of its sign that is nearer to nought."""
    return float(np.clip(value, -limit, limit))


def half_body_box(
    box: np.ndarray, joints: np.ndarray, rng: np.random.Generator, skeleton: Skeleton = COCO17
) -> np.ndarray:
    """A box around only the upper or only the lower annotated joints [K, 3], as where a table or the image border hides
    the rest; the box itself where there are too few of them.
    """
    lower = np.array([name.endswith(LOWER_BODY) for name in skeleton.names])
    part = joints[~lower if rng.random() < 0.6 else lower]
    points = part[part[:, 2] > 0, :2]
    if len(points) < 3:
        return box
    low, high = points.min(0), points.max(0)
    margin = 0.2 * (high - low).max() + 1
    return np.concatenate([low - margin, high + margin]).astype(np.float32)
