"""Official DETR: file, outputs, published size, and its reduction to a person detector."""

import pytest
import torch

from cascadepose import models
from cascadepose.errors import InputError
from cascadepose.hub import load_model, save_model
from cascadepose.models.backbone import count_parameters
from cascadepose.models.detector import PersonDetector
from cascadepose.models.image_batch import ImageBatch
from cascadepose.models.upstream import family, recognise

SMALL = {"d_model": 32, "num_heads": 8, "num_encoder_layers": 1, "num_decoder_layers": 2, "dim_feedforward": 48}


def test_official_file_gives_the_official_answer(oracle, parity):
    """Two images of different size in one padded batch; scores, labels and boxes of the post-processing, too."""
    case, arrays = oracle("detr_r50")
    official = parity.official_state_dict(case)
    upstream = recognise(official)
    assert upstream.name == "detr"
    config, tensors = upstream.translate(official, case["config"])
    model = models.build(upstream.kind, **config).eval()
    model.load_state_dict(tensors, strict=True)
    assert count_parameters(model) == case["params"] == 41_524_768
    with torch.inference_mode():
        answers = upstream.run(model, {name: arrays[f"in.{name}"].numpy() for name in ("img0", "img1")})
    wanted = {name.removeprefix("out."): value for name, value in arrays.items() if name.startswith("out.")}
    assert answers.keys() == wanted.keys()
    for output, value in wanted.items():
        tolerance = max(1e-4, 10 * case["max_abs_fp32_vs_fp64"].get(output, 0))
        torch.testing.assert_close(answers[output], value, atol=tolerance, rtol=0, msg=output)


@pytest.mark.parametrize("backbone, count", [("resnet50", 41_524_768), ("resnet101", 60_464_672)])
def test_sizes(backbone, count):
    """R101 is R50 plus 17 blocks of layer3, 18,939,904 weights."""
    with torch.device("meta"):
        model = PersonDetector({"name": backbone}, num_logits=92)
    assert count_parameters(model) == count


@pytest.fixture
def small() -> PersonDetector:
    """A small network of 92 logits whose tensors go by official names once `backbone` is `backbone.0`."""
    torch.manual_seed(0)
    return PersonDetector({"name": "resnet18"}, **SMALL, num_queries=7, num_logits=92, grouped=False).eval()


def as_official(model: PersonDetector) -> dict:
    frozen = {k.replace("backbone.", "backbone.0."): v for k, v in model.state_dict().items()}
    return {name: tensor for name, tensor in frozen.items() if not name.endswith("num_batches_tracked")}


def test_person_detector(small):
    """Rows 1 and 91 of the class head: the margin of person over nobody is that of the full head; so are the boxes."""
    upstream, batch = family("detr"), ImageBatch.from_list([torch.rand(3, 64, 96), torch.rand(3, 80, 64)])
    config, tensors = upstream.translate(as_official(small), {"person_only": "true"})
    assert config["num_logits"] == 2
    person = models.build("person_detector", **config).eval()
    person.load_state_dict(tensors)
    with torch.no_grad():
        full, two = small(batch), person(batch)
    torch.testing.assert_close(two["pred_logits"], full["pred_logits"][..., [1, 91]])
    torch.testing.assert_close(two["pred_boxes"], full["pred_boxes"])
    assert (two["pred_logits"].softmax(-1)[..., 0] >= full["pred_logits"].softmax(-1)[..., 1]).all()
    with pytest.raises(InputError, match="2 logits already"):
        upstream.translate(as_official(person), {"person_only": True})
    with pytest.raises(ValueError, match="not 92"):
        models.build("prtr", detector=small.config, keypoints={}, crop="features")


@pytest.mark.parametrize("dilation, stride", [(False, 32), ("true", 16)])
def test_sizes_are_read_off_the_tensors(small, dilation, stride, tmp_path):
    config, tensors = family("detr").translate(as_official(small), {"dilation": dilation})
    again = models.build("person_detector", **config).eval()
    again.load_state_dict(tensors)
    again = load_model(save_model(again, tmp_path / "detr.safetensors", "person_detector", dtype=torch.float32))
    assert (config["num_queries"], config["num_logits"], config["num_decoder_layers"]) == (7, 92, 2)
    assert again.backbone.strides == [stride]
    batch = ImageBatch.from_list([torch.rand(3, 64, 96)])
    if stride == 32:
        torch.testing.assert_close(again(batch)["pred_boxes"], small(batch)["pred_boxes"])


def test_pre_norm_is_refused(small):
    official = as_official(small) | {"transformer.encoder.norm.weight": torch.ones(32)}
    with pytest.raises(InputError, match="pre-norm"):
        family("detr").translate(official, {})
