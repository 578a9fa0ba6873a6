"""Official PRTR in its three forms: files, outputs, published sizes."""

import numpy as np
import pytest
import torch

from cascadepose import models
from cascadepose.errors import InputError
from cascadepose.hub import load_model, save_model
from cascadepose.models.backbone import Backbone, count_parameters
from cascadepose.models.crop import crop_regions
from cascadepose.models.keypoints import KeypointEstimator, KeypointTransformer
from cascadepose.models.upstream import family, recognise
from cascadepose.models.upstream.detr import image_batch, official_input

SMALL = {"d_model": 32, "num_heads": 8, "num_encoder_layers": 1, "num_decoder_layers": 2, "dim_feedforward": 48}
CASES = {  # case -> family, size, trainable size
    "prtr_two_stage_r50_384x288": ("prtr", 41_505_236, 41_282_836),
    "prtr_two_stage_hrnet_w32_384x288": ("prtr", 57_234_004, 57_234_004),
    "prtr_deform_r50_384x288": ("prtr-deformable", 46_251_734, 46_029_334),
}


def load(case: dict, official: dict) -> tuple:
    upstream = recognise(official, "prtr")
    config, tensors = upstream.translate(official, case["config"])
    model = models.build(upstream.kind, **config).eval()
    model.load_state_dict(tensors, strict=True)
    return upstream, model


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if "two_stage" in name else ()) for name in CASES]
)
def test_official_file_gives_the_official_answer(name, oracle, parity):
    """Name, size, trainable size, then every output; the tolerance is that of the oracles."""
    case, arrays = oracle(name)
    upstream, model = load(case, parity.official_state_dict(case))
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert (upstream.name, count_parameters(model), trainable) == CASES[name]
    assert count_parameters(model) == case["params"]
    with torch.inference_mode():
        answers = upstream.run(model, {"image": arrays["in.image"].numpy()})
    wanted = {name.removeprefix("out."): value for name, value in arrays.items() if name.startswith("out.")}
    assert answers.keys() == wanted.keys()
    for output, value in wanted.items():
        torch.testing.assert_close(answers[output], value, atol=1e-4, rtol=0, msg=output)


@pytest.mark.slow
def test_end_to_end_form(oracle, parity):
    """Detections, then the joints of some people in the boxes that the official detector found.

    From its own boxes the second stage's answer differs by 5e-4: it multiplies their rounding errors by a hundred.
    """
    case, arrays = oracle("prtr_sequential_l123_b2")
    upstream, model = load(case, parity.official_state_dict(case))
    assert (upstream.name, count_parameters(model)) == ("prtr-sequential", case["params"])
    index, people = torch.tensor([0, 0, 0, 1, 1, 1]), torch.tensor([0, 30, 99, 5, 50, 98])
    with torch.inference_mode(), official_input(model.detector.backbone) as as_tensor:
        batch = image_batch({name[3:]: arrays[name].numpy() for name in ("in.img0", "in.img1")}, as_tensor)
        detections = model.detect(batch)
        out = model(batch, arrays["out.pred_boxes"][index, people], index, detections=detections)
    found = {
        "pred_logits": (detections["pred_logits"], arrays["out.pred_logits"]),
        "pred_boxes": (detections["pred_boxes"], arrays["out.pred_boxes"]),
        "pred_kpt_coord": (out["pred_keypoints"], arrays["out.pred_kpt_coord"][index, people]),
        "pred_kpt_logits": (out["pred_kpt_logits"].roll(1, -1), arrays["out.pred_kpt_logits"][index, people]),
    }
    for output, (ours, theirs) in found.items():
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0, msg=output)


@pytest.mark.slow
def test_end_to_end_form_for_all_queries(oracle, parity):
    case, arrays = oracle("prtr_sequential_l123_b2")
    upstream, model = load(case, parity.official_state_dict(case))
    with torch.inference_mode():
        answers = upstream.run(model, {name[3:]: arrays[name].numpy() for name in ("in.img0", "in.img1")})
    for output, tolerance in (("pred_boxes", 1e-4), ("pred_kpt_coord", 1e-3), ("pred_kpt_logits", 1e-2)):
        torch.testing.assert_close(answers[output], arrays[f"out.{output}"], atol=tolerance, rtol=0)


@pytest.mark.parametrize(
    "backbone, joints, count",
    [("resnet50", 16, 41_504_979), ("resnet101", 17, 60_445_140), ("hrnet_w32", 17, 57_234_004)],
)
def test_published_sizes(backbone, joints, count):
    body = {"name": backbone, "pyramid": False, "frozen_norm": "hrnet" not in backbone}
    with torch.device("meta"):
        model = KeypointEstimator(body, {"num_joints": joints, "spread": False})
    assert count_parameters(model) == count


def test_published_size_of_the_end_to_end_form():
    """From layer4 alone; from three levels it is in the oracle."""
    keypoints = {"d_model": 512, "position": "sine+learned", "size": [10, 10], "spread": False}
    with torch.device("meta"):
        model = models.build("prtr", detector={"backbone": {"name": "resnet50"}}, keypoints=keypoints, crop="features")
    assert count_parameters(model) == 87_279_578


def reloaded(model: torch.nn.Module, kind: str, folder) -> torch.nn.Module:
    """The model after a way through a weights file."""
    return load_model(save_model(model, folder / "model.safetensors", kind, dtype=torch.float32), kind=kind)


def make_official(backbone: str, joints: int, seed: int = 0, position: str = "sine") -> tuple[dict, Backbone]:
    """An official-layout file of a small PRTR, and the backbone whose tensors it holds (fed as the official one is)."""
    import torchvision

    torch.manual_seed(seed)
    body = getattr(torchvision.models, backbone)(norm_layer=torchvision.ops.FrozenBatchNorm2d)
    channels = body.fc.in_features
    head = KeypointTransformer(channels, joints, **SMALL, num_queries=20, position=position, spread=False)
    tensors = {f"backbone.0.body.{k}": v for k, v in body.state_dict().items() if not k.startswith("fc.")}
    tensors |= {k.replace("position.", "backbone.1."): v for k, v in head.state_dict().items()}
    return tensors, body.eval()


def final_map(body: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    """What layer4 of a torchvision ResNet answers."""
    parts = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
    for part in parts:
        images = getattr(body, part)(images)
    return images


@pytest.mark.parametrize(
    "backbone, joints, hints, position",
    [
        ("resnet18", 16, {}, "sine"),
        ("resnet50", 17, {"color_rgb": "true", "nheads": "4"}, "learned"),
        pytest.param("resnet101", 16, {"image_hw": "512x384"}, "sine", marks=pytest.mark.slow),
        pytest.param("resnet152", 17, {"COLOR_RGB": False}, "sine", marks=pytest.mark.slow),
    ],
)
def test_sizes_are_read_off_the_tensors(backbone, joints, hints, position, tmp_path):
    """Any ResNet, any number of joints, sine or learned positions; the backbone against torchvision's."""
    official, body = make_official(backbone, joints, position=position)
    model = reloaded(load({"config": hints}, official)[1], "keypoint_estimator", tmp_path)
    upstream = recognise(official)
    config = model.config
    assert config["backbone"]["name"] == backbone
    assert (config["transformer"]["num_joints"], config["transformer"]["num_queries"]) == (joints, 20)
    assert config["transformer"]["num_heads"] == int(hints.get("nheads", 8))
    assert config["crop_size"] == ([512, 384] if "image_hw" in hints else [384, 288])
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        answers = upstream.run(model, {"image": image.numpy()})
        expected = model.transformer(final_map(body, image))
    torch.testing.assert_close(answers["pred_coords"], expected["pred_keypoints"], atol=1e-4, rtol=0)
    torch.testing.assert_close(answers["pred_logits"], expected["pred_kpt_logits"], atol=1e-4, rtol=0)


@pytest.mark.parametrize("rgb", [False, True])
def test_colours(rgb):
    """The official ResNets were fed BGR with the statistics of RGB; here pixels are RGB, whatever the file."""
    official, body = make_official("resnet18", 17)
    model = load({"config": {"color_rgb": rgb}}, official)[1]
    pixels = torch.rand(1, 3, 32, 32)
    mean, std = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.no_grad():
        expected = final_map(body, ((pixels if rgb else pixels.flip(1)) - mean) / std)
        torch.testing.assert_close(model.backbone(pixels)[0], expected, atol=1e-4, rtol=1e-4)


def test_dilation():
    """DC5 cannot be told from the tensors: a hint, and the last map has stride 16."""
    import torchvision

    official, body = make_official("resnet50", 17)
    dilated = torchvision.models.resnet50(
        norm_layer=torchvision.ops.FrozenBatchNorm2d, replace_stride_with_dilation=[False, False, True]
    ).eval()
    dilated.load_state_dict(body.state_dict())
    model = load({"config": {"DILATION": True}}, official)[1]
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad(), official_input(model.backbone) as as_tensor:
        found = model.backbone(as_tensor(image.numpy()))[0]
        expected = final_map(dilated, image)
    assert found.shape[-2:] == (4, 4)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_deformable_sizes_are_read_off_the_tensors(tmp_path):
    """Levels, points and depths; the heads that the official file repeats are checked to be one."""
    torch.manual_seed(0)
    official, _ = make_official("resnet18", 16)
    official = {name: tensor for name, tensor in official.items() if name.startswith("backbone")}
    sizes = {**SMALL, "num_queries": 20, "num_levels": 5, "encoder_points": 2, "decoder_points": 3}
    body = {"name": "resnet18", "levels": [3, 4]}
    ours = KeypointEstimator(
        body, {**sizes, "num_joints": 16, "spread": False}, input_levels=[0, 1], attention="deformable"
    ).eval()
    ours.transformer.kpt_embed.layers[-1].weight.data.normal_()
    for name, tensor in ours.transformer.state_dict().items():
        head, _, leaf = name.partition(".")
        shared = head in ("class_embed", "kpt_embed")
        official |= {f"{head}.{n}.{leaf}": tensor for n in range(2)} if shared else {name: tensor}
    ours.backbone.load_state_dict(
        {k.replace("backbone.0.", ""): v for k, v in official.items() if k.startswith("backbone")}, strict=False
    )
    upstream, model = load({"config": {"color_rgb": True, "image_hw": [64, 48]}}, official)
    model = reloaded(model, upstream.kind, tmp_path)
    assert upstream.name == "prtr-deformable"
    assert {k: model.config["transformer"][k] for k in sizes} == sizes
    crops = torch.rand(2, 3, 64, 48)
    torch.testing.assert_close(model(crops)["pred_keypoints"], ours(crops)["pred_keypoints"])
    assert model.read_joints(model(crops))[0].shape == (2, 16, 2)
    with pytest.raises(InputError, match=r"kpt_embed\.0.* and kpt_embed\.1.* differ"):
        upstream.translate(official | {"kpt_embed.1.layers.0.bias": torch.ones(32)}, {})


def test_end_to_end_sizes_are_read_off_the_tensors(tmp_path):
    """Levels by their channels, crops that are not square, any number of joints and queries."""
    torch.manual_seed(0)
    keypoints = {**SMALL, "num_joints": 16, "num_queries": 20, "position": "sine+learned", "size": [6, 4]}
    detector = {"backbone": {"name": "resnet18", "levels": [1, 2, 3, 4]}, **SMALL, "num_queries": 3, "grouped": False}
    form = {"crop": "features", "crop_levels": [0, 2], "crop_size": [6, 4], "alignment": "corners"}
    form |= {"clamp_to_image": False, "clamp_keypoints": True, "threshold": 0.0, "max_people": 3}
    ours = models.build("prtr", detector=detector, keypoints={**keypoints, "spread": False}, **form).eval()
    names = {"kpt_embed": "coord_predictor", "class_embed": "class_predictor"}
    official = {k.replace("backbone.", "backbone.0."): v for k, v in ours.detector.state_dict().items()}
    for name, tensor in ours.keypoints.state_dict().items():
        part, _, leaf = name.partition(".")
        if part != "position":
            moved = tensor.roll(1, 0) if part == "class_embed" else tensor
            official[f"transformer_kpt.{names.get(part, part)}.{leaf}"] = moved
    official["col_embed.weight"] = ours.keypoints.position.learned.row_embed.weight.detach().T
    official["row_embed.weight"] = ours.keypoints.position.learned.col_embed.weight.detach().T
    upstream, model = load({"config": {}}, official)
    model = reloaded(model, upstream.kind, tmp_path)
    assert upstream.name == "prtr-sequential"
    assert (model.crop_levels, model.crop_size, model.keypoints.num_joints) == ([0, 2], (6, 4), 16)
    images = {"img0": torch.randn(3, 64, 96).numpy(), "img1": torch.randn(3, 80, 64).numpy()}
    answers, expected = upstream.run(model, images), upstream.run(ours, images)
    assert answers["pred_kpt_coord"].shape == (2, 3, 20, 2)
    for name, value in expected.items():
        torch.testing.assert_close(answers[name], value)
    with pytest.raises(InputError, match=r"levels \[1\] have not the 320 channels"):
        upstream.translate(official, {"level": "1"})


def test_old_names_of_the_backbone():
    """Older files have `backbone.body` for `backbone.0.body`."""
    official, _ = make_official("resnet18", 17)
    old = {name.replace("backbone.0.body", "backbone.body"): tensor for name, tensor in official.items()}
    ours, same = (family("prtr").translate(tensors, {})[1] for tensors in (old, official))
    assert recognise(old).name == "prtr"
    assert all(torch.equal(ours[name], same[name]) for name in same)


@pytest.mark.parametrize("name", ["input_proj.weight", "class_embed.bias", "backbone.0.body.layer3.0.conv1.weight"])
def test_other_backbones_and_missing_tensors(name):
    official, _ = make_official("resnet18", 17)
    with pytest.raises(InputError, match="blocks"):
        family("prtr").translate({k: v for k, v in official.items() if "layer3.1" not in k}, {})
    del official[name]
    try:
        missing = load({"config": {}}, official)
    except (InputError, RuntimeError) as error:
        missing = str(error)
    assert name.split(".")[-2] in missing or "are not those of" in missing


def test_crops_reach_a_quarter_beyond_the_box():
    """The notebook's grid, box centre plus linspace(-1.25, 1.25) times half its size, is `crop_regions`."""
    box = torch.tensor([[0.4, 0.5, 0.2, 0.6]])
    region = crop_regions(box)[0].numpy()
    ends = (box[0, :2].numpy() * 2 - 1)[None] + np.array([[-1.25], [1.25]]) * box[0, 2:].numpy()
    np.testing.assert_allclose((ends + 1) / 2, [region[:2] - region[2:] / 2, region[:2] + region[2:] / 2], atol=1e-6)
