"""The whole cascade as one differentiable function: frames to 3D joints."""

import torch
from torch import Tensor, nn

from cascadepose.boxes import cxcywh_to_xyxy, iou
from cascadepose.models.image_batch import ImageBatch
from cascadepose.models.prtr import PRTR
from cascadepose.normalization import declared_input, lifter_input


class CascadePose(nn.Module):
    """Person detector, keypoint transformer and lifter, one behind the other.

    prtr: PRTR in either form. lifter: any lifter, with the attributes that it declares (input and output skeleton,
        normalisation, channels). A 3D loss on its output reaches the weights of the first convolution, unless that is
        frozen.
    """

    def __init__(self, prtr: PRTR, lifter: nn.Module):
        super().__init__()
        self.prtr = prtr
        self.lifter = lifter

    def forward(self, clips: Tensor, boxes: Tensor | None = None, max_people: int = 1) -> dict[str, Tensor]:
        """Clips of frames -> 3D joints of the people in them.

        clips: [B, T, 3, H, W] RGB in 0..1.
        boxes: [B, T, P, 4] cxcywh relative to the frame, one slot a person; None lets the detector choose (`follow`)
            the `max_people` best people of the middle frame.

        Returns `joints` [B, P, T', J, 3] metres, root-relative, camera axes (T' = T, or 1 for a lifter that answers for
        one frame); `keypoints` [B, P, T, K, 2] and `sigma` [B, P, T, K, 2] in pixels of the clip, `scores` [B, P, T,
        K], and `boxes` [B, P, T, 4]. Gradients flow from each of them to the pixels and to every weight that is not
        frozen.
        """
        batch_size, length = clips.shape[:2]
        size = (clips.shape[-2], clips.shape[-1])
        frames = ImageBatch(clips.flatten(0, 1), (size,) * (batch_size * length))
        detections: dict = {}
        if boxes is None:
            detections = self.prtr.detect(frames)
            logits = detections["pred_logits"].unflatten(0, (batch_size, length))
            boxes = follow(logits, detections["pred_boxes"].unflatten(0, (batch_size, length)), max_people)
        people = boxes.shape[2]
        index = torch.arange(len(frames), device=clips.device).repeat_interleave(people)
        out = self.prtr(frames, boxes.flatten(0, 2), index, detections=detections)
        keypoints, scores, sigma = self.prtr.read_joints(out)
        pixels = keypoints.new_tensor([size[1], size[0]])

        def per_person(x: Tensor) -> Tensor:
            return x.unflatten(0, (batch_size, length, people)).transpose(1, 2)

        keypoints, scores, sigma = per_person(keypoints * pixels), per_person(scores), per_person(sigma * pixels)
        x = lifter_input(keypoints, scores, (size[1], size[0]), **declared_input(self.lifter))
        joints = self.lifter(x.flatten(0, 1))
        joints = (joints - joints[..., :1, :]).unflatten(0, (batch_size, people))
        return {
            "joints": joints,
            "keypoints": keypoints,
            "scores": scores,
            "sigma": sigma,
            "boxes": boxes.transpose(1, 2),
        }


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
