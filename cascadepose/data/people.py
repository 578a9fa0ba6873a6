"""Whole images with all of their people, for the detector and for training both stages together."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cascadepose.boxes import xyxy_to_cxcywh
from cascadepose.data.coco import CocoSource, ImageStore
from cascadepose.data.sources import read_source
from cascadepose.data.transforms import fit_transform, mirror, scene_transform, seeded
from cascadepose.models.image_batch import ImageBatch
from cascadepose.skeletons import COCO17, Skeleton


class PersonImages(Dataset):
    """Images of one or more annotation files, with the joints of `skeleton`.

    Asked with `(index, seed)` an item is augmented from that seed alone; asked with a plain index it is only scaled. An
    item: `image` uint8 [3, H, W]; relative to it, `boxes` [P, 4] cxcywh, `keypoints` [P, K, 2], `visible` and
    `labelled` [P, K] bool, `ignore` [G, 4] cxcywh, and `complete` bool.

    sides: lengths of the longer side that training draws from; the last is used without a seed. canvas: augmented
        images are cropped and padded to squares of this side (large scale jittering, Ghiasi et al., CVPR 2021, section
        4).
    """

    def __init__(
        self,
        sources: Sequence[CocoSource],
        sides: Sequence[int] = (320,),
        cache: bool = True,
        canvas: int | None = None,
        skeleton: Skeleton = COCO17,
    ):
        self.sides, self.canvas, self.skeleton = tuple(sides), canvas, skeleton
        self.records, weights = [], []
        for source in sources:
            found = read_source(source, skeleton)
            self.records += found
            weights += [source.weight] * len(found)
        self.sample_weights = np.array(weights) if len(set(weights)) > 1 else None
        self.images = ImageStore([record.path for record in self.records], cache)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, item: int | tuple[int, int]) -> dict[str, Tensor]:
        index, seed = item if isinstance(item, tuple) else (item, None)
        record = self.records[index]
        image, people = self.images(record.path), len(record.boxes_xyxy)
        boxes = np.concatenate([record.boxes_xyxy, record.crowds_xyxy])
        keypoints, labelled = record.keypoints, record.labelled
        size = np.array([image.shape[1], image.shape[0]], np.float32)
        boxes = boxes.clip(0, np.tile(size, 2))
        kept = np.flatnonzero((boxes[:, 2:] - boxes[:, :2]).min(1, initial=np.inf) > 1)
        if seed is None:
            image = fit_transform(self.sides[-1])(image=image)["image"]
            scale = np.array([image.shape[1], image.shape[0]], np.float32) / size
            boxes, points = boxes[kept] * np.tile(scale, 2), keypoints[..., :2] * scale
        else:
            if np.random.default_rng(seed).random() < 0.5:
                image, boxes, keypoints = mirror(image, boxes, keypoints, self.skeleton)
                labelled = labelled[list(self.skeleton.flip_index)]
            moved = seeded(scene_transform(self.sides, self.canvas), seed)(
                image=image, bboxes=boxes[kept], box_index=kept, keypoints=keypoints[..., :2].reshape(-1, 2)
            )
            image, points = moved["image"], np.asarray(moved["keypoints"], np.float32).reshape(*keypoints.shape[:2], 2)
            kept = np.asarray(moved["box_index"], int)
            boxes = np.asarray(moved["bboxes"], np.float32).reshape(-1, 4)
        return _sample(image, boxes, kept, people, points, keypoints[..., 2] > 0, labelled, record.complete)


def _sample(
    image: np.ndarray,
    boxes_xyxy: np.ndarray,
    kept: np.ndarray,
    people: int,
    points: np.ndarray,
    annotated: np.ndarray,
    labelled: np.ndarray,
    complete: bool,
) -> dict[str, Tensor]:
    """Everything relative to the image; the first `people` original boxes are people, the others crowds."""
    size = np.array([image.shape[1], image.shape[0]], np.float32)
    boxes = xyxy_to_cxcywh(torch.from_numpy((boxes_xyxy / np.tile(size, 2)).astype(np.float32)))
    is_person = torch.from_numpy(kept < people)
    who = kept[kept < people]
    points = points[who] / size
    visible = annotated[who] & ((points >= 0) & (points <= 1)).all(-1)
    return {
        "image": torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))),
        "boxes": boxes[is_person],
        "ignore": boxes[~is_person],
        "keypoints": torch.from_numpy(points.astype(np.float32)),
        "visible": torch.from_numpy(visible),
        "labelled": torch.from_numpy(labelled[None] | annotated[who]),
        "complete": torch.tensor(complete),
    }


def collate_people(samples: Sequence[dict[str, Tensor]]) -> dict:
    """Samples -> `batch` (uint8 ImageBatch), `counts` (people an image, plain integers).

    Also `boxes` [B, M, 4] and `ignore` [B, G, 4] padded with empty boxes, `complete` [B], and of all people `keypoints`
    [N, K, 2], `visible` and `labelled` [N, K], `batch_index` [N].
    """
    counts = [len(sample["boxes"]) for sample in samples]
    return {
        "batch": ImageBatch.from_list([sample["image"] for sample in samples]),
        "counts": counts,
        "boxes": _padded([sample["boxes"] for sample in samples]),
        "ignore": _padded([sample["ignore"] for sample in samples]),
        "complete": torch.stack([sample["complete"] for sample in samples]),
        "keypoints": torch.cat([sample["keypoints"] for sample in samples]),
        "visible": torch.cat([sample["visible"] for sample in samples]),
        "labelled": torch.cat([sample["labelled"] for sample in samples]),
        "batch_index": torch.arange(len(samples)).repeat_interleave(torch.tensor(counts)),
    }


def _padded(boxes: Sequence[Tensor]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(list(boxes), batch_first=True)
