"""End-to-end PRTR on whole images: detector and keypoint stage as one network (Li et al., CVPR 2021, section 3.3).

In one phase (`frozen_epochs: 0`) or in two: the keypoint stage alone on the maps of a trained detector, then both.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from cascadepose.data.coco import CocoSource
from cascadepose.data.people import PersonImages, collate_people
from cascadepose.errors import InputError
from cascadepose.losses.detection import BoxTargets, DetectionCriterion
from cascadepose.losses.keypoints import KeypointCriterion
from cascadepose.losses.matching import box_cost, hungarian
from cascadepose.models.prtr import PRTR
from cascadepose.tasks.common import grouped_parameters, load_backbone, save, source_of, take_over
from cascadepose.tasks.crop_losses import joint_losses

MIN_SIDE = 0.01  # of the image: a narrower box holds no person to look at, and one of no width no finite gradient


@dataclass
class JointTaskConfig:
    """What end-to-end PRTR is and what it learns from."""

    sources: list[CocoSource] = field(default_factory=list)
    """Annotation files to train on."""
    validation: CocoSource | None = None
    """Annotation file whose keypoint AP chooses the weights."""
    validation_images: int | None = None
    """Only so many images are validated, evenly spread; null takes all."""
    validation_side: int = 320
    """Length of the longer side in validation."""
    model: dict = field(default_factory=dict)
    """Keyword arguments of `PRTR`; crop is "features". `detector` may be left to `detector_weights`."""
    backbone_weights: str | None = None
    """A safetensors file of the backbone alone, to start from."""
    detector_weights: str | None = None
    """Weights of the detector (`--stage detector`) or of a PRTR that has one, to start from; say what it is, too."""
    initial_weights: str | None = None
    """A weights file of the whole model, to start from."""
    frozen_epochs: int = 0
    """Epochs in which the detector keeps its weights; both are trained after them."""
    detector_lr: float = 0.3
    """Rate of the detector relative to the keypoint stage."""
    backbone_lr: float = 0.3
    """Rate of the backbone relative to the rest of the detector."""
    freeze_stages: int = 0
    """Leading stages of the backbone that keep their weights throughout."""
    boxes: Literal["predicted", "annotated"] = "predicted"
    """What is cropped in training: the box of the query that each person is matched with, or the annotated one."""
    sides: list[int] = field(default_factory=lambda: [320])
    """Lengths of the longer side to draw from in training."""
    canvas: int | None = None
    """Training images are cropped and padded to squares of this side; null keeps them whole."""
    cache_images: bool = True
    """Decode every image once and keep it in memory."""
    epoch_length: int | None = None
    """Images in an epoch; null is all of them once."""
    detection_weight: float = 1.0
    """Weight of the detector's losses."""
    classification: Literal["softmax", "varifocal"] = "softmax"
    """The detector's class loss."""
    one_to_many: int = 6
    """Proposals that each person may take in training."""
    l1_weight: float = 5.0
    """Weight of the coordinates' L1."""
    likelihood_weight: float = 0.2
    """Weight of the likelihood of the stated uncertainty."""
    heatmap_weight: float = 0.5
    """Weight of the heat maps' cross-entropy, where the model has them."""
    no_joint_weight: float = 0.1
    """Weight of "no joint" in the class loss."""


class JointTask:
    """See `cascadepose.training.task.Task`."""

    name, metric, mode, kind = "joint", "AP", "max", "prtr"

    def __init__(self, config: JointTaskConfig):
        if not config.sources:
            raise InputError("task.sources is empty: name at least one annotation file to train on")
        if config.model.get("crop") != "features":
            raise InputError('task.model.crop: use "features"; the two-stage form is trained stage by stage')
        self.config = config
        detector = source_of(config.detector_weights, "person_detector")
        whole = source_of(config.initial_weights, self.kind)
        of_weights = {} if detector is None else {"detector": detector.config}
        self.model = PRTR(**(of_weights | config.model))
        if self.model.looks_again:
            raise InputError("task.model.keypoints: person_box is taught by --stage keypoints only; leave it out")
        load_backbone(self.model.detector.backbone, config.backbone_weights, config.freeze_stages)
        if detector is not None:
            take_over(self.model.detector, detector.state_dict(), config.detector_weights)
        if whole is not None:
            take_over(self.model, whole.state_dict(), config.initial_weights)
        self.detector_parameters = [p for p in self.model.detector.parameters() if p.requires_grad]
        self.detection = DetectionCriterion(classification=config.classification, one_to_many=config.one_to_many)
        self.criterion = KeypointCriterion(
            self.model.keypoints.num_joints,
            self.model.keypoints.matching,
            l1_weight=config.l1_weight,
            likelihood_weight=config.likelihood_weight,
            heatmap_weight=config.heatmap_weight,
            no_joint_weight=config.no_joint_weight,
        )
        self.train_set = PersonImages(config.sources, config.sides, config.cache_images, config.canvas)
        self.sample_weights = self.train_set.sample_weights
        self.epoch_length = config.epoch_length

    def collate(self, samples: list) -> dict:
        """Padded batch and targets."""
        return collate_people(samples)

    def new_epoch(self, epoch: int) -> None:
        """Freeze the detector for the first epochs."""
        for parameter in self.detector_parameters:
            parameter.requires_grad_(epoch >= self.config.frozen_epochs)

    def losses(self, model: nn.Module, batch: Any) -> dict[str, Tensor]:
        """Set losses of boxes and of joints in one pass; gradients of the joints reach boxes and backbone."""
        images = batch["batch"].as_float()
        for criterion in (self.detection, self.criterion):
            criterion.to(images.images.device)
        people = Tensor()

        def choose(out: dict) -> tuple[Tensor, Tensor]:
            nonlocal people
            boxes, index, people = self.people_to_crop(out, batch)
            return boxes, index

        out = model(images, choose=choose)
        targets = BoxTargets(batch["boxes"], batch["counts"], ignore=batch["ignore"], complete=batch["complete"])
        found = self.detection(out, targets)
        joints = self.keypoint_losses(out, batch, people)
        total = self.config.detection_weight * found["loss"] + joints["loss"]
        named = {"loss_boxes": found["loss"], "loss_joints": joints["loss"], "loss_keypoints": joints["loss_keypoints"]}
        return {"loss": total} | named

    def people_to_crop(self, out: dict, batch: dict) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes [N, 4], batch_index [N] and row [N] in the batch's annotations, of people with annotated joints."""
        annotated = batch["visible"].any(-1)
        first = torch.tensor([0, *batch["counts"]], device=annotated.device).cumsum(0)
        if self.config.boxes == "annotated":
            rows = annotated.nonzero()[:, 0]
            index = batch["batch_index"][rows]
            return batch["boxes"][index, rows - first[index]], index, rows
        with torch.no_grad():
            labels = torch.zeros(batch["boxes"].shape[:2], dtype=torch.long, device=annotated.device)
            cost = box_cost(out["pred_logits"], out["pred_boxes"], labels, batch["boxes"])
        matches = hungarian(cost, batch["counts"])
        rows = first[matches.problem] + matches.target
        boxes = out["pred_boxes"][matches.queries]
        kept = annotated[rows] & (boxes.detach()[:, 2:] > MIN_SIDE).all(-1)
        return boxes[kept], matches.problem[kept], rows[kept]

    def keypoint_losses(self, out: dict, batch: dict, people: Tensor) -> dict[str, Tensor]:
        """Set loss of the joints of `people` (rows of the annotations), in units of their crops."""
        return joint_losses(
            self.criterion, out, batch["keypoints"][people], batch["visible"][people], batch["labelled"][people]
        )

    def parameter_groups(self, lr: float, weight_decay: float) -> list[dict]:
        """Keypoint stage, detector and backbone at rates of their own; no decay for biases, norms and embeddings."""
        detector = grouped_parameters(
            self.model.detector, lr * self.config.detector_lr, weight_decay, self.config.backbone_lr
        )
        return detector + grouped_parameters(self.model.keypoints, lr, weight_decay, 1.0)

    @torch.no_grad()
    def validate(self, model: nn.Module) -> dict[str, float]:
        """Keypoint AP, person box AP, losses and errors of the whole model; see `tasks.joint_validation`."""
        if self.config.validation is None:
            return {}
        from cascadepose.tasks.joint_validation import validate

        return validate(self, model)

    def save(self, model: nn.Module, path: Path, info: dict) -> None:
        """A weights file that `cascadepose.load_model` reads."""
        save(model, path, self.kind, info)


def build_task(config: JointTaskConfig) -> JointTask:
    """The task that a configuration describes."""
    return JointTask(config)
