"""A stage learns from other stages' heat maps as well as from labels; they stay as they are, and only it is saved."""

import pytest
import torch

from cascadepose.errors import InputError
from cascadepose.hub import load_model
from cascadepose.losses.distillation import belief_entropy, mean_belief
from cascadepose.models.keypoints import KeypointEstimator
from cascadepose.tasks import keypoints
from cascadepose.train import fit
from cascadepose.training.settings import TrainConfig

SMALL = {"d_model": 32, "num_heads": 4, "num_encoder_layers": 1, "num_decoder_layers": 2, "dim_feedforward": 64}
MODEL = {
    "backbone": {"name": "mobilenetv3_small_050", "levels": [1, 2, 3, 4]},
    "input_levels": [2, 3],
    "fine_level": [1],
    "crop_size": [64, 64],
    "transformer": {**SMALL, "num_queries": 17, "matching": "ordered", "readout": "heatmap", "heatmap_dim": 16},
}


def answer(maps: torch.Tensor, there: float) -> dict:
    """What a teacher says that believes every joint to be there as likely."""
    joints = maps.shape[1]
    logits = torch.full((len(maps), joints, joints + 1), -100.0)
    logits.diagonal(dim1=1, dim2=2).fill_(0.0)
    logits[..., -1] = torch.tensor((1 - there) / there).log()
    return {"pred_heatmaps": maps, "pred_kpt_logits": logits}


@pytest.fixture
def config(coco_people, tmp_path):
    """A student of two teachers, files."""
    paths = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        task = keypoints.build_task(keypoints.KeypointTaskConfig([coco_people], coco_people, model=MODEL))
        paths.append(str(tmp_path / f"teacher{seed}.safetensors"))
        task.save(task.model, paths[-1], {"recipe": "a test"})
    return keypoints.KeypointTaskConfig([coco_people], coco_people, model=MODEL, teachers=paths)


def test_belief_is_the_mean_and_sums_to_how_likely_a_joint_is_there():
    maps = torch.randn(2, 3, 4, 5)
    belief = mean_belief([answer(maps, 0.8), answer(maps, 0.4)])
    torch.testing.assert_close(belief.sum((2, 3)), torch.full((2, 3), 0.6))
    torch.testing.assert_close(belief, 0.6 * maps.flatten(2).softmax(-1).view_as(maps))


def test_nobody_is_nearer_to_a_belief_than_who_shares_it():
    maps = torch.randn(2, 3, 4, 5)
    belief = mean_belief([answer(maps, 0.5)])
    same, other = belief_entropy([{"pred_heatmaps": maps}, {"pred_heatmaps": maps + torch.randn_like(maps)}], belief)
    assert same < other
    share = maps.flatten(2).softmax(-1)
    torch.testing.assert_close(same, -0.5 * (share * share.log()).sum((1, 2)).mean())


def test_a_flip_test_of_teachers_believes_of_a_mirror_image_what_is_mirrored(config):
    config.teachers_flip = True
    model = keypoints.build_task(config).model.eval()
    crops, swap = torch.rand(2, 3, 64, 64), list(model.student.skeleton.flip_index)
    torch.testing.assert_close(model(crops.flip(-1))["belief"], model(crops)["belief"][:, swap].flip(-1))
    model.flip = False
    assert (model(crops.flip(-1))["belief"] - model(crops)["belief"][:, swap].flip(-1)).abs().max() > 1e-4


def test_joints_without_a_label_are_taught_as_well(config):
    task = keypoints.build_task(config)
    batch = task.collate([task.train_set[(0, 3)], task.train_set[(1, 3)]])
    batch["labelled"], batch["visible"] = (torch.zeros_like(batch[key]) for key in ("labelled", "visible"))
    losses = task.losses(task.model.train(), batch)
    assert losses["loss_heatmap"] == 0
    assert losses["loss_teachers"] > 0
    losses["loss"].backward()
    assert task.model.student.transformer.heatmap.mix[-1].weight.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in task.model.teachers.parameters())


def test_the_student_comes_nearer_to_its_teachers_and_is_saved_alone(config, tmp_path):
    config.teachers_weight = 10.0
    task = keypoints.build_task(config)
    task.model.student.transformer.heatmap.query.layers[-1].weight.data *= 100  # sure of what nobody taught it
    settings = {"max_steps": 25, "batch_size": 4, "num_workers": 0, "lr": 3e-3, "warmup_steps": 1, "log_every": 1}
    batch = task.collate([task.train_set[(index, 3)] for index in (0, 1)])
    teacher = task.model.teachers[0].state_dict()
    before = task.losses(task.model.train(), batch)["loss_teachers"].item()
    fit(task, TrainConfig(output_dir=str(tmp_path / "run"), device="cpu", **settings))
    assert task.losses(task.model.train(), batch)["loss_teachers"].item() < before
    assert all(torch.equal(value, teacher[key]) for key, value in load_model(config.teachers[0]).state_dict().items())
    assert not task.model.train().teachers[0].training
    saved = load_model(tmp_path / "run" / "last.safetensors", kind="keypoint_estimator")
    assert isinstance(saved, KeypointEstimator)
    assert task.validate(task.model.eval()).keys() == {"AP", "AP50", "AP75", "AR"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": MODEL | {"fine_level": [1, 0]}}, "stride of the finest level"),
        ({"model": MODEL | {"transformer": MODEL["transformer"] | {"readout": "mlp"}}}, "a heat-map readout"),
        ({"imitate": True}, "choose one"),
        ({"teachers": ["nowhere.safetensors"]}, "nowhere.safetensors"),
    ],
)
def test_who_cannot_teach_is_refused(config, change, message):
    for name, value in change.items():
        setattr(config, name, value)
    with pytest.raises(InputError, match=message):
        keypoints.build_task(config)
