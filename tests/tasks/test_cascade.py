"""The 3D phase on synthetic data: two steps and their continuation, gradients, frozen parts, bad input."""

import cv2
import numpy as np
import pytest
import torch

from cascadepose import models
from cascadepose.errors import InputError
from cascadepose.hub import load_model, save_model
from cascadepose.tasks.cascade import CascadeTask, CascadeTaskConfig, build_task
from cascadepose.train import fit
from cascadepose.training.settings import TrainConfig

SMALL = {"d_model": 32, "num_heads": 4, "num_encoder_layers": 1, "num_decoder_layers": 1, "dim_feedforward": 32}
BACKBONE = {"name": "mobilenetv3_small_050", "levels": [2, 3, 4]}
KEYPOINTS = {
    "backbone": BACKBONE,
    "transformer": {**SMALL, "num_queries": 17, "matching": "ordered", "readout": "heatmap", "heatmap_dim": 16},
    "crop_size": [64, 48],
    "input_levels": [1],
    "fine_level": 0,
}
FIRST = "body.conv_stem.weight"


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> dict[str, str]:
    """Weights of a tiny 2D stage and a tiny lifter."""
    torch.manual_seed(0)
    detector = {"backbone": BACKBONE, "input_levels": [1, 2], "num_queries": 4, **SMALL}
    prtr = models.build("prtr", detector=detector, keypoints=KEYPOINTS, detector_side=64)
    lifter = models.build("dstformer", dim=16, depth=1, num_heads=2, dim_rep=16, maxlen=9, num_frames=9)
    for model in (prtr, lifter):  # heads that start at zero would hide gradients in a network that has not been trained
        for parameter in model.parameters():
            if parameter.dim() > 1 and parameter.abs().max() == 0:
                torch.nn.init.normal_(parameter, std=0.1)
    folder = tmp_path_factory.mktemp("weights")
    return {
        "prtr": str(save_model(prtr, folder / "prtr.safetensors", "prtr")),
        "lifter": str(save_model(lifter, folder / "lifter.safetensors", "dstformer")),
    }


@pytest.fixture
def config(weights, tmp_path, make_image, rng) -> CascadeTaskConfig:
    """A tiny cascade, a motion of two seconds, five backgrounds; clips alone."""
    (tmp_path / "pictures").mkdir()
    for number in range(5):
        cv2.imwrite(str(tmp_path / "pictures" / f"{number}.png"), make_image(80, 100))
    t = np.arange(120)[:, None, None] / 9
    motion = rng.normal(0, 0.3, (1, 17, 3)) + [0, 1, 0] + 0.1 * np.sin(t + rng.uniform(0, 6, (1, 17, 3)))
    np.savez(tmp_path / "motion.npz", one=motion.astype(np.float32))
    return CascadeTaskConfig(
        **weights,
        train_motion=str(tmp_path / "motion.npz"),
        val_motion=str(tmp_path / "motion.npz"),
        backgrounds=str(tmp_path / "pictures"),
        num_frames=3,
        side=64,
        val_clips=1,
        epoch_length=4,
    )


def step(task: CascadeTask) -> dict[str, float]:
    """Losses of one batch, whose gradients are left in the model."""
    batch = task.collate([task.train_set[(i, 3)] for i in range(2)])
    losses = task.losses(task.model.train(), batch)
    losses["loss"].backward()
    return {name: value.item() for name, value in losses.items()}


def gradient(module: torch.nn.Module, name: str) -> torch.Tensor | None:
    return dict(module.named_parameters())[name].grad


def test_gradients_of_3d_alone_reach_the_first_convolution(config):
    """With the 2D losses off, what is left comes from the 3D joints."""
    config.l1_weight = config.likelihood_weight = config.heatmap_weight = 0.0
    task = build_task(config)
    task.criterion.class_weight = 0.0
    found = step(task)
    assert found["loss"] == pytest.approx(config.joints_weight * found["loss_3d"], rel=1e-5)
    reached = gradient(task.model.prtr.keypoints.backbone, FIRST)
    assert torch.isfinite(reached).all()
    assert reached.abs().max() > 0
    assert gradient(task.model.lifter, "head.weight").abs().max() > 0
    assert gradient(task.model.prtr.detector.backbone, FIRST) is None  # frozen, and not asked


def test_detected_boxes_carry_gradients_to_the_detector(config):
    config.boxes, config.lr_factors = "detected", {"prtr.keypoints": 0.0}
    task = build_task(config)
    found = step(task)
    assert found["loss_boxes"] > 0
    assert gradient(task.model.prtr.detector.backbone, FIRST).abs().max() > 0
    assert gradient(task.model.prtr.keypoints.backbone, FIRST) is None


def test_rates_of_parts(config):
    config.lr_factors = {"prtr.detector": 0.0, "prtr.keypoints.backbone": 0.1, "lifter": 2.0}
    task = build_task(config)
    rates = {id(p): group["lr"] for group in task.parameter_groups(1.0, 0.1) for p in group["params"]}
    assert rates.keys() == {id(p) for p in task.model.parameters() if p.requires_grad}
    parts = task.model.lifter, task.model.prtr.keypoints.transformer, task.model.prtr.keypoints.backbone
    assert [rates[id(next(p for p in part.parameters() if p.requires_grad))] for part in parts] == [2.0, 1.0, 0.1]


def test_two_steps_resume_and_weights(config, tmp_path):
    """Four steps in one go equal two and two; the weights hold the whole cascade; the start is measured beside it."""
    settings = {"batch_size": 2, "lr": 1e-3, "num_workers": 0, "tensorboard": False, "log_every": 1, "warmup_steps": 0}
    config.lr_factors = {"prtr": 0.5, "prtr.detector": 0.0}

    def run(folder: str, steps: int) -> dict[str, torch.Tensor]:
        best = fit(
            build_task(config),
            TrainConfig(output_dir=str(tmp_path / folder), max_steps=steps, schedule="constant", **settings),
        )
        assert load_model(best, kind="cascade").config["lifter"]["kind"] == "dstformer"
        return torch.load(tmp_path / folder / "last.pt", weights_only=True)["model"]

    whole = run("whole", 4)
    run("parts", 2)
    for name, value in run("parts", 4).items():
        torch.testing.assert_close(value, whole[name], msg=name)
    start = load_model(config.prtr)
    assert torch.equal(whole["prtr.detector.backbone." + FIRST], start.detector.backbone.state_dict()[FIRST])
    assert not torch.equal(whole["prtr.keypoints.backbone." + FIRST], start.keypoints.backbone.state_dict()[FIRST])
    log = (tmp_path / "whole" / "metrics.jsonl").read_text()
    assert '"start_mpjpe"' in log and '"mpjpe_boxes"' in log


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"lr_factors": {}}, "never asks the detector: freeze it"),
        ({"lr_factors": {"prtr.nothing": 0.0}}, "no part 'prtr.nothing'"),
        ({"num_frames": 10}, "takes 1 to 9 frames"),
        ({"side": 8}, "task.side is 8"),
        ({"prtr": "prtr-nowhere"}, "no weights are named 'prtr-nowhere'"),
        ({"lifter": "prtr-mobilenetv2-small"}, "holds a model of kind 'prtr', but a lifter is needed"),
        ({"prtr": "dstformer-small"}, "'prtr' is needed here"),
        ({"backgrounds": "nowhere"}, "nowhere: no such file or folder"),
        ({"train_motion": "nowhere.npz"}, "nowhere.npz: cannot be read"),
    ],
)
def test_what_cannot_be_trained(config, settings, words):
    for name, value in settings.items():
        setattr(config, name, value)
    with pytest.raises(InputError, match=words):
        build_task(config)


def test_a_lifter_that_answers_for_one_frame(config, tmp_path):
    lifter = models.build("tcn", widths=[3, 3], dim=16, normalization="crop_scale", in_channels=3)
    config.lifter = str(save_model(lifter, tmp_path / "tcn.safetensors", "tcn"))
    with pytest.raises(InputError, match="takes windows of 9 frames"):
        build_task(config)
    config.num_frames = 9
    task = build_task(config)
    assert step(task)["loss_3d"] > 0
    assert task.validate(task.model.eval())["mpjpe"] > 0


def test_the_recipe(repository):
    from cascadepose.config import parse

    file = str(repository / "configs" / "cascade_small.yaml")
    task = parse({"train": TrainConfig, "task": CascadeTaskConfig}, ["--config", file], "").task
    assert task.lr_factors["prtr.detector"] == 0
    assert (task.prtr, task.lifter) == ("prtr-mobilenetv2-small", "dstformer-small")


def test_the_parts_of_a_cascade(weights, tmp_path, tool_main, capsys):
    """What the tool writes are the 2D stage and the lifter, each of which loads alone."""
    from cascadepose.models.cascade import CascadePose

    whole = CascadePose(load_model(weights["prtr"]), load_model(weights["lifter"]))
    path = save_model(whole, tmp_path / "cascade.safetensors", "cascade")
    split = tool_main("split_cascade")
    assert split([str(path), "--out", str(tmp_path / "parts")]) == 0
    for name in ("prtr", "lifter"):
        part = load_model(tmp_path / "parts" / f"{name}.safetensors")
        for key, value in load_model(weights[name]).state_dict().items():
            torch.testing.assert_close(part.state_dict()[key], value)
    assert split([weights["prtr"], "--out", str(tmp_path / "parts")]) == 2
    assert "kind 'prtr', but 'cascade' is needed" in capsys.readouterr().err
