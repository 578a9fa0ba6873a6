"""End-to-end PRTR trained on two synthetic pictures: phases, gradients, validation, weights."""

import pytest
import torch

from cascadepose.errors import InputError
from cascadepose.hub import load_model
from cascadepose.tasks.joint import JointTask, JointTaskConfig, build_task

SMALL = {"d_model": 32, "num_heads": 4, "num_encoder_layers": 1, "num_decoder_layers": 2, "dim_feedforward": 64}
BACKBONE = {"name": "mobilenetv3_small_050", "levels": [2, 3, 4]}
DETECTOR = {"backbone": BACKBONE, "input_levels": [1, 2], "num_queries": 8, **SMALL}
KEYPOINTS = {**SMALL, "num_queries": 20, "position": "sine+learned", "size": [10, 10]}


@pytest.fixture
def config(coco_people) -> JointTaskConfig:
    model = {"detector": DETECTOR, "keypoints": KEYPOINTS, "crop": "features", "crop_levels": [0, 1]}
    model |= {"alignment": "corners", "max_people": 4}
    return JointTaskConfig([coco_people], coco_people, model=model, sides=[96], canvas=96, validation_side=96)


@pytest.fixture
def make(config):
    def build(**settings) -> JointTask:
        torch.manual_seed(0)
        for name, value in settings.items():
            setattr(config, name, value)
        return build_task(config)

    return build


def steps(task: JointTask, number: int) -> list[dict[str, float]]:
    """Train on one batch; the losses of each step."""
    batch = task.collate([task.train_set[(i % len(task.train_set), 3)] for i in range(4)])
    optimizer = torch.optim.AdamW(task.parameter_groups(2e-3, 0.01))
    found = []
    for _ in range(number):
        losses = task.losses(task.model.train(), batch)
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
        found.append({name: value.item() for name, value in losses.items()})
    return found


@pytest.mark.parametrize("boxes", ["predicted", "annotated"])
def test_both_losses_fall(make, boxes):
    task = make(boxes=boxes)
    losses = steps(task, 7)
    for name in ("loss", "loss_boxes", "loss_joints"):
        assert losses[-1][name] < losses[0][name]


def test_joints_alone_reach_backbone_and_boxes(make):
    """With no loss of the detector's own, its weights learn from the joints: through the maps and through the boxes."""
    task = make(detection_weight=0.0)
    steps(task, 2)
    detector = task.model.detector
    for parameter in (detector.backbone.body.conv_stem.weight, detector.bbox_embed.layers[0].weight):
        assert parameter.grad.abs().max() > 0
        assert torch.isfinite(parameter.grad).all()


def test_two_phases(make):
    """Frozen for an epoch, then trained; normalisation and frozen stages stay frozen in both."""
    task = make(frozen_epochs=1, freeze_stages=2)
    detector = task.model.detector
    before = {name: p.detach().clone() for name, p in detector.named_parameters()}
    task.new_epoch(0)
    steps(task, 2)
    assert all(torch.equal(p, before[name]) for name, p in detector.named_parameters())
    task.new_epoch(1)
    steps(task, 2)
    moved = {name for name, p in detector.named_parameters() if not torch.equal(p, before[name])}
    assert "class_embed.weight" in moved
    assert "backbone.body.blocks.4.0.conv_pw.weight" in moved
    assert "backbone.body.conv_stem.weight" not in moved


def test_each_part_has_its_rate(make):
    task = make(detector_lr=0.5, backbone_lr=0.2)
    rates = {id(p): group["lr"] for group in task.parameter_groups(1.0, 0.1) for p in group["params"]}
    assert rates.keys() == {id(p) for p in task.model.parameters() if p.requires_grad}
    detector = task.model.detector
    named = (task.model.keypoints.class_embed.weight, detector.class_embed.weight, detector.backbone.body.conv_stem)
    assert [rates[id(getattr(p, "weight", p))] for p in named] == [1.0, 0.5, 0.1]


def test_nobody_to_crop(make):
    task = make()
    batch = task.collate([task.train_set[1], task.train_set[1]])  # the picture of a crowd
    losses = task.losses(task.model.train(), batch)
    losses["loss"].backward()
    assert losses["loss_keypoints"].item() == 0
    assert torch.isfinite(losses["loss"])


def test_box_without_width(make):
    """A detector that answers with a line: nobody is looked at in it, where crops would have no finite gradient."""
    task = make()
    out = {"pred_boxes": torch.tensor([[[0.5, 0.5, 0.0, 0.5]] * 4]), "pred_logits": torch.zeros(1, 4, 2)}
    batch = task.collate([task.train_set[0]])
    assert batch["visible"].any()
    chosen, index, people = task.people_to_crop(out, batch)
    assert len(chosen) == len(index) == len(people) == 0
    out["pred_boxes"][..., 2] = 0.4
    assert len(task.people_to_crop(out, batch)[0]) == 2


def test_validation_and_weights(make, config, tmp_path):
    task = make()
    metrics = task.validate(task.model.eval())
    assert metrics.keys() == {
        "AP",
        "AP50",
        "AR",
        "box_AP",
        "loss_joints",
        "loss_keypoints",
        "joint_error",
        "joints_inside",
    }
    assert all(-1 <= metrics[key] <= 1 for key in ("AP", "AP50", "AR", "box_AP"))
    assert metrics["loss_keypoints"] > 0 and metrics["joint_error"] > 0
    task.save(task.model, tmp_path / "joint.safetensors", {})
    again = load_model(tmp_path / "joint.safetensors", kind="prtr")
    assert task.validate(again).keys() == metrics.keys()
    config.initial_weights = str(tmp_path / "joint.safetensors")
    build_task(config)


def test_starting_from_a_detector(make, tmp_path):
    first = make()
    from cascadepose.hub import save_model

    path = save_model(first.model.detector, tmp_path / "detector.safetensors", "person_detector", dtype=torch.float32)
    torch.nn.init.ones_(first.model.detector.class_embed.weight)
    task = make(detector_weights=str(path))
    assert not torch.equal(task.model.detector.class_embed.weight, first.model.detector.class_embed.weight)


def test_what_cannot_be_trained_jointly(config):
    config.model = {**config.model, "crop": "image"}
    with pytest.raises(InputError, match=r'task\.model\.crop: use "features"'):
        build_task(config)
    boxes = {"num_queries": 17, "matching": "ordered", "readout": "heatmap", "person_box": True}
    config.model = {**config.model, "crop": "features", "keypoints": {**KEYPOINTS, **boxes}}
    with pytest.raises(InputError, match="person_box is taught by --stage keypoints"):
        build_task(config)
    config.sources = []
    with pytest.raises(InputError, match="name at least one annotation file"):
        build_task(config)
