"""Every configuration of PRTR names what exists, builds its model, and trains for two steps on synthetic pictures."""

import pytest
import torch

from cascadepose import models
from cascadepose.config import parse
from cascadepose.hub import save_model
from cascadepose.models.backbone import count_parameters
from cascadepose.models.detector import PersonDetector
from cascadepose.models.keypoints import KeypointEstimator
from cascadepose.tasks import detector, joint, keypoints
from cascadepose.train import fit
from cascadepose.training.settings import TrainConfig

SIZES = {  # configuration -> parameters and crop of the published model
    "prtr_two_stage_r50_384": (41_505_236, (384, 288)),
    "prtr_two_stage_r50_512": (41_505_236, (512, 384)),
    "prtr_two_stage_r101_384": (60_445_140, (384, 288)),
    "prtr_two_stage_r101_512": (60_445_140, (512, 384)),
    "prtr_two_stage_hrnet_w32_384": (57_234_004, (384, 288)),
    "prtr_two_stage_hrnet_w32_512": (57_234_004, (512, 384)),
    "prtr_deformable_r50_384": (46_251_734, (384, 288)),
    "prtr_deformable_r101_384": (65_191_638, (384, 288)),
}
SMALL = {"d_model": 32, "num_heads": 4, "num_encoder_layers": 1, "num_decoder_layers": 2, "dim_feedforward": 64}


@pytest.fixture
def read(repository):
    """read(name, task dataclass): a configuration as the tool reads it."""

    def parsed(name: str, task: type):
        path = str(repository / "configs" / f"{name}.yaml")
        return parse({"train": TrainConfig, "task": task}, ["--config", path])

    return parsed


@pytest.mark.parametrize("name", SIZES)
def test_two_stage(name, read):
    config = read(name, keypoints.KeypointTaskConfig)
    with torch.device("meta"):
        model = KeypointEstimator(**config.task.model)
    assert (count_parameters(model), model.crop_size) == SIZES[name]
    assert (config.train.schedule, config.train.lr_decay, len(config.train.milestones)) == ("steps", 0.5, 2)


def test_end_to_end(read):
    """The detector of the first phase, the keypoint stage of the second: together the size of the notebook's model."""
    first = read("detr_person_r50", detector.DetectorTaskConfig)
    second = read("prtr_end_to_end_r50", joint.JointTaskConfig)
    with torch.device("meta"):
        model = models.build("prtr", detector=PersonDetector(**first.task.model).config, **second.task.model)
    assert count_parameters(model) == 88_066_010


def test_small_joint_form(read):
    first = read("prtr_detector_small", detector.DetectorTaskConfig)
    second = read("prtr_joint_small", joint.JointTaskConfig)
    with torch.device("meta"):
        model = models.build("prtr", detector=first.task.model, **second.task.model)
    assert count_parameters(model) < 20e6


def train_two_steps(task, train: TrainConfig, folder) -> None:
    """Run the loop with the configuration's own schedule."""
    small = {"output_dir": str(folder), "batch_size": 2, "max_steps": 2, "num_workers": 0, "tensorboard": False}
    for name, value in small.items():
        setattr(train, name, value)
    assert fit(task, train).exists()


@pytest.mark.parametrize(
    "name", [pytest.param("prtr_two_stage_r50_384", marks=pytest.mark.slow), "prtr_deformable_r50_384"]
)
def test_two_steps_of_two_stage(name, read, coco_people, tmp_path):
    config = read(name, keypoints.KeypointTaskConfig)
    task = config.task
    task.sources, task.validation, task.backbone_weights = [coco_people], coco_people, None
    small = {**task.model["transformer"], **SMALL, "num_queries": 20}
    task.model = {**task.model, "crop_size": [64, 64], "transformer": small}
    task.model["backbone"] = {**task.model["backbone"], "name": "resnet18"}
    task.freeze_stages = 6
    train_two_steps(keypoints.build_task(task), config.train, tmp_path)


@pytest.mark.parametrize("name", ["prtr_end_to_end_r50", "prtr_joint_small"])
def test_two_steps_of_both_stages(name, read, coco_people, tmp_path):
    """From the weights of a detector, which say what it is."""
    config = read(name, joint.JointTaskConfig)
    task = config.task
    body = {"name": "resnet18", "levels": [1, 2, 3, 4]}
    first = PersonDetector(body, **SMALL, num_queries=6)
    task.detector_weights = str(save_model(first, tmp_path / "detector.safetensors", "person_detector"))
    task.sources, task.validation, task.validation_side = [coco_people], coco_people, 64
    task.freeze_stages, task.sides = 6, [64]
    task.model["keypoints"] = {**task.model["keypoints"], **SMALL}
    built = joint.build_task(task)
    assert built.model.config["detector"]["backbone"] == body
    train_two_steps(built, config.train, tmp_path)
