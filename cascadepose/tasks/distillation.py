"""A keypoint stage that learns from others as well as from labels."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cascadepose.errors import InputError
from cascadepose.losses.distillation import belief_entropy, mean_belief
from cascadepose.models.keypoints import KeypointEstimator
from cascadepose.models.mirrored import unmirrored
from cascadepose.tasks.keypoint_model import load_stage
from cascadepose.tasks.student import StudentTask, Taught


class DistillationTask(StudentTask):
    """The keypoint stage's task with `task.teachers`: heat maps learn from theirs, too, on all joints, known or not.

    Raises InputError for teachers whose maps are not the student's: other joints, queries without order, other strides.
    """

    def _learner(self, source: KeypointEstimator | None) -> "Distillation":
        """The stage beside its teachers."""
        teachers = [_teacher(weights, self.model) for weights in self.config.teachers]
        return Distillation(self.model, teachers, self.config.teachers_flip)

    def losses(self, model: Taught, batch: Any) -> dict[str, Tensor]:
        """Those of the labels, and "loss_teachers": the last layer's cross-entropy with what the teachers believe."""
        out = model(batch["image"].float().div_(255))
        losses = self.label_losses(out, batch)
        told = belief_entropy([*out["aux_outputs"], out], out["belief"])
        weight = self.config.heatmap_weight * self.config.teachers_weight
        return losses | {"loss": losses["loss"] + weight * told.sum(), "loss_teachers": told[-1]}


class Distillation(Taught):
    """A keypoint stage that answers together with what its teachers believe; flip: of the mirror images, too."""

    def __init__(self, student: KeypointEstimator, teachers: Sequence[KeypointEstimator], flip: bool = False):
        super().__init__(student, teachers)
        self.flip = flip

    def forward(self, crops: Tensor) -> dict:
        """crops [N, 3, h, w], RGB in 0..1 -> the outputs of `KeypointTransformer` and "belief" [N, K, h', w'], see
        `mean_belief`.
        """
        with torch.no_grad():
            answers = [teacher(crops) for teacher in self.teachers]
            if self.flip:
                swap = self.student.skeleton.flip_index
                answers += [unmirrored(teacher(crops.flip(-1)), swap) for teacher in self.teachers]
        return self.student(crops) | {"belief": mean_belief(answers)}


def _teacher(weights: str, student: KeypointEstimator) -> KeypointEstimator:
    """The keypoint stage of `weights`. Raises InputError where its maps are not the student's."""
    teacher = load_stage(weights)
    if _maps(teacher) is None or _maps(teacher) != _maps(student):
        raise InputError(
            f"task.teachers: {weights} cannot teach task.model; both need full attention, ordered matching, a heat-map "
            "readout, the same joints and the same stride of the finest level"
        )
    return teacher


def _maps(stage: KeypointEstimator) -> tuple | None:
    """What the heat maps of two stages must have in common; None for a stage that has none in order."""
    if getattr(stage.transformer, "heatmap", None) is None or stage.transformer.matching != "ordered":
        return None
    finest = (stage.fine_levels or stage.input_levels[:1])[-1]
    return stage.skeleton.names, stage.backbone.strides[finest]
