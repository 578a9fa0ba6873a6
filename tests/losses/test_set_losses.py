"""What our data ask of the set losses beyond the official criteria, which tests/parity holds them against."""

import pytest
import torch

from cascadepose.losses.detection import BoxTargets, DetectionCriterion
from cascadepose.losses.keypoints import KeypointCriterion, KeypointTargets, heatmap_entropy, laplace_nll


def detector_outputs(queries=4):
    torch.manual_seed(0)
    logits = torch.randn(1, queries, 2, requires_grad=True)
    boxes = (torch.rand(1, queries, 4) * 0.3 + 0.2).requires_grad_()
    return {"pred_logits": logits, "pred_boxes": boxes, "aux_outputs": []}


def test_images_with_missing_boxes_teach_no_absence():
    out = detector_outputs()
    targets = BoxTargets(torch.full((1, 1, 4), 0.3), [1], complete=torch.tensor([False]))
    DetectionCriterion()(out, targets)["loss"].backward()
    assert (out["pred_logits"].grad.abs().sum(-1) > 0).sum() == 1  # the matched query only


def test_crowds_teach_no_absence():
    out = detector_outputs()
    everywhere = torch.tensor([[[0.5, 0.5, 1.0, 1.0]]])
    DetectionCriterion()(out, BoxTargets(torch.zeros(1, 0, 4), [0], ignore=everywhere))["loss"].backward()
    assert out["pred_logits"].grad.abs().max() == 0


def test_an_image_without_people_has_finite_losses():
    out = detector_outputs()
    losses = DetectionCriterion()(out, BoxTargets(torch.zeros(1, 0, 4), [0]))
    assert torch.isfinite(losses["loss"])
    assert losses["loss_l1"] == 0


@pytest.mark.parametrize("matching", ["hungarian", "ordered"])
def test_unlabelled_joints_are_in_no_loss(matching):
    """Whatever the model says of a joint that the data set never labels, the class loss is the same."""
    torch.manual_seed(0)
    logits, points = torch.randn(2, 5, 6), torch.rand(2, 5, 2)
    visible = torch.tensor([[True, True, False, True, False]]).repeat(2, 1)
    labelled = torch.tensor([[True, True, True, True, False]]).repeat(2, 1)
    targets = KeypointTargets(torch.rand(2, 5, 2), visible, labelled)
    criterion = KeypointCriterion(5, matching, no_joint_weight=0.5)

    def loss(shift):
        moved = logits.clone()
        moved[..., 4] += shift
        out = {"pred_kpt_logits": moved, "pred_keypoints": points, "pred_kpt_sigma": torch.ones(2, 5, 2)}
        return criterion(out | {"aux_outputs": []}, targets)["loss_class"]

    if matching == "hungarian":  # the assignment sees every probability; the class loss of the same pairs must not
        fixed = criterion.match(logits, points, targets)
        criterion.match = lambda *_: fixed
    assert loss(0.0).item() == pytest.approx(loss(3.0).item(), abs=1e-6)


def test_likelihood_is_best_where_sigma_is_the_error():
    error = torch.full((1,), 0.3)
    sigma = torch.linspace(0.05, 1.0, 200)
    best = sigma[laplace_nll(error, sigma).argmin()]
    assert best.item() == pytest.approx(0.3 * 2**0.5, abs=0.01)


def test_heatmap_entropy_ignores_points_outside():
    logits = torch.randn(2, 6, 5)
    inside, outside = heatmap_entropy(logits, torch.tensor([[0.5, 0.5], [1.2, 0.5]]), 1.0)
    assert inside > 0
    assert outside == 0


def test_varifocal_is_least_where_scores_are_overlaps():
    """With fixed boxes the best probability of a matched query is the IoU of its box; of any other, zero."""
    boxes = torch.tensor([[[0.5, 0.5, 0.4, 0.4], [0.1, 0.1, 0.1, 0.1]]])
    targets = BoxTargets(torch.tensor([[[0.5, 0.5, 0.4, 0.2]]]), [1])
    criterion = DetectionCriterion(classification="varifocal", l1_weight=0, giou_weight=0)
    margin = torch.zeros(1, 2, requires_grad=True)
    optimizer = torch.optim.Adam([margin], lr=0.1)
    for _ in range(400):
        out = {"pred_logits": torch.stack([margin, -margin], -1) / 2, "pred_boxes": boxes, "aux_outputs": []}
        optimizer.zero_grad()
        criterion(out, targets)["loss"].backward()
        optimizer.step()
    person = margin.sigmoid()[0].tolist()
    assert person[0] == pytest.approx(0.5, abs=0.01) and person[1] < 0.1


def test_varifocal_knows_people_only():
    with pytest.raises(ValueError, match="not 92 logits"):
        DetectionCriterion(num_logits=92, classification="varifocal")


def test_one_to_many_in_the_decoder_teaches_several_queries():
    """Two equal queries on one person: DETR's rule pushes one down, one-to-many matching lifts both."""
    box = torch.tensor([0.5, 0.5, 0.4, 0.4])
    targets = BoxTargets(box.expand(1, 1, 4), [1])
    pushed = {}
    for repeats in (1, 2):
        logits = torch.zeros(1, 2, 2, requires_grad=True)
        out = {"pred_logits": logits, "pred_boxes": box.expand(1, 2, 4), "aux_outputs": []}
        DetectionCriterion(classification="varifocal", decoder_one_to_many=repeats)(out, targets)["loss"].backward()
        pushed[repeats] = (logits.grad[0, :, 0] < 0).sum().item()  # downhill is towards a person
    assert pushed == {1: 1, 2: 2}
