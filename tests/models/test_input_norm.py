"""LayerNorm before the encoder: scores of the first attention no longer grow with what the backbone tells."""

import pytest
import torch

from cascadepose.models.detector import PersonDetector
from cascadepose.models.image_batch import ImageBatch
from cascadepose.models.keypoints import KeypointTransformer

LAYERS = {"d_model": 32, "num_heads": 4, "num_encoder_layers": 2, "num_decoder_layers": 1, "dim_feedforward": 64}


def stage(**options) -> KeypointTransformer:
    torch.manual_seed(0)
    settings = {**LAYERS, "num_queries": 17, "matching": "ordered", "readout": "heatmap", "heatmap_dim": 16}
    return KeypointTransformer(24, **settings, **options)


def gradient(model: KeypointTransformer, features: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    features = features.clone().requires_grad_()
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        out = model(features)
    (out["pred_keypoints"].float() - 0.3).square().sum().backward()
    return features.grad.flatten()


@pytest.mark.parametrize("norm", [True, False])
def test_joints_do_not_depend_on_the_size_of_what_is_projected(norm):
    model, features = stage(input_norm=norm).eval(), torch.randn(2, 24, 8, 6)
    before = model(features)["pred_keypoints"]
    with torch.no_grad():
        for parameter in model.input_proj.parameters():
            parameter.mul_(30)
    assert torch.allclose(model(features)["pred_keypoints"], before, atol=1e-5) == norm


def test_neither_do_people():
    torch.manual_seed(0)
    config = {"backbone": {"name": "mobilenetv3_small_050", "levels": [3]}, "num_queries": 5, **LAYERS}
    detector = PersonDetector(**config, input_norm=True).eval()
    batch = ImageBatch.from_list([torch.rand(3, 96, 64)])
    before = detector(batch)["pred_boxes"]
    with torch.no_grad():
        for parameter in detector.input_proj.parameters():
            parameter.mul_(30)
    torch.testing.assert_close(detector(batch)["pred_boxes"], before, atol=1e-4, rtol=0)


def test_bfloat16_learns_from_large_features_what_float32_does():
    features = 60 * torch.randn(4, 24, 8, 6, generator=torch.Generator().manual_seed(0))
    agreement = {}
    for norm in (True, False):
        model = stage(input_norm=norm).train()
        exact, rounded = (gradient(model, features, dtype) for dtype in (torch.float32, torch.bfloat16))
        agreement[norm] = torch.cosine_similarity(exact, rounded, dim=0).item()
    assert agreement[True] > 0.98
    assert agreement[False] < 0.9, "what this is about"
