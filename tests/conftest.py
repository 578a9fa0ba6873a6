"""What every test may use: the shared data folder where there is one, small synthetic images, few threads."""

import os
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True, scope="session")
def _few_threads():
    """Small tensors are fastest on few threads, and busy machines stay usable."""
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the working copy."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of data sets and official outputs: CASCADEPOSE_SHARED, else beside the repository; skips without."""
    folder = Path(os.environ.get("CASCADEPOSE_SHARED", REPOSITORY.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"shared data not found at {folder}: set CASCADEPOSE_SHARED")
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded generator of its own for each test."""
    return np.random.default_rng(0)


@pytest.fixture
def make_image(rng):
    """make_image(height, width): a smooth random uint8 RGB image [H, W, 3]."""

    def make(height: int = 48, width: int = 64) -> np.ndarray:
        import cv2

        coarse = rng.integers(0, 256, (max(height // 16, 2), max(width // 16, 2), 3), dtype=np.uint8)
        return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)

    return make
