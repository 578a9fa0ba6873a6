"""What every test may use: the shared data folder where there is one, small synthetic images, few threads."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

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


@pytest.fixture(scope="session")
def module_at():
    """module_at(path): a file that is no part of a package, as a module."""

    def load(path: Path) -> ModuleType:
        name = f"{path.parent.name}_{path.stem}"
        spec = importlib.util.spec_from_file_location(name, path)
        module = sys.modules[name] = importlib.util.module_from_spec(spec)  # where data classes look for their types
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def foreign(module_at) -> ModuleType:
    """The module foreign.py beside this file: 2D results as other programs write them."""
    return module_at(Path(__file__).with_name("foreign.py"))


@pytest.fixture(scope="session")
def tool_main(module_at):
    """main() of a file in tools/, by its name."""
    return lambda name: module_at(REPOSITORY / "tools" / f"{name}.py").main


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 8 KiB (`mount -o remount,size=48k` makes it larger); skips where mounting is not allowed."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except OSError as error:
        pytest.skip(f"cannot mount: {error}")
    if done.returncode:
        pytest.skip(f"cannot mount: {done.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


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


@pytest.fixture
def make_people():
    """make_people([(x, y, height, phase), ...]): Poses2D of people walking at (x, y) px; phase moves their limbs."""
    from cascadepose.types import Poses2D

    standing = np.array(
        [
            *((0, -0.42), (0.02, -0.44), (-0.02, -0.44), (0.05, -0.43), (-0.05, -0.43), (0.12, -0.3), (-0.12, -0.3)),
            *((0.14, -0.14), (-0.14, -0.14), (0.15, 0), (-0.15, 0), (0.07, 0.02), (-0.07, 0.02)),
            *((0.08, 0.24), (-0.08, 0.24), (0.08, 0.45), (-0.08, 0.45)),
        ],
        np.float32,
    )
    swing = np.zeros(17, np.float32)
    swing[[7, 8, 9, 10, 13, 14, 15, 16]] = 0.05, -0.05, 0.12, -0.12, -0.06, 0.06, -0.14, 0.14

    def make(people, score: float = 0.9, noise: float = 0.0) -> Poses2D:
        rng = np.random.default_rng(int(1e4 * noise) + len(people))
        poses = []
        for x, y, height, phase in people:
            pose = standing.copy()
            pose[:, 0] += swing * np.sin(phase)
            pose = pose * height + (x, y)
            poses.append(pose + noise * height * rng.standard_normal(pose.shape))
        keypoints = np.array(poses, np.float32).reshape(-1, 17, 2)
        margin = 0.05 * np.array([height for _, _, height, _ in people], np.float32)[:, None]
        boxes_xyxy = np.concatenate([keypoints.min(1) - margin, keypoints.max(1) + margin], 1)
        scores = np.full(keypoints.shape[:2], score, np.float32)
        return Poses2D(keypoints, scores, np.full_like(keypoints, 2.0), boxes_xyxy, np.full(len(people), score))

    return make


@pytest.fixture
def coco_people(tmp_path, make_image):
    """A COCO-format source of two 120x90 images: two people and an unflagged crowd in one, a crowd in the other."""
    import json

    import cv2

    from cascadepose.data.coco import CocoSource

    def person(identity: int, image: int, box: list[float], **more) -> dict:
        """An annotation whose joints lie in the box, the first two not annotated."""
        rng = np.random.default_rng(identity)
        joints = np.concatenate([rng.random((17, 2)) * box[2:] + box[:2], np.full((17, 1), 2)], axis=1)
        joints[:2] = 0
        entry = {"id": identity, "image_id": image, "category_id": 1, "iscrowd": 0, "bbox": box}
        return entry | {"area": box[2] * box[3], "num_keypoints": 15, "keypoints": joints.flatten().tolist()} | more

    images = [{"id": k, "file_name": f"{k}.png", "width": 120, "height": 90} for k in (1, 2)]
    for image in images:
        cv2.imwrite(str(tmp_path / image["file_name"]), make_image(90, 120))
    annotations = [
        person(1, 1, [10.0, 10.0, 30.0, 60.0]),
        person(2, 1, [60.0, 20.0, 40.0, 60.0]),
        person(3, 1, [0.0, 0.0, 120.0, 20.0], crowd_known=False, keypoints=[0] * 51, num_keypoints=0),
        person(4, 2, [0.0, 0.0, 50.0, 50.0], iscrowd=1),
    ]
    path = tmp_path / "people.json"
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    path.write_text(json.dumps(content))
    return CocoSource(annotations=str(path), images=str(tmp_path))
