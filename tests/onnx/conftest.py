"""Small models of every kind that is exported."""

import pytest
import torch

from cascadepose.models import build
from cascadepose.models.prtr import PRTR

BACKBONE = {"name": "test_efficientnet", "levels": [2, 3, 4], "options": {"pad_type": "same"}}
TRANSFORMER = {"d_model": 32, "num_heads": 4, "num_encoder_layers": 1, "num_decoder_layers": 1, "dim_feedforward": 32}
DEFORMABLE = {**TRANSFORMER, "num_queries": 20, "num_levels": 2}


def make_prtr(form: str) -> PRTR:
    """form: "ordered", "again" (which looks for boxes, too) and "deformable" crop pixels, "features" crops maps."""
    torch.manual_seed(0)
    detector = {"backbone": BACKBONE, "input_levels": [1, 2], "num_queries": 8, **TRANSFORMER}
    if form == "features":
        keypoints = {**TRANSFORMER, "num_queries": 20, "position": "sine+learned", "size": [10, 10]}
        return PRTR(
            detector, keypoints, "features", crop_levels=[1, 2], alignment="corners", threshold=0.2, max_people=3
        )
    keypoints = {"backbone": BACKBONE, "crop_size": [64, 48], "input_levels": [1]}
    if form in ("ordered", "again"):
        detector |= {"fine_level": 0}
        ordered = {
            "num_queries": 17,
            "matching": "ordered",
            "readout": "heatmap",
            "heatmap_dim": 16,
            "heatmap_blocks": int(form == "again"),
            "person_box": form == "again",
        }
        keypoints |= {"transformer": TRANSFORMER | ordered, "fine_level": 0}
    else:
        keypoints |= {"transformer": DEFORMABLE, "attention": "deformable"}
    detector |= {"queries": "proposals"}
    model = PRTR(detector, keypoints, "image", detector_side=96, threshold=0.005, max_people=4, nms_iou=0.6)
    model.look_threshold = model.config["look_threshold"] = 0.002
    for name, parameter in model.detector.named_parameters():
        if "decoder.bbox_embed" in name or "finer" in name:
            torch.nn.init.normal_(parameter, std=0.1)  # boxes that differ, so that some are suppressed
    for name, parameter in model.keypoints.named_parameters():
        if name.endswith("heatmap.query.layers.1.weight"):
            torch.nn.init.normal_(parameter, std=1.0)  # maps with one peak, which rounding does not move
    return model


LIFTERS = {
    "dstformer": {"dim": 16, "depth": 1, "num_heads": 2, "maxlen": 81},
    "causal": {"dim": 16, "depth": 1, "num_heads": 2, "maxlen": 81, "causal": True},
    "poseformer": {"num_frames": 27, "depth": 1, "embed_dim_ratio": 8},
    "poseformer-81": {"num_frames": 81, "depth": 1, "embed_dim_ratio": 8},
    "poseformerv2": {"num_frames": 81, "kept_frames": 3, "kept_coefficients": 3, "depth": 1, "embed_dim_ratio": 8},
    "strided": {"num_frames": 27, "dim": 16, "hidden": 16, "depth": 1, "num_heads": 2},
    "strided-all": {
        "num_frames": 81,
        "strides": [9, 9],
        "dim": 16,
        "hidden": 16,
        "depth": 1,
        "num_heads": 2,
        "frames_out": "all",
    },
    "tcn": {"widths": [3, 3, 3], "dim": 16},
}


def make_lifter(name: str) -> torch.nn.Module:
    """One of `LIFTERS`."""
    torch.manual_seed(0)
    kind = {"causal": "dstformer"}.get(name, name.partition("-")[0])
    return build(kind, **LIFTERS[name])


@pytest.fixture(scope="session")
def kept_files(tmp_path_factory):
    """The folder that takes the place of the user's cache, for all tests: what one exported others find."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("CASCADEPOSE_CACHE", str(folder))
        yield folder / "onnx"


@pytest.fixture(scope="session")
def weights_file(tmp_path_factory):
    """weights_file(model, name): where its weights are, written once."""
    from cascadepose.hub import save_model
    from cascadepose.models import kind_of

    folder = tmp_path_factory.mktemp("weights")

    def write(model, name: str):
        path = folder / f"{name}.safetensors"
        if not path.exists():
            save_model(model, path, kind_of(model), {"licence": "CC0-1.0"}, torch.float32)
        return path

    return write
