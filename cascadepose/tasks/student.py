"""What tasks share whose model is a keypoint stage that learns (`student`) beside others that teach it."""

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from cascadepose.models.keypoints import KeypointEstimator
from cascadepose.tasks.keypoints import KeypointTask


class Taught(nn.Module):
    """A keypoint stage (`student`) and the `teachers` that it learns from, which stay as they are."""

    def __init__(self, student: KeypointEstimator, teachers: Sequence[KeypointEstimator]):
        super().__init__()
        self.student = student
        self.teachers = nn.ModuleList(teachers).requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "Taught":
        """Training mode; the teachers stay in eval mode."""
        super().train(mode)
        self.teachers.eval()
        return self


class StudentTask(KeypointTask):
    """Only the student of a `Taught` is validated and saved."""

    def validate(self, model: Taught) -> dict[str, float]:
        """The student's, see `KeypointTask.validate`."""
        return super().validate(model.student)

    def save(self, model: Taught, path: Path, info: dict) -> None:
        """The student's weights."""
        super().save(model.student, path, info)
