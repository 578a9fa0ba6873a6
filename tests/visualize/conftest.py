"""Small networks with random weights, for pictures of what they look at."""

import pytest
import torch

from cascadepose.models.prtr import PRTR


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
