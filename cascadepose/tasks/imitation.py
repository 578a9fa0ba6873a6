"""Another backbone for a trained keypoint stage: it is taught to tell the transformer what the old one told it.

Hints from inside the teacher (FitNets, Romero et al., ICLR 2015, section 2.2) instead of labels: every cell of every
map says something, so that few crops teach much.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from cascadepose.errors import InputError
from cascadepose.models.keypoints import KeypointEstimator, KeypointTransformer
from cascadepose.tasks.common import train_only
from cascadepose.tasks.keypoints import KeypointTaskConfig
from cascadepose.tasks.student import StudentTask, Taught

TOLD = ("backbone", "transformer.input_proj", "transformer.heatmap.fine", "transformer.heatmap.finer")


class ImitationTask(StudentTask):
    """A keypoint stage whose new parts are taught what its initial weights have in their place; see `Imitation`."""

    def __init__(self, config: KeypointTaskConfig):
        if config.initial_weights is None:
            raise InputError("task.imitate: there is nothing to imitate; name weights in task.initial_weights")
        if not config.new_parts or not set(config.new_parts) <= set(TOLD):
            raise InputError(
                f"task.imitate: task.new_parts is {config.new_parts}; name one or more of {', '.join(TOLD)}"
            )
        super().__init__(config)

    def _learner(self, source: KeypointEstimator) -> "Imitation":
        """The stage, which imitates what it started from."""
        return Imitation(self.model, source, self.config.new_parts)

    def losses(self, model: Taught, batch: Any) -> dict[str, Tensor]:
        """What the student does not give of the teacher's maps."""
        return model(batch["image"].float().div_(255))


class Imitation(Taught):
    """A keypoint stage whose backbone learns the maps that its teacher's gives.

    new_parts: modules of the student that learn, out of `TOLD`: the backbone and the layers that make `projected` of
        its maps. Nothing else does, and the teacher stays as it is.

    Raises InputError for stages whose maps cannot be compared.
    """

    def __init__(self, student: KeypointEstimator, teacher: KeypointEstimator, new_parts: Sequence[str]):
        if _told(student) != _told(teacher):
            raise InputError(
                "task.imitate: the maps of task.initial_weights are not those of task.model; both need full attention "
                "and the same d_model, heatmap_dim, and strides of input and finer levels"
            )
        train_only(student, new_parts)
        super().__init__(student, [teacher])

    def forward(self, crops: Tensor) -> dict[str, Tensor]:
        """crops [N, 3, h, w], RGB in 0..1 -> "loss", and what it is the sum of: for each map ("loss_map_0" is what
        enters the transformer) the share of its variance that the student does not give, 0 for a perfect student.
        """
        pairs = zip(self.student.projected(crops), self.teachers[0].projected(crops), strict=True)
        shares = {f"loss_map_{index}": unexplained(found, wanted) for index, (found, wanted) in enumerate(pairs)}
        return shares | {"loss": sum(shares.values(), start=crops.new_zeros(()))}


def unexplained(found: Tensor, wanted: Tensor) -> Tensor:
    """Mean over channels of the squared error of maps [N, C, h, w] over the variance of those wanted."""
    found, wanted = found.float(), wanted.float()
    variance = wanted.var((0, 2, 3), correction=0).clamp(min=1e-6)
    return ((found - wanted).square().mean((0, 2, 3)) / variance).mean()


def _told(stage: KeypointEstimator) -> tuple | None:
    """What two stages must have in common: strides and channels of the maps; None for deformable attention."""
    if not isinstance(stage.transformer, KeypointTransformer):
        return None
    heatmap, strides = stage.transformer.heatmap, stage.backbone.strides
    dim = None if heatmap is None else heatmap.coarse.out_channels
    return (
        stage.transformer.input_proj.out_channels,
        dim,
        strides[stage.input_levels[0]],
        *(strides[level] for level in stage.fine_levels),
    )
