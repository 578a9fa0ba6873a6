"""What pictures are made of: results with people in them, and small networks with random weights."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cascadepose.models.prtr import PRTR
from cascadepose.skeletons import COCO17, H36M17
from cascadepose.types import Poses3D, Track, VideoResult


@pytest.fixture
def make_prtr():
    """make_prtr(queries=..., crop=..., attention=...): a small PRTR that believes its `people` best queries."""

    def make(queries: str = "proposals", crop: str = "image", attention: str = "full", people: int = 2) -> PRTR:
        torch.manual_seed(0)
        backbone = {"name": "mobilenetv2_035", "levels": [2, 3, 4]}
        size = {"d_model": 32, "num_heads": 4, "num_encoder_layers": 1, "num_decoder_layers": 2, "dim_feedforward": 48}
        detector = {"backbone": backbone, "input_levels": [1, 2], "num_queries": 6, "queries": queries} | size
        ordered = {"num_queries": 17, "matching": "ordered", "readout": "heatmap", "heatmap_dim": 16}
        levels = {"backbone": backbone, "input_levels": [1, 2], "crop_size": [64, 48], "attention": attention}
        if crop == "features":
            return PRTR(
                detector, size | {"num_queries": 20}, crop, alignment="corners", crop_size=(6, 5), threshold=0.0,
                crop_levels=[1, 2], max_people=people,
            ).eval()  # fmt: skip
        if attention == "deformable":
            stage = levels | {"transformer": size | {"num_queries": 20, "num_levels": 2}}
        else:
            stage = levels | {"fine_level": 0, "transformer": size | ordered}
        return PRTR(detector, stage, threshold=0.0, max_people=people).eval()

    return make


@pytest.fixture
def make_result(make_people):
    """make_result([(first, last), ...], frames): people side by side, each in an interval of frames."""

    def make(intervals, frames: int = 10, fps: float | None = 10.0, size=(320, 240), **more) -> VideoResult:
        tracks = []
        for number, (first, last) in enumerate(intervals, 1):
            index = np.arange(first, last + 1)
            spots = [(60 * number, 120, 150, t) for t in index]
            poses = make_people(spots)
            joints = np.zeros((len(index), 17, 3), np.float32)
            for j, name in enumerate(H36M17.names):
                source = COCO17.index(name if name in COCO17.names else "nose")
                joints[:, j, :2] = (poses.keypoints[:, source] - (60 * number, 120)) / 100
            arrays = {
                name: getattr(poses, name) for name in ("boxes_xyxy", "box_scores", "keypoints", "scores", "sigma")
            }
            seen = np.ones(len(index), bool)
            tracks.append(Track(number, index, index / 10, **arrays, observed=seen, poses3d=Poses3D(joints)))
        values = {"source": "nowhere.mp4"} | more
        return VideoResult(tracks, size, fps, np.arange(frames) / 10, **values)

    return make


@pytest.fixture(scope="session")
def browser(module_at, tmp_path_factory):
    """Chromium without a screen (browser.py beside this file); skips where there is none."""
    module = module_at(Path(__file__).with_name("browser.py"))
    if module.find_chromium() is None:
        pytest.skip("pages are tested in Chromium, which is not installed: apt-get install chromium")
    chromium = module.Browser(tmp_path_factory.mktemp("chromium"))
    yield chromium
    chromium.close()


@pytest.fixture
def grey_clip():
    """grey_clip(count, size=(320, 240)): frames of one grey each, brighter from frame to frame."""

    def make(count: int, size=(320, 240)) -> list[np.ndarray]:
        return [np.full((size[1], size[0], 3), 40 + 150 * t // max(count - 1, 1), np.uint8) for t in range(count)]

    return make
