"""PoseFormer and PoseFormerV2: official files and outputs, published sizes."""

import pytest
import torch

from cascadepose import models
from cascadepose.errors import InputError
from cascadepose.hub import load_model, save_model
from cascadepose.models.upstream import family, recognise


def parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def reloaded(model: torch.nn.Module, kind: str, path) -> torch.nn.Module:
    """The model after a way through a weights file."""
    save_model(model, path, kind, dtype=torch.float32)
    return load_model(path, kind=kind)


@pytest.mark.parametrize("name, count", [("poseformer_27f", 9_573_455), ("poseformer_81f", 9_602_885)])
def test_official_file_gives_the_official_answer(name, count, oracle, parity, tmp_path):
    """Official layout -> ours -> file -> model: the sizes, then the output."""
    case, arrays = oracle(name)
    official = parity.official_state_dict(case)
    upstream = recognise(official, "poseformer")
    config, tensors = upstream.translate(official, case["config"])
    model = models.build(upstream.kind, **config)
    assert parameters(model) == count == case["params"]
    model.load_state_dict(tensors, strict=True)
    model = reloaded(model, upstream.kind, tmp_path / "model.safetensors")
    with torch.no_grad():
        answers = upstream.run(model, {"x": arrays["in.x"].numpy()})
    assert answers.keys() == {"y"}
    torch.testing.assert_close(answers["y"], arrays["out.y"], atol=1e-5, rtol=0)


def test_published_size_of_nine_frames():
    assert parameters(models.build("poseformer", num_frames=9)) == 9_563_645


def test_sizes_are_read_off_the_tensors():
    """Any depth, width, window, number of joints and channels; heads are a hint."""
    torch.manual_seed(0)
    sizes = {"num_frames": 5, "num_joints": 6, "in_channels": 3, "embed_dim_ratio": 8, "depth": 3, "mlp_ratio": 1.5}
    model = models.build("poseformer", **sizes, num_heads=4).eval()
    config, tensors = family("poseformer").translate(model.state_dict(), {"num_heads": "4"})
    again = models.build("poseformer", **config).eval()
    again.load_state_dict(tensors)
    x = torch.randn(2, 5, 6, 3)
    assert torch.equal(again(x), model(x))
    assert (config["normalization"], config["style"], config["frame_rate"]) == ("screen", "gast", 50.0)


@pytest.mark.parametrize("name", ["Temporal_pos_embed", "Spatial_blocks.0.mlp.fc1.weight", "head.1.bias"])
def test_missing_tensors_are_named(name, oracle, parity):
    official = parity.official_state_dict(oracle("poseformer_27f")[0])
    del official[name]
    upstream = family("poseformer")
    with pytest.raises((InputError, RuntimeError), match=name):
        config, tensors = upstream.translate(official, {})
        models.build("poseformer", **config).load_state_dict(tensors)


LINEAR, BLOCK = ("weight", "bias"), ("norm1", "attn.qkv", "attn.proj", "norm2")
PARTS_OF_V2 = (
    *("Joint_embedding", "Freq_embedding", "Spatial_norm", "Temporal_norm"),
    *("weighted_mean", "weighted_mean_", "head.0", "head.1"),
    *(f"Spatial_blocks.{i}.{part}" for i in range(4) for part in (*BLOCK, "mlp.fc1", "mlp.fc2")),
    *(
        f"blocks.{i}.{part}"
        for i in range(4)
        for part in (*BLOCK, "mlp1.fc1", "mlp1.fc2", "norm3", "mlp2.fc1", "mlp2.fc2")
    ),
)


def test_names_of_version_two():
    """The names that its official files use, and its published size."""
    model = models.build("poseformerv2", num_frames=81, kept_frames=9, kept_coefficients=9)
    positions = {"Spatial_pos_embed", "Temporal_pos_embed", "Temporal_pos_embed_"}
    assert model.state_dict().keys() == positions | {f"{part}.{leaf}" for part in PARTS_OF_V2 for leaf in LINEAR}
    assert parameters(model) == 14_362_279


@pytest.mark.parametrize(
    "frames, coefficients, hints, window",
    [(27, 27, {}, 243), (9, 9, {}, 81), (3, 3, {}, 81), (3, 3, {"number_of_frames": 27}, 27), (1, 3, {}, 81)],
)
def test_windows_of_version_two(frames, coefficients, hints, window):
    """What was published: (kept frames, kept coefficients) of windows; 27 frames are a hint."""
    sizes = {"kept_frames": frames, "kept_coefficients": coefficients, "embed_dim_ratio": 8, "depth": 1}
    official = models.build("poseformerv2", **sizes, num_frames=window).state_dict()
    config, _ = recognise(official, "poseformerv2").translate(official, hints)
    assert config["num_frames"] == window
    assert config | sizes == config


def test_version_two_through_a_file(parity, tmp_path):
    torch.manual_seed(0)
    shapes = models.build("poseformerv2", num_frames=27, kept_frames=3, kept_coefficients=3).state_dict()
    official = {name: torch.from_numpy(parity.fill(name, list(t.shape))) for name, t in shapes.items()}
    upstream = recognise(official)
    assert upstream.name == "poseformerv2"
    config, tensors = upstream.translate(official, {"number_of_frames": 27})
    model = models.build(upstream.kind, **config).eval()
    model.load_state_dict(tensors, strict=True)
    x = torch.randn(2, 27, 17, 2)
    with torch.no_grad():
        expected = model(x)
        answer = upstream.run(reloaded(model, upstream.kind, tmp_path / "v2.safetensors"), {"x": x.numpy()})["y"]
    assert torch.equal(answer, expected)
    assert expected.std() > 0.1
