"""The person detector on whole images."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset

from cascadepose.boxes import cxcywh_to_xyxy, xyxy_to_xywh
from cascadepose.data.coco import NO_JOINTS, CocoSource
from cascadepose.data.people import PersonImages, collate_people
from cascadepose.errors import InputError
from cascadepose.losses.detection import BoxTargets, DetectionCriterion
from cascadepose.models.detector import PersonDetector
from cascadepose.models.prtr import without_duplicates
from cascadepose.tasks.common import grouped_parameters, load_backbone, save, source_of, take_over


@dataclass
class DetectorTaskConfig:
    """What the detector is and what it learns from."""

    sources: list[CocoSource] = field(default_factory=list)
    """Annotation files to train on."""
    validation: CocoSource | None = None
    """Annotation file whose box AP chooses the weights."""
    validation_images: int | None = None
    """Only so many images are validated, evenly spread; null takes all."""
    model: dict = field(default_factory=dict)
    """Keyword arguments of `PersonDetector`; without them it is what `initial_weights` are of."""
    backbone_weights: str | None = None
    """A safetensors file of the backbone alone, to start from."""
    initial_weights: str | None = None
    """Weights of the whole detector, or of a PRTR that has one, to start from."""
    new_parts: list[str] = field(default_factory=list)
    """Modules of the model that these weights lack, such as finer."""
    backbone_lr: float = 0.3
    """Rate of the backbone relative to the rest."""
    freeze_stages: int = 0
    """Leading stages of the backbone that keep their weights."""
    sides: list[int] = field(default_factory=lambda: [320])
    """Lengths of the longer side to draw from in training."""
    canvas: int | None = None
    """Training images are cropped and padded to squares of this side; null keeps them whole."""
    validation_side: int = 320
    """Length of the longer side in validation."""
    cache_images: bool = True
    """Decode every image once and keep it in memory."""
    one_to_many: int = 6
    """Proposals that each person may take in training."""
    decoder_one_to_many: int = 1
    """The same for the decoder's queries; more than one needs `nms_iou` at inference."""
    nms_iou: float | None = None
    """In validation, of two boxes that overlap more than this only the better counts; null is DETR's way."""
    classification: Literal["softmax", "varifocal"] = "varifocal"
    """Class loss: DETR's, or the one that ranks queries by the quality of their boxes."""
    class_weight: float = 1.0
    """Weight of the class loss."""
    no_object_weight: float = 0.1
    """Weight of "no object" in the softmax class loss."""


class DetectorTask:
    """See `cascadepose.training.task.Task`."""

    name, metric, mode, kind = "detector", "AP", "max", "person_detector"

    def __init__(self, config: DetectorTaskConfig):
        if not config.sources:
            raise InputError("task.sources is empty: name at least one annotation file to train on")
        self.config = config
        source = source_of(config.initial_weights, self.kind)
        self.model = PersonDetector(**(config.model or ({} if source is None else source.config)))
        load_backbone(self.model.backbone, config.backbone_weights, config.freeze_stages)
        if source is not None:
            take_over(self.model, source.state_dict(), config.initial_weights, config.new_parts)
        self.criterion = DetectionCriterion(
            class_weight=config.class_weight,
            no_object_weight=config.no_object_weight,
            one_to_many=config.one_to_many,
            decoder_one_to_many=config.decoder_one_to_many,
            classification=config.classification,
        )
        self.train_set = PersonImages(config.sources, config.sides, config.cache_images, config.canvas, NO_JOINTS)
        self.sample_weights = self.train_set.sample_weights
        self.epoch_length: int | None = None

    def collate(self, samples: list) -> dict:
        """Padded batch and targets."""
        return collate_people(samples)

    def losses(self, model: nn.Module, batch: Any) -> dict[str, Tensor]:
        """Set loss of a batch of images."""
        images = batch["batch"].as_float()
        self.criterion.to(images.images.device)
        targets = BoxTargets(batch["boxes"], batch["counts"], ignore=batch["ignore"], complete=batch["complete"])
        return self.criterion(model(images), targets)

    def parameter_groups(self, lr: float, weight_decay: float) -> list[dict]:
        """Backbone at its own rate; no decay for biases, norms and embeddings."""
        return grouped_parameters(self.model, lr, weight_decay, self.config.backbone_lr)

    def new_epoch(self, epoch: int) -> None:
        """Nothing changes from epoch to epoch."""

    @torch.no_grad()
    def validate(self, model: nn.Module) -> dict[str, float]:
        """COCO person box AP."""
        if self.config.validation is None:
            return {}
        from cascadepose.evaluation.coco import evaluate_boxes

        sides = [self.config.validation_side]
        data = PersonImages([self.config.validation], sides, cache=False, skeleton=NO_JOINTS)
        count = min(self.config.validation_images or len(data), len(data))
        chosen = torch.linspace(0, len(data) - 1, count).round().long().tolist()
        device, results = next(model.parameters()).device, []
        records = iter([data.records[index] for index in chosen])
        for batch in DataLoader(Subset(data, chosen), batch_size=16, collate_fn=self.collate):
            out = model(batch["batch"].to(device).as_float())
            scores = out["pred_logits"].softmax(-1)[..., 0].cpu()
            if self.config.nms_iou is not None:
                scores = without_duplicates(scores, out["pred_boxes"].cpu(), self.config.nms_iou)
            for boxes, score in zip(out["pred_boxes"].cpu(), scores, strict=True):
                record = next(records)
                size = torch.tensor([record.width, record.height] * 2, dtype=torch.float32)
                for box, value in zip(xyxy_to_xywh(cxcywh_to_xyxy(boxes) * size).tolist(), score.tolist(), strict=True):
                    results.append({"image_id": record.image_id, "category_id": 1, "bbox": box, "score": value})
        images = [data.records[index].image_id for index in chosen]
        found = evaluate_boxes(self.config.validation.annotations, results, image_ids=images)
        return {key: found[key] for key in ("AP", "AP50", "APL")}

    def save(self, model: nn.Module, path: Path, info: dict) -> None:
        """A weights file that `cascadepose.load_model` reads."""
        save(model, path, self.kind, info)


def build_task(config: DetectorTaskConfig) -> DetectorTask:
    """The task that a configuration describes."""
    return DetectorTask(config)
