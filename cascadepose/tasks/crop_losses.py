"""Losses of joints that are answered in crops and labelled in images."""

from torch import Tensor

from cascadepose.losses.keypoints import KeypointCriterion, KeypointTargets
from cascadepose.models.crop import to_crop, to_image

MARGIN = 0.02  # of the crop: joints that lie this far outside still count as inside, as in `data.crops`


def joint_losses(
    criterion: KeypointCriterion, out: dict, keypoints: Tensor, visible: Tensor, labelled: Tensor
) -> dict[str, Tensor]:
    """Set loss of the joints of the N people of a PRTR's answer, in units of their crops.

    keypoints [N, K, 2] relative to the image; visible, labelled [N, K] bool, as in `KeypointTargets`.

    A joint's place is taken through the crop's region to the image and back by a constant copy of the region: the same
    number, but a joint in the wrong place moves the box as well as the query's answer.
    """
    regions = out["crop_regions"]
    if not len(keypoints):
        nothing = 0.0 * sum(out["crop_outputs"][key].sum() for key in ("pred_keypoints", "pred_kpt_logits"))
        return {"loss": nothing, "loss_keypoints": nothing}
    frame = regions.detach()

    def through_the_box(layer: dict) -> dict:
        return layer | {"pred_keypoints": to_crop(to_image(layer["pred_keypoints"], regions), frame)}

    last = through_the_box(out["crop_outputs"])
    answers = last | {"aux_outputs": [through_the_box(layer) for layer in last["aux_outputs"]]}
    points = to_crop(keypoints, frame)
    visible = visible & joints_inside(frame, keypoints)
    points = points.masked_fill(~visible[..., None], 0.5)
    return criterion(answers, KeypointTargets(points, visible, labelled))


def joints_inside(regions: Tensor, keypoints: Tensor) -> Tensor:
    """Whether joints [N, K, 2] of the image lie in the regions [N, 4] of their crops -> [N, K] bool."""
    points = to_crop(keypoints, regions)
    return ((points > -MARGIN) & (points < 1 + MARGIN)).all(-1)
