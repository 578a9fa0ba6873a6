"""What becomes of a detector's boxes when the keypoint stage has looked at the people in them (`models.person_box`)."""

from torch import Tensor

from cascadepose.boxes import cxcywh_to_xyxy, mirrored, xyxy_to_cxcywh
from cascadepose.models.crop import to_image


def boxes_in_image(answer: dict, regions: Tensor) -> tuple[Tensor, Tensor]:
    """A keypoint stage's answer to crops of `regions` [N, 4] -> boxes [N, 4] cxcywh relative to the un-padded image and
    cut to it, quality [N] in 0..1.
    """
    corners = cxcywh_to_xyxy(answer["pred_person_boxes"]).unflatten(-1, (2, 2))
    boxes = xyxy_to_cxcywh(to_image(corners, regions).clamp(0, 1).flatten(-2))
    return boxes, answer["pred_person_quality"].sigmoid()


def mean_of_boxes(answer: dict, other: dict) -> dict:
    """One answer from those to crops and to their mirror images."""
    boxes, quality = "pred_person_boxes", "pred_person_quality"
    turned = mirrored(other[boxes])
    return {boxes: (answer[boxes] + turned) / 2, quality: (answer[quality] + other[quality]) / 2}


def agreed(scores: Tensor, quality: Tensor) -> Tensor:
    """What both stages think of a box: the geometric mean of the detector's score and, four times, the keypoint stage's
    quality, which is by far the better judge.
    """
    return (scores * quality**4) ** (1 / 5)


def best_of(boxes: Tensor, scores: Tensor, batch_index: Tensor, threshold: float, max_iou: float | None) -> Tensor:
    """Which of N boxes (cxcywh) are believed, best first: indices of those over the threshold that do not overlap a
    better one of the same image by more than `max_iou` (None: whatever they overlap).
    """
    from torchvision.ops import batched_nms

    if max_iou is None:
        kept = scores.argsort(descending=True)
    else:
        kept = batched_nms(cxcywh_to_xyxy(boxes).float(), scores.float(), batch_index, max_iou)
    return kept[scores[kept] > threshold]
