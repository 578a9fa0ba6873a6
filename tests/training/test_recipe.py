"""Recipes: the steps run in order with their options, and the result is packaged."""

from pathlib import Path

import pytest
import torch

from cascadepose.config import read_yaml
from cascadepose.errors import InputError
from cascadepose.hub import load_model, save_model
from cascadepose.models.keypoints import KeypointEstimator
from cascadepose.models.lifters.dstformer import DSTformer
from cascadepose.packaging import mean_of_weights, package_prtr
from cascadepose.tasks import detector, keypoints
from cascadepose.training import recipe


@pytest.fixture
def file(tmp_path):
    """Two steps that name a configuration beside them."""
    (tmp_path / "one.yaml").write_text("train: {lr: 0.1}\n")
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "steps:\n- {stage: detector, config: one.yaml}\n- {stage: lifter, config: one.yaml, options: [-x, 1]}"
    )
    return path


def test_steps_run_in_order_with_their_options(file, monkeypatch, capsys):
    called = []
    monkeypatch.setattr(recipe, "train", lambda stage, argv: called.append((stage, argv)) or file)
    assert recipe.is_recipe(file)
    assert recipe.follow(file, ["--train.seed", "3"]) == file
    one = ["--config", str(file.with_name("one.yaml"))]
    assert called == [("detector", [*one, "--train.seed", "3"]), ("lifter", [*one, "-x", "1", "--train.seed", "3"])]
    assert "step 2 of 2: lifter" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps: []", "has no steps"),
        ("steps: [{stage: keypoint, config: one.yaml}]", "did you mean keypoints"),
        ("steps: [{stage: detector, config: two.yaml}]", "no such configuration"),
        ("steps: [{stage: detector, config: one.yaml, option: []}]", "unknown key option: did you mean options"),
        ("steps: [{stage: detector, config: one.yaml}]\npackage: {sides: 3}", "unknown key sides: did you mean side"),
        ("steps: [7]", "must be a section"),
    ],
)
def test_bad_recipes(file, text, message):
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        recipe.read_recipe(file)


def test_missing_data_of_a_later_step_stop_the_first(file, monkeypatch):
    called = []
    monkeypatch.setattr(recipe, "train", lambda stage, argv: called.append(stage) or file)
    sources = f"sources: [{{annotations: {file}, images: {file.parent}, background: {file.parent}/nowhere}}]"
    file.with_name("two.yaml").write_text(f"task: {{{sources}}}\n")
    file.write_text("steps:\n- {stage: detector, config: one.yaml}\n- {stage: keypoints, config: two.yaml}")
    with pytest.raises(InputError, match=r"nowhere: .*two\.yaml needs it, but it is missing"):
        recipe.follow(file)
    assert not called
    recipe.follow(file, ["--task.sources", "elsewhere"])
    assert called == ["detector", "keypoints"], "who says what to learn from knows better"
    recipe.follow(file, ["--print_config"])
    assert len(called) == 4, "what trains nothing needs no data"


def test_the_default_recipe_starts_from_nothing_but_data(repository):
    """Weights that a step or a package starts from are those of a step before it, and every step is of use."""
    default = recipe.read_recipe(repository / "configs" / "default_accurate.yaml")
    made, used = [], set()
    for step in default.steps:
        config = read_yaml(step.config)
        if start := config["task"].get("initial_weights"):
            assert Path(start).parent in made, step.config.name
            used.add(Path(start).parent)
        made.append(Path(config["train"]["output_dir"]))
    parts = [Path(package[stage]).parent for package in default.packages for stage in ("detector", "keypoints")]
    assert len(set(made)) == len(made) and set(made) == used | set(parts)
    small, large = default.packages
    assert small["detector"] == large["detector"] and small["keypoints"] != large["keypoints"]
    assert small["side"] == large["side"] and small["out"] != large["out"]


def test_both_stages_are_packaged_as_one_model(coco_people, tmp_path):
    backbone = {"name": "mobilenetv3_small_050", "levels": [2, 3, 4]}
    small = {"d_model": 32, "num_heads": 4, "num_encoder_layers": 1, "num_decoder_layers": 1, "dim_feedforward": 64}
    stages = {}
    for name, module, config_class, model in (
        ("detector", detector, detector.DetectorTaskConfig, {"backbone": backbone, "num_queries": 6, **small}),
        (
            "keypoints",
            keypoints,
            keypoints.KeypointTaskConfig,
            {"backbone": backbone, "crop_size": [64, 48], "transformer": {**small, "num_queries": 20}},
        ),
    ):
        task = module.build_task(config_class([coco_people], model=model))
        stages[name] = tmp_path / f"{name}.safetensors"
        task.save(task.model, stages[name], {"recipe": "a test"})
    out = package_prtr(**stages, out=tmp_path / "prtr.safetensors", info={"data": "none"}, side=64, threshold=0.3)
    model = load_model(out, kind="prtr")
    assert (model.detector_side, model.threshold) == (64, 0.3)
    both = package_prtr(
        stages["detector"], [stages["keypoints"]] * 2, tmp_path / "both.safetensors", {}, side=64, threshold=0.3
    )
    again = package_prtr(out, [out, both], tmp_path / "again.safetensors", {}, side=64, threshold=0.3)
    for file in (both, again):
        packaged = load_model(file).state_dict()
        for name, tensor in model.state_dict().items():
            torch.testing.assert_close(packaged[name], tensor)
    with pytest.raises(InputError, match="holds no person_detector"):
        package_prtr(stages["keypoints"], stages["keypoints"], tmp_path / "x.safetensors", {})
    with pytest.raises(InputError, match="holds no keypoint_estimator"):
        package_prtr(out, stages["detector"], tmp_path / "x.safetensors", {})


def test_the_mean_of_weights(tmp_path):
    def write(name, model):
        save_model(model, tmp_path / name, "dstformer", {})
        return tmp_path / name

    sizes = {"dim": 16, "num_heads": 2, "dim_rep": 16, "maxlen": 9}
    models = [DSTformer(depth=1, **sizes) for _ in range(3)]
    files = [write(f"{number}.safetensors", model) for number, model in enumerate(models)]
    mean = mean_of_weights(files, "dstformer")
    for name, parameter in mean.named_parameters():
        expected = sum(model.get_parameter(name) for model in models) / 3
        torch.testing.assert_close(parameter, expected, atol=2e-3, rtol=0)  # files hold halves
    weighted = mean_of_weights(dict(zip(files, (0.5, 0.3, 0.2), strict=True)), "dstformer")
    for name, parameter in weighted.named_parameters():
        parts = [share * model.get_parameter(name) for share, model in zip((0.5, 0.3, 0.2), models, strict=True)]
        torch.testing.assert_close(parameter, sum(parts), atol=2e-3, rtol=0)
    for none in ([], {}):
        with pytest.raises(InputError, match="at least one file"):
            mean_of_weights(none)
    with pytest.raises(InputError, match="counts 0 in the mean"):
        mean_of_weights({files[0]: 1, files[1]: 0}, "dstformer")
    deeper = write("deeper.safetensors", DSTformer(depth=2, **sizes))
    with pytest.raises(InputError, match="different shapes"):
        mean_of_weights([files[0], deeper], "dstformer")


def test_a_mean_over_crop_sizes_keeps_the_last(tmp_path):
    config = {
        "backbone": {"name": "mobilenetv3_small_050", "levels": [2, 3, 4]},
        "transformer": {"d_model": 32, "num_heads": 4, "num_encoder_layers": 1, "num_decoder_layers": 1},
    }
    files = [
        save_model(
            KeypointEstimator(**config, crop_size=size), tmp_path / f"{size[0]}.safetensors", "keypoint_estimator"
        )
        for size in ((96, 64), (64, 48))
    ]
    mean = mean_of_weights(files)
    assert mean.crop_size == (64, 48)
    expected = sum(load_model(file).transformer.query_embed.weight for file in files) / 2
    torch.testing.assert_close(mean.transformer.query_embed.weight, expected, atol=2e-3, rtol=0)
