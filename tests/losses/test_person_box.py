import pytest
import torch

from cascadepose.losses.person_box import PersonBoxCriterion, PersonBoxTargets, edge_entropy
from cascadepose.models.person_box import PersonBox


def answers(number: int = 4) -> dict:
    torch.manual_seed(0)
    layers = PersonBox(16)(torch.randn(2, number, 4, 16), torch.randn(2, number, 4, 8, 6), 1.0)
    return layers[1] | {"aux_outputs": layers[:1]}


def targets(known: list[bool], nobody: list[bool]) -> PersonBoxTargets:
    boxes = torch.tensor([0.5, 0.5, 0.6, 0.8]).repeat(len(known), 1)
    return PersonBoxTargets(boxes, torch.tensor(known), torch.tensor(nobody))


def test_edge_entropy_is_least_for_its_own_gaussian():
    place = torch.tensor([[0.3]])
    cells = torch.arange(10) + 0.5
    gaussian = -0.5 * (cells - 3.0).square()
    least = edge_entropy(gaussian[None, None], place, 1.0)
    share = gaussian.softmax(0)
    assert least.item() == pytest.approx(-(share * share.log()).sum().item(), abs=1e-5)
    assert edge_entropy(gaussian.roll(1)[None, None], place, 1.0) > least
    assert edge_entropy(torch.zeros(1, 1, 10), place, 1.0).item() == pytest.approx(torch.tensor(10.0).log().item())


def test_people_without_a_known_box_teach_nothing():
    out, criterion = answers(), PersonBoxCriterion()
    whole = criterion(out, targets([True, False, False, True], [False] * 4))
    part = {key: value[[0, 3]] for key, value in out.items() if key != "aux_outputs"}
    part["aux_outputs"] = [{key: value[[0, 3]] for key, value in out["aux_outputs"][0].items()}]
    alone = criterion(part, targets([True, True], [False, False]))
    for name, value in whole.items():
        torch.testing.assert_close(value, alone[name])
    nothing = criterion(out, targets([False] * 4, [False] * 4))
    assert all(value.item() == 0 for value in nothing.values())


def test_nobody_teaches_that_there_is_no_box_and_nothing_else():
    out = answers(1)
    found = PersonBoxCriterion()(out, targets([False], [True]))
    assert found["loss_edges"] == 0 and found["loss_box"] == 0
    expected = 2.0 * torch.nn.functional.softplus(out["pred_person_quality"]).sum()
    torch.testing.assert_close(found["loss_quality"], expected)


def test_quality_is_taught_the_overlap_and_does_not_move_the_box():
    out = answers(1)
    out["pred_person_boxes"] = torch.tensor([[0.5, 0.5, 0.6, 0.4]], requires_grad=True)  # half of the person
    out["pred_person_quality"] = torch.zeros(1, requires_grad=True)
    criterion = PersonBoxCriterion(edge_weight=0, l1_weight=0, giou_weight=0)
    criterion.layer(out, targets([True], [False]))["loss_quality"].backward()
    assert out["pred_person_quality"].grad.abs() < 1e-6  # sigmoid(0) is the IoU
    assert out["pred_person_boxes"].grad is None


def test_the_loss_has_the_gradient_that_it_claims():
    places = targets([True, True], [False, False])
    places = PersonBoxTargets(places.boxes.double(), places.known, places.nobody)

    def loss(columns, rows, boxes):
        out = {"pred_person_columns": columns, "pred_person_rows": rows, "pred_person_boxes": boxes}
        out["pred_person_quality"] = torch.zeros(2, dtype=torch.float64)
        parts = PersonBoxCriterion(quality_weight=0).layer(out, places)
        return parts["loss_edges"] + parts["loss_box"]

    inputs = [torch.randn(2, 2, n, dtype=torch.float64, requires_grad=True) for n in (6, 8)]
    boxes = torch.tensor([[0.41, 0.46, 0.5, 0.65], [0.58, 0.53, 0.3, 0.87]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss, (*inputs, boxes))
