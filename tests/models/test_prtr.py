import pytest
import torch

from cascadepose.models import build
from cascadepose.models.cascade import CascadePose, follow
from cascadepose.models.heatmaps import agreement, around_peak, soft_argmax
from cascadepose.models.image_batch import ImageBatch
from cascadepose.models.keypoints import KeypointTransformer
from cascadepose.models.lifters.dstformer import DSTformer
from cascadepose.models.prtr import PRTR
from cascadepose.models.readout import assign_queries

BACKBONE = {"name": "mobilenetv3_small_050", "levels": [2, 3, 4]}
TRANSFORMER = {"d_model": 32, "num_heads": 4, "num_encoder_layers": 1, "num_decoder_layers": 2, "dim_feedforward": 64}
DETECTOR = {"backbone": BACKBONE, "input_levels": [1, 2], "num_queries": 8, **TRANSFORMER}
ORDERED = {**TRANSFORMER, "num_queries": 17, "matching": "ordered", "readout": "heatmap", "heatmap_dim": 16}


def make(form: str, **options) -> PRTR:
    torch.manual_seed(0)
    if form == "image":
        keypoints = {
            "backbone": BACKBONE,
            "transformer": ORDERED,
            "crop_size": [64, 48],
            "input_levels": [1],
            "fine_level": 0,
        }
        return PRTR({**DETECTOR, "queries": "proposals"}, keypoints, "image", detector_side=64, **options)
    keypoints = {**TRANSFORMER, "num_queries": 25, "position": "sine+learned", "size": [10, 10]}
    return PRTR(DETECTOR, keypoints, "features", crop_levels=[1, 2], alignment="corners", **options)


@pytest.mark.parametrize("form", ["image", "features"])
class TestBothForms:
    def test_a_batch_of_different_sizes_equals_each_image_alone(self, form):
        model = make(form, threshold=0.0, max_people=3).eval()
        images = [torch.rand(3, 96, 64), torch.rand(3, 70, 110)]
        together = model(ImageBatch.from_list(images))
        joints, scores, sigma = model.read_joints(together)
        assert joints.shape == (6, 17, 2)
        for number, image in enumerate(images):
            own = model.read_joints(model(ImageBatch.from_list([image])))
            mine = together["people_batch_index"] == number
            for whole, alone in zip((joints, scores, sigma), own, strict=True):
                assert (whole[mine] - alone).abs().max() < 1e-5

    def test_only_people_over_the_threshold_go_on(self, form):
        model = make(form, max_people=5).eval()
        batch = ImageBatch.from_list([torch.rand(3, 64, 64)] * 2)
        scores = model(batch, threshold=0.0)["people_scores"]
        assert len(scores) == 10
        limit = scores.sort().values[6].item()
        kept = model(batch, threshold=limit)
        assert len(kept["people_scores"]) == (scores > limit).sum()
        nobody = model(batch, threshold=1.0)
        assert nobody["pred_keypoints"].shape[0] == 0
        assert model.read_joints(nobody)[0].shape == (0, 17, 2)

    def test_given_boxes(self, form):
        model = make(form).eval()
        boxes = torch.tensor([[0.5, 0.5, 0.4, 0.8], [0.3, 0.4, 0.2, 0.3], [0.6, 0.5, 0.3, 0.9]])
        out = model(ImageBatch.from_list([torch.rand(3, 64, 80)] * 2), boxes, torch.tensor([0, 1, 1]))
        assert torch.equal(out["people_boxes"], boxes)
        assert model.read_joints(out)[0].shape == (3, 17, 2)

    def test_joints_are_scored_as_by_the_keypoint_stage(self, form):
        model = make(form, threshold=0.0, max_people=3).eval()
        out = model(ImageBatch.from_list([torch.rand(3, 64, 80)]))
        torch.testing.assert_close(model.read_joints(out)[1], model.keypoints.read_joints(out["crop_outputs"])[1])

    def test_config_builds_the_same_model(self, form):
        model = make(form, threshold=0.0).eval()
        again = build("prtr", **model.config).eval()
        again.load_state_dict(model.state_dict())
        batch = ImageBatch.from_list([torch.rand(3, 64, 64)])
        torch.testing.assert_close(again(batch)["pred_keypoints"], model(batch)["pred_keypoints"])

    @pytest.mark.parametrize("given", [True, False])
    def test_one_3d_loss_reaches_the_first_convolution(self, form, given):
        """The point of the project: pixels to 3D joints is one differentiable function."""
        cascade = CascadePose(make(form), DSTformer(dim=16, depth=1, num_heads=2, dim_rep=16, maxlen=3)).train()
        clips = torch.rand(1, 3, 3, 64, 64)
        boxes = torch.tensor([0.5, 0.5, 0.6, 0.8]).expand(1, 3, 1, 4) if given else None
        # Heads that start at zero would hide the boxes' gradient in a network that has not been trained.
        for parameter in cascade.parameters():
            if parameter.dim() > 1 and parameter.abs().max() == 0:
                torch.nn.init.normal_(parameter, std=0.1)
        out = cascade(clips, boxes)
        assert out["joints"].shape == (1, 1, 3, 17, 3)
        (out["joints"] - torch.rand(1, 1, 3, 17, 3)).norm(dim=-1).mean().backward()
        keypoint_backbone = cascade.prtr.keypoints.backbone if form == "image" else cascade.prtr.detector.backbone
        reached = [keypoint_backbone] if given else [keypoint_backbone, cascade.prtr.detector.backbone]
        for backbone in reached:
            gradient = backbone.body.conv_stem.weight.grad
            assert gradient is not None
            assert torch.isfinite(gradient).all()
            assert gradient.abs().max() > 0


def test_hungarian_readout_beats_every_permutation():
    torch.manual_seed(0)
    from itertools import permutations

    logits = torch.randn(4, 5, 4)
    query, scores = assign_queries(logits)
    probability = logits[..., :3].softmax(-1)
    for number in range(4):
        best = max(sum(probability[number, q, j] for j, q in enumerate(p)) for p in permutations(range(5), 3))
        assert scores[number].sum().item() == pytest.approx(best.item(), abs=1e-6)
        assert len(set(query[number].tolist())) == 3


def test_ordered_matching_needs_one_query_a_joint():
    with pytest.raises(ValueError, match="one query a joint"):
        KeypointTransformer(8, **{**ORDERED, "num_queries": 18})


def test_soft_argmax_finds_a_peak_and_has_gradients():
    logits = torch.full((1, 6, 8), -20.0)
    logits[0, 4, 2] = 20.0
    torch.testing.assert_close(soft_argmax(logits), torch.tensor([[2.5 / 8, 4.5 / 6]]))
    assert torch.autograd.gradcheck(soft_argmax, torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True))


def test_a_sharp_expectation_stays_with_the_peak():
    """A faint second hill far away moves the plain expectation, and hardly the sharpened one."""
    logits = torch.full((1, 1, 16, 16), -8.0)
    logits[0, 0, 4, 4], logits[0, 0, 12, 12] = 3.0, 1.0
    peak = torch.tensor([4.5 / 16, 4.5 / 16])
    plain, sharp = soft_argmax(logits)[0, 0], soft_argmax(logits * 3)[0, 0]
    assert (sharp - peak).norm() < 0.1 * (plain - peak).norm()


def test_a_second_hill_does_not_move_the_place_of_the_peak():
    """Two hills of nearly the same height: the expectation lies between them, the place near the peak on the higher."""
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(24.0), indexing="ij")
    hill = -0.5 * ((x - 6) ** 2 + (y - 8) ** 2)
    maps = torch.stack([hill, torch.logaddexp(hill, hill.roll((14, 12), (0, 1)) - 0.1)]).expand(3, 2, 32, 24)
    one, two = around_peak(maps)[0]
    torch.testing.assert_close(one, torch.tensor([6.5 / 24, 8.5 / 32]), atol=1e-4, rtol=0)
    torch.testing.assert_close(two, one, atol=1e-3, rtol=0)
    assert (soft_argmax(maps[0, 1]) - one).norm() > 0.2


def test_the_place_of_a_peak_has_gradients():
    logits = torch.randn(2, 3, 16, 12, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(around_peak, logits)


def test_confidence_of_heat_maps():
    """Nearly one for the Gaussian that is taught, nearly zero for a flat map, a half for two places."""
    y, x = torch.meshgrid(torch.arange(24.0), torch.arange(18.0), indexing="ij")
    taught = -0.5 * ((x - 9) ** 2 + (y - 12) ** 2)
    two = torch.logaddexp(taught.roll(6, 1), taught.roll(-6, 1))
    found = agreement(torch.stack([taught, torch.zeros(24, 18), two])[None])[0]
    assert found[0] == pytest.approx(0.975, abs=0.01)
    assert found[1] < 0.06
    assert found[2] == pytest.approx(0.5, abs=0.03)


def test_of_two_boxes_that_overlap_the_better_goes_on():
    model = make("features", nms_iou=0.6).eval()
    out = {
        "pred_boxes": torch.tensor([[[0.5, 0.5, 0.4, 0.8], [0.51, 0.5, 0.4, 0.8], [0.2, 0.5, 0.2, 0.8]]]).repeat(
            2, 1, 1
        ),
        "pred_logits": torch.tensor([[[1.0, 0], [2.0, 0], [0.5, 0]], [[2.0, 0], [1.0, 0], [-9.0, 0]]]),
    }
    boxes, scores, index = model.select_people(out, 0.3)
    assert index.tolist() == [0, 0, 1]
    torch.testing.assert_close(boxes[:, 0], torch.tensor([0.51, 0.2, 0.5]))
    assert scores[0] > scores[1]


def test_follow_keeps_to_one_person():
    """Two people; in the middle frame the first is best; later their queries change places and so must the choice."""
    first, second = torch.tensor([0.2, 0.5, 0.2, 0.6]), torch.tensor([0.8, 0.5, 0.2, 0.6])
    boxes = torch.stack([torch.stack([first, second])] * 2 + [torch.stack([second, first])])[None]
    logits = torch.tensor([[[2.0, 0], [1.5, 0]], [[2.0, 0], [1.5, 0]], [[2.0, 0], [1.5, 0]]])[None]
    chosen = follow(logits, boxes, 1)
    assert torch.equal(chosen[0, :, 0], first.expand(3, 4))
    both = follow(logits, boxes, 2)
    assert torch.equal(both[0, :, 1], second.expand(3, 4))
