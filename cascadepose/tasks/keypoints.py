"""The keypoint stage of two-stage PRTR on annotated crops."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset, default_collate

from cascadepose.data.augmentation import CropAugmentation
from cascadepose.data.coco import CocoSource
from cascadepose.data.crops import PersonCrops
from cascadepose.errors import InputError
from cascadepose.losses.keypoints import KeypointCriterion, KeypointTargets
from cascadepose.losses.person_box import PersonBoxCriterion, PersonBoxTargets
from cascadepose.models.folding import estimate_norms
from cascadepose.models.keypoints import KeypointEstimator
from cascadepose.tasks.common import grouped_parameters, load_backbone, save
from cascadepose.tasks.keypoint_model import fill, start_model
from cascadepose.tasks.keypoint_validation import metric_of, validate_crops


@dataclass
class KeypointTaskConfig(CropAugmentation):
    """What the keypoint stage is and what it learns from."""

    sources: list[CocoSource] = field(default_factory=list)
    """Annotation files to train on."""
    validation: CocoSource | None = None
    """Annotation file whose AP (MPII's: PCKh) with ground-truth boxes chooses the weights."""
    skeleton: str | None = None
    """Joint set: a known name, or a file that declares one (docs/custom_data.md); null takes the model's, COCO-17."""
    validation_people: int | None = None
    """Only about so many people are validated, those of evenly spread images; null takes all."""
    model: dict = field(default_factory=dict)
    """Keyword arguments of `KeypointEstimator`; none: those of the initial weights."""
    backbone_weights: str | None = None
    """A file of the backbone alone, to start from."""
    initial_weights: str | list[str] | dict[str, float] | None = None
    """Weights of the whole stage, or of a PRTR, to start from; joints that they do not have start fresh. Of several
    stages, one trained on from the other, the mean, in which they count alike or as much as is said."""
    new_parts: list[str] = field(default_factory=list)
    """Modules of the model that these weights lack or have otherwise, such as transformer.heatmap.finer or backbone."""
    imitate: bool = False
    """Teach new parts, a backbone and what projects its maps, not joints but what the initial weights have there."""
    teachers: list[str] = field(default_factory=list)
    """Weights of other stages, or of PRTRs, whose heat maps are learned beside the labels'; they answer together."""
    teachers_weight: float = 1.0
    """What teachers weigh, relative to the labels' heat maps."""
    teachers_flip: bool = False
    """Ask teachers about the mirror images, too, as in a flip test."""
    backbone_lr: float = 0.3
    """Rate of the backbone relative to the rest."""
    offsets_lr: float = 1.0
    """Rate of where a deformable transformer looks, relative to the rest."""
    estimate_norms: int = 0
    """People, such as 128, whose crops give the normalisation of the backbone its first statistics, for weights that
    have it folded; needs model.backbone.frozen_norm false to learn by. 0 keeps the statistics of the weights."""
    freeze_stages: int = 0
    """Leading stages of the backbone that keep their weights."""
    cache_images: bool = True
    """Decode every image once and keep it in memory."""
    enlarge: float = 1.25
    """Size of a crop over that of the person's annotated box."""
    detected_enlarge: float = 1.25
    """The same where the box is as a detector might give it."""
    boxes_only: float = 0.0
    """How often a person without annotated joints is drawn, relative to one with; for a model with `person_box`."""
    person_box_weight: float = 1.0
    """Weight of the box of a model with `person_box`."""
    l1_weight: float = 5.0
    """Weight of the coordinates' L1."""
    likelihood_weight: float = 0.2
    """Weight of the likelihood of the stated uncertainty."""
    heatmap_weight: float = 0.5
    """Weight of the heat maps' cross-entropy."""
    no_joint_weight: float = 0.5
    """Weight of "no joint" in the class loss."""
    invisible_as_positive: bool = False
    """Teach the class of joints that are not annotated, too, as official PRTR does."""


class KeypointTask:
    """See `cascadepose.training.task.Task`."""

    name, mode, kind = "keypoints", "max", "keypoint_estimator"

    def __init__(self, config: KeypointTaskConfig):
        if not config.sources:
            raise InputError("task.sources is empty: name at least one annotation file to train on")
        self.config = config
        self.model, source = start_model(config)
        self.metric = metric_of(config.validation, self.model.skeleton)
        load_backbone(self.model.backbone, config.backbone_weights, config.freeze_stages)
        if source is not None:
            fill(self.model, source, config.initial_weights, config.new_parts)
        self.criterion = KeypointCriterion(
            self.model.transformer.num_joints,
            self.model.transformer.matching,
            l1_weight=config.l1_weight,
            likelihood_weight=config.likelihood_weight,
            heatmap_weight=config.heatmap_weight,
            no_joint_weight=config.no_joint_weight,
            invisible_as_positive=config.invisible_as_positive,
        )
        self.train_set = PersonCrops(
            config.sources,
            self.model.crop_size,
            enlarge=config.enlarge,
            detected_enlarge=config.detected_enlarge,
            cache=config.cache_images,
            skeleton=self.model.skeleton,
            boxes_only=config.boxes_only,
            augmentation=config,
        )
        if config.estimate_norms:
            self._estimate_norms(config.estimate_norms)
        self.box_criterion = PersonBoxCriterion()
        self.sample_weights = self.train_set.sample_weights
        self.epoch_length: int | None = None
        self.validation_set: PersonCrops | None = None
        self.model = self._learner(source)

    def _learner(self, source: KeypointEstimator | None) -> nn.Module:
        """What learns: the stage. source: what it started from."""
        return self.model

    def _estimate_norms(self, people: int) -> None:
        """Statistics of the annotated crops of so many people, evenly spread."""
        picked = np.linspace(0, len(self.train_set) - 1, people).round().astype(int).tolist()
        crops = DataLoader(Subset(self.train_set, picked), batch_size=16)
        if not estimate_norms(self.model.backbone, (batch["image"].float().div_(255) for batch in crops)):
            raise InputError("task.estimate_norms: the backbone has no normalisation; leave out model.backbone.folded")

    def collate(self, samples: list) -> dict[str, Tensor]:
        """Stacked samples."""
        return default_collate(samples)

    def losses(self, model: nn.Module, batch: Any) -> dict[str, Tensor]:
        """Set loss of a batch of crops, and that of the people's boxes where the model looks for them."""
        return self.label_losses(model(batch["image"].float().div_(255)), batch)

    def label_losses(self, out: dict, batch: Any) -> dict[str, Tensor]:
        """The same, of what the model answered."""
        self.criterion.to(batch["image"].device)
        losses = self.criterion(out, KeypointTargets(batch["keypoints"], batch["visible"], batch["labelled"]))
        if "pred_person_boxes" not in out:
            return losses
        boxes = self.box_criterion(out, PersonBoxTargets(batch["box"], batch["box_known"], batch["nobody"]))
        return losses | boxes | {"loss": losses["loss"] + self.config.person_box_weight * boxes["loss"]}

    def parameter_groups(self, lr: float, weight_decay: float) -> list[dict]:
        """Backbone and offsets at their own rates; no decay for biases, norms and embeddings."""
        return grouped_parameters(self.model, lr, weight_decay, self.config.backbone_lr, self.config.offsets_lr)

    def new_epoch(self, epoch: int) -> None:
        """Nothing changes from epoch to epoch."""

    def validate(self, model: nn.Module) -> dict[str, float]:
        """COCO keypoint AP, or MPII's PCKh, with ground-truth boxes, without flip test."""
        if self.config.validation is None:
            return {}
        if self.validation_set is None:
            size, enlarge, skeleton = model.crop_size, self.config.enlarge, model.skeleton
            self.validation_set = PersonCrops([self.config.validation], size, enlarge, cache=False, skeleton=skeleton)
        return validate_crops(model, self.validation_set, self.config.validation, self.config.validation_people)

    def save(self, model: nn.Module, path: Path, info: dict) -> None:
        """A weights file that `cascadepose.load_model` reads."""
        save(model, path, self.kind, info)


def build_task(config: KeypointTaskConfig) -> KeypointTask:
    """The task that a configuration describes."""
    from cascadepose.tasks.distillation import DistillationTask
    from cascadepose.tasks.imitation import ImitationTask

    if config.imitate and config.teachers:
        raise InputError("task.imitate and task.teachers are two ways of learning from others; choose one")
    return (ImitationTask if config.imitate else DistillationTask if config.teachers else KeypointTask)(config)
