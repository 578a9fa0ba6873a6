"""Another backbone learns what the old one told the transformer; nothing else learns, and only the student is saved."""

import pytest
import torch

from cascadepose.config import parse
from cascadepose.errors import InputError
from cascadepose.hub import load_model
from cascadepose.models.keypoints import KeypointEstimator
from cascadepose.tasks import keypoints
from cascadepose.tasks.imitation import Imitation, unexplained
from cascadepose.tasks.keypoint_model import fill, load_stage
from cascadepose.train import fit
from cascadepose.training.settings import TrainConfig

SMALL = {"d_model": 32, "num_heads": 4, "num_encoder_layers": 1, "num_decoder_layers": 2, "dim_feedforward": 64}
MODEL = {
    "backbone": {"name": "mobilenetv3_small_050", "levels": [1, 2, 3, 4]},
    "input_levels": [2, 3],
    "fine_level": [1, 0],
    "crop_size": [64, 64],
    "transformer": {**SMALL, "num_queries": 17, "matching": "ordered", "readout": "heatmap", "heatmap_dim": 16},
}
OTHER = MODEL | {"backbone": {"name": "tf_efficientnet_lite0", "levels": [1, 2, 3, 4]}}
NEW = ["backbone", "transformer.input_proj", "transformer.heatmap.fine", "transformer.heatmap.finer"]


@pytest.fixture
def config(coco_people, tmp_path):
    """A student with a backbone that its teacher, a file, does not have."""
    torch.manual_seed(0)
    task = keypoints.build_task(keypoints.KeypointTaskConfig([coco_people], coco_people, model=MODEL))
    torch.nn.init.normal_(task.model.transformer.heatmap.finer[0].weight)  # it starts from zero: nothing to imitate
    task.save(task.model, tmp_path / "teacher.safetensors", {"recipe": "a test"})
    settings = {"initial_weights": str(tmp_path / "teacher.safetensors"), "new_parts": NEW, "imitate": True}
    return keypoints.KeypointTaskConfig([coco_people], coco_people, model=OTHER, **settings)


def test_only_the_new_parts_of_the_student_learn(config):
    model = keypoints.build_task(config).model
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert all(name.startswith(tuple(f"student.{part}." for part in NEW)) for name in learning)
    assert {"student.backbone.body.conv_stem.weight", "student.transformer.input_proj.bias"} <= learning
    assert not model.train().teachers.training
    assert model.student.training


def test_every_new_part_has_a_gradient(config):
    task = keypoints.build_task(config)
    batch = task.collate([task.train_set[(0, 3)], task.train_set[(1, 3)]])
    task.losses(task.model.train(), batch)["loss"].backward()
    for name, parameter in task.model.named_parameters():
        assert not parameter.requires_grad or parameter.grad is not None, name


def test_the_student_comes_nearer_and_is_saved_alone(config, tmp_path):
    task = keypoints.build_task(config)
    settings = {"max_steps": 12, "batch_size": 4, "num_workers": 0, "lr": 3e-3, "warmup_steps": 1, "log_every": 1}
    out = tmp_path / "run"
    crops = torch.rand(4, 3, 64, 64)
    before = task.model.eval()(crops)["loss"].item()
    fit(task, TrainConfig(output_dir=str(out), device="cpu", **settings))
    assert task.model.eval()(crops)["loss"].item() < 0.7 * before
    saved = load_model(out / "last.safetensors", kind="keypoint_estimator")
    teacher = load_model(config.initial_weights)
    assert isinstance(saved, KeypointEstimator)
    assert torch.equal(saved.transformer.query_embed.weight, teacher.transformer.query_embed.weight)
    assert task.validate(task.model.eval()).keys() == {"AP", "AP50", "AP75", "AR"}


def test_a_perfect_student_leaves_nothing(config):
    model = keypoints.build_task(config).model
    same = Imitation(load_model(config.initial_weights), load_model(config.initial_weights), NEW)
    losses = same.eval()(torch.rand(2, 3, 64, 64))
    assert losses.keys() == {"loss", "loss_map_0", "loss_map_1", "loss_map_2"}
    assert losses["loss"] < 1e-8
    assert model.eval()(torch.rand(2, 3, 64, 64))["loss"] > 1


def test_the_mean_leaves_all_of_the_variance():
    wanted = torch.randn(3, 5, 4, 6) * torch.tensor([0.1, 1, 10, 100, 1000])[:, None, None] + 7
    mean = wanted.mean((0, 2, 3), keepdim=True).expand_as(wanted)
    torch.testing.assert_close(unexplained(mean, wanted), torch.tensor(1.0))
    half = (mean + wanted) / 2
    torch.testing.assert_close(unexplained(half, wanted), torch.tensor(0.25))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"initial_weights": None}, "nothing to imitate"),
        ({"new_parts": []}, "name one or more"),
        ({"new_parts": ["backbone", "transformer.class_embed"]}, "name one or more"),
        ({"model": OTHER | {"input_levels": [1]}}, "not those of task.model"),
    ],
)
def test_what_cannot_be_imitated_is_refused(config, change, message):
    for name, value in change.items():
        setattr(config, name, value)
    with pytest.raises(InputError, match=message):
        keypoints.build_task(config)


def test_the_configuration_fits_the_packaged_weights(repository):
    path = repository / "configs" / "prtr_keypoints_lite_imitation.yaml"
    task = parse({"train": TrainConfig, "task": keypoints.KeypointTaskConfig}, ["--config", str(path)]).task
    student, teacher = KeypointEstimator(**task.model), load_stage(task.initial_weights)
    fill(student, teacher, task.initial_weights, task.new_parts)
    losses = Imitation(student, teacher, task.new_parts).eval()(torch.rand(1, 3, 64, 64))
    assert len(losses) == 4
    assert task.imitate
