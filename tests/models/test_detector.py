import pytest
import torch

from cascadepose.errors import InputError
from cascadepose.models import build
from cascadepose.models.detector import PersonDetector
from cascadepose.models.finer import FinerMemory
from cascadepose.models.image_batch import ImageBatch

SMALL = {
    "backbone": {"name": "mobilenetv3_small_050", "levels": [2, 3, 4]},
    "input_levels": [1, 2],
    "d_model": 32,
    "num_heads": 4,
    "num_encoder_layers": 2,
    "num_decoder_layers": 2,
    "dim_feedforward": 64,
    "num_queries": 9,
}


LEARNED, PROPOSALS = {"queries": "learned"}, {"queries": "proposals"}
FINE = PROPOSALS | {"fine_level": 0}


@pytest.mark.parametrize("form", [LEARNED, PROPOSALS, FINE])
def test_outputs(form):
    torch.manual_seed(0)
    detector = PersonDetector(**SMALL, **form).eval()
    out = detector(ImageBatch.from_list([torch.rand(3, 64, 96), torch.rand(3, 80, 48)]))
    assert out["pred_logits"].shape == (2, 9, 2)
    assert out["pred_boxes"].shape == (2, 9, 4)
    assert ((out["pred_boxes"] >= 0) & (out["pred_boxes"] <= 1)).all()
    assert len(out["aux_outputs"]) == 1
    assert ("proposals" in out) == (form != LEARNED)
    assert [m.shape[1] for m in out["features"]] == detector.backbone.channels


@pytest.mark.parametrize("form", [LEARNED, PROPOSALS, FINE])
def test_a_batch_of_different_sizes_equals_each_image_alone(form):
    torch.manual_seed(0)
    detector = PersonDetector(**SMALL, **form).eval()
    for name, parameter in detector.named_parameters():
        if (
            "bbox_embed" in name or "finer" in name
        ):  # else boxes are still their anchors, and the finer map says nothing
            torch.nn.init.normal_(parameter, std=0.2)
    images = [torch.rand(3, 64, 96), torch.rand(3, 81, 47), torch.rand(3, 64, 96)]
    together = detector(ImageBatch.from_list(images))
    for number, image in enumerate(images):
        alone = detector(ImageBatch.from_list([image]))
        for key in ("pred_logits", "pred_boxes"):
            assert (together[key][number] - alone[key][0]).abs().max() < 1e-5


def test_padding_is_never_proposed():
    torch.manual_seed(0)
    detector = PersonDetector(**{**SMALL, "num_queries": 6}, queries="proposals").eval()
    batch = ImageBatch.from_list([torch.rand(3, 128, 128), torch.rand(3, 48, 48)])
    _, _, merged, mask = detector.extract(batch)
    anchors = detector.proposals.anchors(mask)[1].unflatten(0, merged.shape[-2:])
    valid = anchors[~mask[1]]
    assert ((valid[:, :2] > 0) & (valid[:, :2] < 1)).all()
    assert valid[:, :2].mean(0).tolist() == pytest.approx([0.5, 0.5])


def test_proposals_of_finer_cells():
    """One a cell of the finer map, each starting from a box that is as large in pixels as a coarse cell's."""
    torch.manual_seed(0)
    detector = PersonDetector(**SMALL, **FINE).eval()
    assert detector.proposals.anchor_size == (6.0, 12.0)
    proposals = detector(ImageBatch.from_list([torch.rand(3, 64, 96)]))["proposals"]
    assert proposals["mask"].shape == (1, 8 * 12)
    with pytest.raises(ValueError, match="learned queries"):
        PersonDetector(**SMALL, fine_level=0)


def test_a_finer_map_starts_from_zero():
    """Weights without it go on as they are: the coarse memory, enlarged, is all that the proposals see."""
    torch.manual_seed(0)
    finer = FinerMemory(4, 8)
    memory, ones = torch.rand(2, 8, 3, 4), torch.ones(2, 2)
    tokens = finer(memory, torch.rand(2, 4, 6, 7), ones, ones, uniform=True)
    wanted = torch.nn.functional.interpolate(memory, size=(6, 7), mode="bilinear", align_corners=False)
    torch.testing.assert_close(tokens, wanted.flatten(2).transpose(1, 2))
    torch.testing.assert_close(finer(memory, torch.rand(2, 4, 6, 7), ones, ones, uniform=False), tokens)


def test_config_builds_the_same_detector():
    torch.manual_seed(0)
    detector = PersonDetector(**SMALL, queries="proposals").eval()
    again = build("person_detector", **detector.config).eval()
    again.load_state_dict(detector.state_dict())
    batch = ImageBatch.from_list([torch.rand(3, 64, 64)])
    torch.testing.assert_close(again(batch)["pred_boxes"], detector(batch)["pred_boxes"])


def test_frozen_stages_and_norms_stay():
    config = {**SMALL, "backbone": {**SMALL["backbone"], "frozen_stages": 3}}
    detector = PersonDetector(**config).train()
    norms = [m for m in detector.backbone.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms and not any(norm.training for norm in norms)
    before = norms[0].running_mean.clone()
    out = detector(ImageBatch.from_list([torch.rand(3, 64, 64)]))
    out["pred_boxes"].sum().backward()
    assert torch.equal(before, norms[0].running_mean)
    stages = detector.backbone._stages()
    assert all(p.grad is None for stage in stages[:3] for p in stage.parameters())
    assert any(p.grad is not None for p in stages[-1].parameters())


def test_frozen_stages_keep_their_statistics_where_others_learn():
    config = {**SMALL, "backbone": {**SMALL["backbone"], "frozen_stages": 4, "frozen_norm": False}}
    body = PersonDetector(**config).train().backbone.body
    body(torch.rand(2, 3, 64, 64))
    steps = {name: int(count) for name, count in body.named_buffers() if name.endswith("num_batches_tracked")}
    assert {steps[name] for name in steps if name.startswith(("bn1.", "blocks.0."))} == {0}
    assert {steps[name] for name in steps if not name.startswith(("bn1.", "blocks.0."))} == {1}


@pytest.mark.parametrize(
    ("name", "words"), [("mobilnetv2_100", "did you mean mobilenetv2_100"), ("?", "no network '.'$")]
)
def test_unknown_backbone(name, words):
    with pytest.raises(InputError, match=words):
        PersonDetector(**{**SMALL, "backbone": {"name": name}})


def test_unknown_queries():
    with pytest.raises(ValueError, match="unknown queries"):
        PersonDetector(**SMALL, queries="anchors")


class TestImageBatch:
    def test_mask_and_ratio(self):
        batch = ImageBatch.from_list([torch.ones(3, 4, 6), torch.ones(3, 2, 3)])
        assert batch.images.shape == (2, 3, 4, 6)
        assert not batch.mask[0].any()
        assert (~batch.mask[1]).sum() == 6
        assert batch.valid_ratio.tolist() == [[1.0, 1.0], [0.5, 0.5]]
        assert (batch.images[1] * batch.mask[1]).sum() == 0

    def test_resizing_does_not_depend_on_the_neighbours(self):
        images = [torch.rand(3, 40, 60), torch.rand(3, 90, 30)]
        together = ImageBatch.from_list(images).resized(32)
        assert together.sizes == ((21, 32), (32, 11))
        alone = ImageBatch.from_list(images[1:]).resized(32)
        torch.testing.assert_close(together.images[1, :, :32, :11], alone.images[0])

    @pytest.mark.parametrize("images", [[], [torch.rand(1, 4, 4)], [torch.rand(4, 4)]])
    def test_bad_images(self, images):
        with pytest.raises(ValueError):
            ImageBatch.from_list(images)
