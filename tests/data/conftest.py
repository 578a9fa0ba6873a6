"""The body that tests of motion move."""

import numpy as np
import pytest


@pytest.fixture
def standing() -> np.ndarray:
    """Somebody who stands [17, 3], in H36M17 order: x to its left, y up, z to its front, metres."""
    return np.float32([
        [0, 0.95, 0], [-0.09, 0.95, 0], [-0.1, 0.5, 0.03], [-0.1, 0.08, 0], [0.09, 0.95, 0], [0.1, 0.5, 0.03],
        [0.1, 0.08, 0], [0, 1.15, 0], [0, 1.35, 0], [0, 1.55, 0.02], [0, 1.62, 0.03],
        [0.18, 1.42, 0], [0.22, 1.15, 0], [0.24, 0.95, 0.05], [-0.18, 1.42, 0], [-0.22, 1.15, 0], [-0.24, 0.95, 0.05],
    ])  # fmt: skip
