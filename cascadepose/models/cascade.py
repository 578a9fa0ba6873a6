"""The whole cascade as one differentiable function: frames to 3D joints."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from cascadepose.boxes import cxcywh_to_xyxy, iou
from cascadepose.models.image_batch import ImageBatch
from cascadepose.models.pretrained import Pretrained
from cascadepose.models.prtr import PRTR
from cascadepose.normalization import declared_input, lifter_input


class CascadePose(Pretrained, nn.Module):
    """Person detector, keypoint transformer and lifter, one behind the other.

    prtr: PRTR in either form, or its keyword arguments. lifter: any lifter, with the attributes that it declares (input
        and output skeleton, normalisation, channels), or its keyword arguments and its "kind". A 3D loss on the output
        reaches the weights of the first convolution, unless that is frozen.
    """

    def __init__(self, prtr: PRTR | dict, lifter: nn.Module | dict):
        super().__init__()
        from cascadepose.models import build, kind_of

        self.prtr = PRTR(**prtr) if isinstance(prtr, dict) else prtr
        self.lifter = build(**lifter) if isinstance(lifter, dict) else lifter
        self.config = {"prtr": self.prtr.config, "lifter": {"kind": kind_of(self.lifter), **self.lifter.config}}

    def forward(
        self,
        clips: Tensor,
        boxes: Tensor | Callable[[dict], Tensor] | None = None,
        max_people: int = 1,
        windows: Tensor | None = None,
    ) -> dict:
        """Clips of frames -> 3D joints of the people in them.

        clips: [B, T, 3, H, W] RGB in 0..1; or, with `windows`, frames [F, 3, H, W].
        windows: [B, T] which frames a clip consists of; a picture may stand still for T frames and be looked at once.
        boxes: [B, T, P, 4] ([F, P, 4] of frames) cxcywh relative to the frame, one slot a person; or what makes them
            [F, P, 4] of the detector's outputs (training looks at the queries that were matched); None lets the
            detector choose (`follow`) the `max_people` best people of each clip's middle frame.

        Returns `joints` [B, P, T', J, 3] metres, root-relative, camera axes (T' = T, or 1 for a lifter that answers for
        one frame); `keypoints` [B, P, T, K, 2] and `sigma` [B, P, T, K, 2] in pixels of the clip, `scores` [B, P, T,
        K], and `boxes` [B, P, T, 4]; and `people`, PRTR's own outputs of F * P people, a frame's one after another.
        Gradients flow from each of them to the pixels and to every weight that is not frozen.

        Raises ValueError for frames whose clips nobody names.
        """
        if windows is None and clips.dim() != 5:
            raise ValueError(f"clips are [B, T, 3, H, W], not {tuple(clips.shape)}; frames need windows")
        if windows is None:
            windows = torch.arange(clips.shape[0] * clips.shape[1], device=clips.device).view(clips.shape[:2])
            clips = clips.flatten(0, 1)
            boxes = boxes.flatten(0, 1) if isinstance(boxes, Tensor) else boxes
        size = (clips.shape[-2], clips.shape[-1])
        frames = ImageBatch(clips, (size,) * len(clips))
        detections: dict = {}
        if not isinstance(boxes, Tensor):
            detections = self.prtr.detect(frames)
            boxes = _followed(detections, windows, max_people) if boxes is None else boxes(detections)
        people = boxes.shape[1]
        index = torch.arange(len(frames), device=clips.device).repeat_interleave(people)
        out = self.prtr(frames, boxes.flatten(0, 1), index, detections=detections)
        keypoints, scores, sigma = self.prtr.read_joints(out)
        pixels = keypoints.new_tensor([size[1], size[0]])

        def per_person(x: Tensor) -> Tensor:
            return x.unflatten(0, (len(frames), people))[windows].transpose(1, 2)

        keypoints, scores, sigma = per_person(keypoints * pixels), per_person(scores), per_person(sigma * pixels)
        x = lifter_input(keypoints, scores, (size[1], size[0]), **declared_input(self.lifter))
        joints = self.lifter(x.flatten(0, 1))
        joints = (joints - joints[..., :1, :]).unflatten(0, keypoints.shape[:2])
        return {
            "joints": joints,
            "keypoints": keypoints,
            "scores": scores,
            "sigma": sigma,
            "boxes": boxes[windows].transpose(1, 2),
            "people": out,
        }


def _followed(detections: dict, windows: Tensor, max_people: int) -> Tensor:
    """Boxes [F, P, 4] of the people that `follow` finds in each clip. Clips that share a frame would disagree."""
    boxes = follow(detections["pred_logits"][windows], detections["pred_boxes"][windows], max_people)
    return boxes.new_zeros(len(detections["pred_boxes"]), max_people, 4).index_put((windows,), boxes)


def follow(logits: Tensor, boxes: Tensor, max_people: int) -> Tensor:
    """One query per frame for each of the best people of the middle frame, for clips too short to need a tracker.

    logits [B, T, Q, 2], boxes [B, T, Q, 4] -> boxes [B, T, P, 4]. In every frame that query is taken whose box overlaps
    the middle frame's most and whose score is high; the choice has no gradient, the boxes chosen have.
    """
    scores = logits.softmax(-1)[..., 0].detach()
    middle = logits.shape[1] // 2
    best = scores[:, middle].topk(max_people, dim=1).indices
    anchor = boxes[:, middle].gather(1, best[..., None].expand(-1, -1, 4)).detach()
    overlap = iou(cxcywh_to_xyxy(anchor)[:, None, :, None], cxcywh_to_xyxy(boxes.detach())[:, :, None])
    query = (overlap + 0.1 * scores[:, :, None]).argmax(-1)
    query[:, middle] = best
    return boxes.gather(2, query[..., None].expand(-1, -1, -1, 4))
