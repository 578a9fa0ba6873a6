"""The 3D phase: the whole cascade, pixels to 3D joints, fine-tuned as one function.

It starts from a trained 2D stage and a trained lifter. What teaches it 3D are drawn clips with exact truth and, in
labelled pictures, what the lifter that it starts from sees in the labelled joints; the 2D losses of both keep the 2D
stage at its own work.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from cascadepose.data.coco import CocoSource
from cascadepose.errors import InputError
from cascadepose.losses.detection import BoxTargets, DetectionCriterion
from cascadepose.losses.keypoints import KeypointCriterion
from cascadepose.losses.lifting import lifting_losses
from cascadepose.losses.matching import box_cost
from cascadepose.models.cascade import CascadePose
from cascadepose.models.lifters.window import output_frame
from cascadepose.tasks.crop_losses import joint_losses

MIN_SIDE = 0.01  # of the frame: the least side of a box that is cropped


@dataclass
class CascadeTaskConfig:
    """What the cascade starts from and what it learns from."""

    prtr: str = "prtr-mobilenetv2-small"
    """Packaged name or file of the 2D stage to start from."""
    lifter: str = "dstformer-small"
    """Packaged name or file of the lifter to start from; it is the teacher of pictures, too."""
    lr_factors: dict[str, float] = field(default_factory=lambda: {"prtr.detector": 0.0})
    """Factors on the rate of parts; "" is everything, 0 freezes, the longest name counts."""
    boxes: Literal["annotated", "detected"] = "annotated"
    """What is cropped in training: the true box, a little off, or that of the detector's query for it."""
    train_motion: str = "data/cmu_h36m17_60fps_train.npz"
    """npz of [T,17,3] sequences in metres, y up, that drawn people move by."""
    val_motion: str = "data/cmu_h36m17_60fps_val.npz"
    """The same, for validation."""
    source_rate: float = 60.0
    """Frames per second of both."""
    backgrounds: str = "data/background"
    """Folder of pictures to draw over; one in five is kept for validation."""
    num_frames: int = 9
    """Frames of a clip."""
    side: int = 256
    """Side of the square frames in pixels."""
    pictures: CocoSource | None = None
    """Labelled pictures to train on beside the clips; null trains on clips alone."""
    val_pictures: CocoSource | None = None
    """The same, for validation."""
    pictures_per_clip: int = 3
    """People in pictures beside each clip of a batch."""
    val_clips: int = 40
    """Clips of a validation, evenly spread."""
    val_people: int = 100
    """People in pictures of a validation, evenly spread."""
    epoch_length: int | None = None
    """Clips in an epoch; null is all windows of the motion once."""
    joints_weight: float = 100.0
    """Weight of the 3D losses, which are in metres."""
    scale_weight: float = 0.5
    """Weight of N-MPJPE beside MPJPE."""
    velocity_weight: float = 1.0
    """Weight of the velocity loss beside MPJPE."""
    detection_weight: float = 1.0
    """Weight of the detector's losses, where boxes are detected."""
    classification: Literal["softmax", "varifocal"] = "varifocal"
    """The detector's class loss, as in its own training."""
    l1_weight: float = 5.0
    """Weight of the 2D coordinates' L1."""
    likelihood_weight: float = 0.2
    """Weight of the likelihood of the stated uncertainty."""
    heatmap_weight: float = 0.5
    """Weight of the heat maps' cross-entropy, where the model has them."""
    no_joint_weight: float = 0.5
    """Weight of "no joint" in the class loss."""


class CascadeTask:
    """See `cascadepose.training.task.Task`. Raises InputError for parts and data that do not fit together."""

    name, metric, mode, kind, sample_weights = "cascade", "mpjpe", "min", "cascade", None

    def __init__(self, config: CascadeTaskConfig):
        from cascadepose.data.cascade_items import ClipsAndPictures
        from cascadepose.tasks.cascade_data import clips_of, load_lifter, pictures_of, teacher_of
        from cascadepose.tasks.finetuning import freeze

        self.config = config
        self.model = start(config).train()
        freeze(self.model, config.lr_factors)
        prtr = self.model.prtr
        if config.boxes == "annotated" and prtr.crop == "image" and _learns(prtr.detector):
            raise InputError(
                "task.boxes=annotated never asks the detector: freeze it (task.lr_factors prtr.detector: 0) or set "
                "task.boxes to detected"
            )
        stage = getattr(prtr.keypoints, "transformer", None) if prtr.crop == "image" else prtr.keypoints
        self.criterion = KeypointCriterion(
            stage.num_joints,
            stage.matching,
            l1_weight=config.l1_weight,
            likelihood_weight=config.likelihood_weight,
            heatmap_weight=config.heatmap_weight,
            no_joint_weight=config.no_joint_weight,
        )
        self.detection = DetectionCriterion(classification=config.classification)
        teacher = teacher_of(load_lifter(config.lifter, config.num_frames), config.num_frames, config.side)
        self.train_set: Dataset = ClipsAndPictures(
            clips_of(config, self.model.lifter, held_out=False),
            pictures_of(config.pictures, config.side, teacher),
            config.pictures_per_clip,
        )
        self.val_clips = clips_of(config, self.model.lifter, held_out=True)
        self.val_pictures = pictures_of(config.val_pictures, config.side, teacher)
        self.epoch_length = config.epoch_length
        self.start_metrics: dict[str, float] | None = None

    def collate(self, samples: list) -> dict[str, Tensor]:
        """One batch of all clips and pictures."""
        from cascadepose.data.cascade_items import collate_samples

        return collate_samples([sample for item in samples for sample in item], self.config.num_frames)

    def new_epoch(self, epoch: int) -> None:
        """Nothing changes from epoch to epoch."""

    def losses(self, model: nn.Module, batch: Any) -> dict[str, Tensor]:
        """3D losses of the lifted joints, set losses of the 2D joints and, where boxes are detected, of boxes."""
        config = self.config
        for criterion in (self.criterion, self.detection):
            criterion.to(batch["frames"].device)
        boxes = batch["crops"][:, None] if config.boxes == "annotated" else self._matched(batch["boxes"])
        out = model(batch["frames"].float() / 255, boxes, windows=batch["windows"])
        space = lifting_losses(
            out["joints"][:, 0].float(),
            self.answered(batch["joints"]),
            batch["taught"][:, None, None],
            config.scale_weight,
            config.velocity_weight,
        )
        people = out["people"]
        plane = joint_losses(self.criterion, people, batch["keypoints"], batch["visible"], batch["labelled"])
        total = config.joints_weight * space["loss"] + plane["loss"]
        named = {"loss_3d": space["loss"], "loss_mpjpe": space["mpjpe"], "loss_n_mpjpe": space["n_mpjpe"]}
        named |= {"loss_2d": plane["loss"], "loss_keypoints": plane["loss_keypoints"]}
        if config.boxes == "detected":
            known = BoxTargets(batch["boxes"][:, None], [1] * len(batch["boxes"]), complete=batch["complete"])
            named["loss_boxes"] = self.detection(people, known)["loss"]
            total = total + config.detection_weight * named["loss_boxes"]
        return {"loss": total} | named

    def _matched(self, boxes: Tensor) -> Any:
        """What chooses, of a detector's outputs, the box of the query that fits the true box [F, 4] best."""

        def choose(detections: dict) -> Tensor:
            with torch.no_grad():
                labels = torch.zeros(len(boxes), 1, dtype=torch.long, device=boxes.device)
                cost = box_cost(detections["pred_logits"], detections["pred_boxes"], labels, boxes[:, None])
                query = cost[..., 0].argmin(1)
            chosen = detections["pred_boxes"].gather(1, query[:, None, None].expand(-1, 1, 4))
            return torch.cat([chosen[..., :2], chosen[..., 2:].clamp(min=MIN_SIDE)], -1)

        return choose

    def answered(self, joints: Tensor) -> Tensor:
        """The frames of windows [N, T, J, 3] that the lifter answers for."""
        lifter = self.model.lifter
        return joints if lifter.frames_out == "all" else joints[:, output_frame(lifter), None]

    def parameter_groups(self, lr: float, weight_decay: float) -> list[dict]:
        """What is not frozen, at the rates of `lr_factors`."""
        from cascadepose.tasks.finetuning import parameter_groups

        return parameter_groups(self.model, lr, weight_decay, self.config.lr_factors)

    @torch.no_grad()
    def validate(self, model: CascadePose) -> dict[str, float]:
        """Errors of the model, and under `start_...` of what it started from; see `tasks.cascade_validation`."""
        from cascadepose.tasks.cascade_validation import validate

        if self.start_metrics is None:
            frozen = start(self.config).to(next(model.parameters()).device)
            self.start_metrics = {f"start_{name}": value for name, value in validate(self, frozen).items()}
        return validate(self, model) | self.start_metrics

    def save(self, model: nn.Module, path: Path, info: dict) -> None:
        """A weights file that `cascadepose.load_model` reads; `tools/split_cascade.py` parts it."""
        from cascadepose.tasks.common import save

        save(model, path, self.kind, info)


def start(config: CascadeTaskConfig) -> CascadePose:
    """The cascade of the weights that a configuration names, in eval mode. Raises InputError where they do not fit."""
    from cascadepose.hub import load_model
    from cascadepose.tasks.cascade_data import load_lifter

    prtr = load_model(config.prtr, kind="prtr")
    return CascadePose(prtr, load_lifter(config.lifter, config.num_frames)).eval()


def _learns(module: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in module.parameters())


def build_task(config: CascadeTaskConfig) -> CascadeTask:
    """The task of a configuration."""
    return CascadeTask(config)
