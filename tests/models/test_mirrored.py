import pytest
import torch

from cascadepose.models.heatmaps import around_peak
from cascadepose.models.keypoints import KeypointEstimator
from cascadepose.models.mirrored import mean_of_maps, read_both_sides
from cascadepose.skeletons import COCO17

SWAP = list(COCO17.flip_index)
SMALL = {"d_model": 32, "num_heads": 4, "num_encoder_layers": 1, "num_decoder_layers": 1, "dim_feedforward": 32}
ORDERED = {"num_queries": 17, "matching": "ordered"}
FORMS = [{"num_queries": 20}, ORDERED, ORDERED | {"readout": "heatmap", "heatmap_dim": 16, "heatmap_sharpness": 3.0}]


@pytest.mark.parametrize("form", FORMS, ids=["hungarian", "ordered", "maps"])
def test_the_answer_to_a_mirror_image_is_the_mirrored_answer(form):
    torch.manual_seed(0)
    backbone = {"name": "mobilenetv3_small_050", "levels": [2, 3]}
    stage = KeypointEstimator(backbone, SMALL | form, crop_size=(128, 96)).eval()
    for parameter in stage.transformer.kpt_embed.parameters():
        torch.nn.init.normal_(parameter, std=0.2)  # corrections that are not zero
    crops = torch.rand(2, 3, 128, 96)
    with torch.no_grad():
        out, mirrored = stage(crops), stage(crops.flip(-1))
    points, scores, sigma = read_both_sides(stage, out, mirrored, SWAP)
    other = read_both_sides(stage, mirrored, out, SWAP)
    torch.testing.assert_close(other[0][:, SWAP] * torch.tensor([-1.0, 1.0]) + torch.tensor([1.0, 0.0]), points)
    torch.testing.assert_close(other[1][:, SWAP], scores)
    torch.testing.assert_close(other[2][:, SWAP], sigma)


def output(peaks: dict[int, float], correction: float = 0.0) -> dict:
    """One crop with maps of 8 x 9 cells, all joints in row 4: peaks {column: height}, corrected to the right."""
    maps = torch.full((1, 17, 8, 9), -20.0)
    for column, height in peaks.items():
        maps[:, :, 4, column] = height
    x, y = around_peak(maps).unbind(-1)
    points = torch.stack([(torch.logit(x) + correction).sigmoid(), y], -1)
    return {
        "pred_heatmaps": maps,
        "pred_keypoints": points,
        "pred_kpt_logits": torch.zeros(1, 17, 18),
        "pred_kpt_sigma": torch.ones(1, 17, 2),
    }


def test_sides_that_agree_change_nothing():
    out = output({3: 5.0, 4: 4.0}, correction=0.3)
    found = mean_of_maps(out, output({5: 5.0, 4: 4.0}, correction=-0.3), SWAP, 1.0)
    torch.testing.assert_close(found["pred_keypoints"], out["pred_keypoints"], atol=1e-5, rtol=0)
    torch.testing.assert_close(found["pred_heatmaps"], out["pred_heatmaps"])


def test_sides_that_disagree_meet_where_both_think_it_possible():
    """One side is sure of column 1 and thinks 6 possible, the other is sure of 6 alone: not half-way, but 6."""
    found = mean_of_maps(output({1: 5.0, 6: 3.0}), output({2: 5.0}), SWAP, 1.0)
    assert found["pred_keypoints"][..., 0] * 9 - 0.5 == pytest.approx(torch.full((1, 17), 6.0).numpy(), abs=0.01)
