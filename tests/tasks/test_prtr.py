"""The tasks of both PRTR stages on two synthetic pictures: they learn, validate and save what the hub loads."""

import pytest
import torch

from cascadepose.errors import InputError
from cascadepose.hub import load_model
from cascadepose.tasks import detector, keypoints

SMALL = {"d_model": 32, "num_heads": 4, "num_encoder_layers": 1, "num_decoder_layers": 2, "dim_feedforward": 64}
BACKBONE = {"name": "mobilenetv3_small_050", "levels": [2, 3, 4]}
ORDERED = {**SMALL, "num_queries": 17, "matching": "ordered", "readout": "heatmap", "heatmap_dim": 16}


@pytest.fixture(params=["learned", "proposals", "keypoints", "keypoints and boxes"])
def task(request, coco_people):
    """One small task of each sort."""
    torch.manual_seed(0)
    if "keypoints" in request.param:
        boxes = request.param != "keypoints"
        model = {"backbone": BACKBONE, "input_levels": [1], "fine_level": 0, "crop_size": [64, 48]}
        model["transformer"] = ORDERED | {"person_box": boxes}
        config = keypoints.KeypointTaskConfig([coco_people], coco_people, model=model)
        if boxes:
            config.detected, config.nobody, config.boxes_only = 0.5, 0.2, 0.5
        return keypoints.build_task(config)
    model = {"backbone": BACKBONE, "input_levels": [1, 2], "num_queries": 6, **SMALL, "queries": request.param}
    config = detector.DetectorTaskConfig([coco_people], coco_people, model=model, sides=[96], canvas=96)
    config.classification = "softmax" if request.param == "learned" else "varifocal"
    config.validation_side = 96
    return detector.build_task(config)


def test_steps_lower_the_loss(task):
    batch = task.collate([task.train_set[(i % len(task.train_set), 3)] for i in range(4)])
    optimizer = torch.optim.AdamW(task.parameter_groups(2e-3, 0.01))
    losses = []
    for _ in range(25):
        loss = task.losses(task.model.train(), batch)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]  # heat maps keep the entropy of their targets


def test_what_is_saved_validates_alike_and_can_be_started_from(task, tmp_path):
    path = tmp_path / "weights.safetensors"
    metrics = task.validate(task.model.eval())
    assert 0 <= metrics[task.metric] <= 1
    task.save(task.model, path, {"recipe": "a test"})
    assert task.validate(load_model(path, kind=task.kind)).keys() == metrics.keys()
    build = keypoints.build_task if task.kind == "keypoint_estimator" else detector.build_task
    task.config.initial_weights = str(path)
    again = build(task.config)
    for a, b in zip(again.model.parameters(), task.model.parameters(), strict=True):
        assert (a - b).abs().max() <= 1e-3 * max(1.0, b.abs().max().item())


def test_the_detector_of_a_packaged_prtr_is_started_from_as_it_is(coco_people, tmp_path):
    config = detector.DetectorTaskConfig([coco_people], initial_weights="prtr-mobilenetv2-small")
    task = detector.build_task(config)
    packaged = load_model("prtr-mobilenetv2-small").detector
    assert task.model.training
    assert task.model.config == packaged.config
    for name, tensor in packaged.state_dict().items():
        torch.testing.assert_close(task.model.state_dict()[name], tensor, rtol=0, atol=0, msg=name)
    task.save(task.model, tmp_path / "again.safetensors", {})
    config.initial_weights = str(tmp_path / "again.safetensors")
    assert detector.build_task(config).model.config == packaged.config
    config.initial_weights = "dstformer-small"
    with pytest.raises(InputError, match="dstformer-small: holds no person_detector"):
        detector.build_task(config)


@pytest.mark.parametrize("frozen", [False, True])
def test_first_statistics_of_the_normalisation_are_those_of_crops(coco_people, frozen):
    backbone = BACKBONE | {"frozen_norm": frozen}
    model = {"backbone": backbone, "input_levels": [1], "fine_level": 0, "crop_size": [64, 48], "transformer": ORDERED}
    config = keypoints.KeypointTaskConfig([coco_people], coco_people, model=model)
    tasks = []
    for config.estimate_norms in (0, 2):
        torch.manual_seed(0)
        tasks.append(keypoints.build_task(config))
    plain, normalised = (task.model.eval() for task in tasks)
    crop = tasks[0].train_set[0]["image"][None].float() / 255
    for found, wanted in zip(normalised.projected(crop), plain.projected(crop), strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-3)
    means = [task.model.backbone.body.bn1.running_mean for task in tasks]
    assert (means[0] == 0).all() and (means[1] != 0).any()


def test_statistics_of_a_backbone_without_normalisation_are_refused(coco_people):
    model = {"backbone": BACKBONE | {"folded": True}, "input_levels": [1], "fine_level": 0, "crop_size": [64, 48]}
    model["transformer"] = ORDERED
    config = keypoints.KeypointTaskConfig([coco_people], coco_people, model=model, estimate_norms=2)
    with pytest.raises(InputError, match=r"estimate_norms.*no normalisation"):
        keypoints.build_task(config)


def test_weights_of_another_shape_are_refused(task, tmp_path):
    path = tmp_path / "weights.safetensors"
    task.save(task.model, path, {"recipe": "a test"})
    if task.kind == "keypoint_estimator":
        task.config.model["transformer"] = {**ORDERED, "dim_feedforward": 32}
        build = keypoints.build_task
    else:
        task.config.model["dim_feedforward"] = 32
        build = detector.build_task
    task.config.initial_weights = str(path)
    with pytest.raises(InputError, match=r"weights\.safetensors.*of another shape"):
        build(task.config)


def test_the_mean_of_several_is_started_from(coco_people, tmp_path):
    model = {"backbone": BACKBONE, "input_levels": [1], "fine_level": 0, "crop_size": [64, 48], "transformer": ORDERED}
    config, stages = keypoints.KeypointTaskConfig([coco_people], coco_people, model=model), []
    files = [str(tmp_path / "one.safetensors"), str(tmp_path / "two.safetensors")]
    for file in files:
        task = keypoints.build_task(config)
        task.save(task.model, file, {"recipe": "a test"})
        stages.append(task.model)
    config.initial_weights = files
    for name, parameter in keypoints.build_task(config).model.named_parameters():
        expected = sum(stage.get_parameter(name) for stage in stages) / 2
        torch.testing.assert_close(parameter, expected, atol=2e-3, rtol=2e-3)  # files hold halves
    config.initial_weights = []
    with pytest.raises(InputError, match="at least one file"):
        keypoints.build_task(config)


def test_no_sources():
    for build, config in (
        (detector.build_task, detector.DetectorTaskConfig()),
        (keypoints.build_task, keypoints.KeypointTaskConfig()),
    ):
        with pytest.raises(InputError, match="name at least one annotation file"):
            build(config)


def test_a_finer_heat_map_is_added_to_trained_weights(coco_people, tmp_path):
    coarse = {"backbone": BACKBONE, "input_levels": [1], "fine_level": 0, "crop_size": [64, 48], "transformer": ORDERED}
    config = keypoints.KeypointTaskConfig([coco_people], coco_people, model=coarse)
    task, path = keypoints.build_task(config), tmp_path / "coarse.safetensors"
    task.save(task.model, path, {"recipe": "a test"})
    fine = {**coarse, "backbone": {**BACKBONE, "levels": [1, 2, 3, 4]}, "input_levels": [2], "fine_level": [1, 0]}
    config.model, config.initial_weights = fine, str(path)
    with pytest.raises(InputError, match="finer"):
        keypoints.build_task(config)
    config.new_parts = ["transformer.heatmap.finer"]
    model = keypoints.build_task(config).model
    weights = task.model.transformer.heatmap.fine.weight
    assert (model.transformer.heatmap.fine.weight - weights).abs().max() < 1e-3
    assert model.eval()(torch.rand(1, 3, 64, 48))["pred_heatmaps"].shape[-2:] == (16, 12)
    model.train()(torch.rand(2, 3, 64, 48))["pred_keypoints"].square().sum().backward()
    assert model.transformer.heatmap.finer[0].weight.grad.abs().max() > 0


def test_residual_blocks_are_added_to_trained_weights(coco_people, tmp_path):
    """They change nothing at first, and learn from the last convolution on."""
    plain = {"backbone": BACKBONE, "input_levels": [1], "fine_level": 0, "crop_size": [64, 48], "transformer": ORDERED}
    config = keypoints.KeypointTaskConfig([coco_people], coco_people, model=plain)
    task, path = keypoints.build_task(config), tmp_path / "plain.safetensors"
    task.save(task.model, path, {"recipe": "a test"})
    config.initial_weights, config.new_parts = str(path), ["transformer.heatmap.blocks"]
    config.model = {**plain, "transformer": {**ORDERED, "heatmap_blocks": 2}}
    model, crops = keypoints.build_task(config).model, torch.rand(2, 3, 64, 48)
    before = load_model(path)(crops)["pred_heatmaps"]
    torch.testing.assert_close(model.eval()(crops)["pred_heatmaps"], before)
    model.train()(crops)["pred_keypoints"].square().sum().backward()
    for block in model.transformer.heatmap.blocks[0]:
        assert block.layers[-1].weight.grad.abs().max() > 0


def test_heat_maps_of_earlier_layers_are_made_in_training_only(task):
    if task.kind != "keypoint_estimator":
        pytest.skip("a detector has no heat maps")
    crops = torch.rand(2, 3, 64, 48)
    assert len(task.model.train()(crops)["aux_outputs"]) == 1
    assert task.model.eval()(crops)["aux_outputs"] == []
