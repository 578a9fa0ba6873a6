import torch
from hypothesis import given
from hypothesis import strategies as st

from cascadepose import boxes as b


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Overlaps are guarded against empty boxes by a small constant in the divisor."""
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


unit = st.floats(0.05, 0.95)


@given(unit, unit, unit, unit)
def test_formats_are_inverses(x, y, w, h):
    box = torch.tensor([x, y, w, h], dtype=torch.float64)
    torch.testing.assert_close(b.xyxy_to_cxcywh(b.cxcywh_to_xyxy(box)), box)
    torch.testing.assert_close(b.xyxy_to_xywh(b.xywh_to_xyxy(box)), box)


@given(unit, unit, unit, unit)
def test_overlaps_of_a_box_with_itself_and_with_its_quarter(x, y, w, h):
    box = torch.tensor([x, y, x + w, y + h], dtype=torch.float64)
    quarter = torch.tensor([x, y, x + w / 2, y + h / 2], dtype=torch.float64)
    close(b.iou(box, box), torch.tensor(1.0, dtype=torch.float64))
    close(b.iou(box, quarter), torch.tensor(0.25, dtype=torch.float64))
    close(b.generalized_iou(box, quarter), torch.tensor(0.25, dtype=torch.float64))


def test_generalized_iou_of_boxes_apart_falls_with_distance():
    box = torch.tensor([0.0, 0.0, 1.0, 1.0])
    near, far = torch.tensor([2.0, 0.0, 3.0, 1.0]), torch.tensor([5.0, 0.0, 6.0, 1.0])
    assert -1 < b.generalized_iou(box, far) < b.generalized_iou(box, near) < 0


@given(unit, unit, st.floats(0.05, 0.3), st.floats(0.05, 0.3))
def test_no_shift_keeps_a_box_and_a_shift_is_in_its_own_size(x, y, w, h):
    inside = torch.tensor([0.2 + 0.6 * x, 0.2 + 0.6 * y, w, h], dtype=torch.float64)
    torch.testing.assert_close(b.shift_boxes(inside, torch.zeros(4, dtype=torch.float64)), inside)
    middle = torch.tensor([0.5, 0.5, w, h], dtype=torch.float64)
    moved = b.shift_boxes(middle, torch.tensor([0.5, -0.5, 0.0, 0.0], dtype=torch.float64))
    expected = torch.tensor([0.5 + w / 2, 0.5 - h / 2, w, h], dtype=torch.float64)
    torch.testing.assert_close(moved, expected)


def test_a_shifted_box_stays_within_the_image():
    corners = b.cxcywh_to_xyxy(b.shift_boxes(torch.tensor([0.9, 0.1, 0.3, 0.3]), torch.tensor([1.0, -1.0, 9.0, 9.0])))
    assert corners.min() >= 0 and corners.max() <= 1
