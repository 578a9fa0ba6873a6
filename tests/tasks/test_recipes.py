"""Configurations of lifters: every one is valid, and one of each kind runs for two steps on a synthetic motion."""

import numpy as np
import pytest
import yaml

from cascadepose import hub, models
from cascadepose.config import parse
from cascadepose.evaluation.cost import count_macs
from cascadepose.tasks import lifter, pretrain
from cascadepose.train import fit
from cascadepose.training.settings import TrainConfig

LIFTERS = ["tcn_27", "tcn_243", "strided_27", "strided_351", "dstformer_scratch", "dstformer_finetune"]
LIFTERS += ["dstformer_frozen", "tcn_243_cpn", "strided_27_cpn", "strided_351_cpn"]
POSEFORMERV2 = {  # configuration -> published millions of operations, two a multiply-accumulate
    "poseformerv2_27_1_cpn": 77.2,
    "poseformerv2_27_3_cpn": 117.3,
    "poseformerv2_81_1_cpn": 77.2,
    "poseformerv2_81_3_cpn": 117.3,
    "poseformerv2_81_9_cpn": 351.7,
    "poseformerv2_243_27_cpn": 1054.8,
}
LIFTERS += POSEFORMERV2
PRETRAINING = ["dstformer_pretrain", "dstformer_lite_pretrain"]


def read(repository, name, *options):
    """A configuration with options of the command line, and its task's module."""
    module = pretrain if name in PRETRAINING else lifter
    task = module.PretrainTaskConfig if name in PRETRAINING else module.LifterTaskConfig
    file = str(repository / "configs" / f"{name}.yaml")
    return parse({"train": TrainConfig, "task": task}, ["--config", file, *options], ""), module


@pytest.mark.parametrize("name", LIFTERS + PRETRAINING)
def test_valid_and_of_the_published_size(name, repository):
    import torch

    config, _ = read(repository, name)
    sizes = {"dstformer_scratch": 42_466_317, "dstformer_pretrain": 42_466_317, "dstformer_lite_pretrain": 16_001_549}
    sizes |= {"tcn_243_cpn": 16_952_371, "strided_27_cpn": 4_014_438, "strided_351_cpn": 4_346_214}
    sizes |= {"poseformerv2_81_9_cpn": 14_362_279}
    with torch.device("meta"):
        kind = getattr(config.task, "kind", "dstformer")
        window = {"maxlen": config.task.num_frames} if kind == "dstformer" else {}
        window = {"num_frames": config.task.num_frames} if kind in ("strided", "poseformerv2") else window
        model = models.build(kind, **window, **config.task.model)
    assert model.num_frames == config.task.num_frames
    if name in sizes:
        assert sum(p.numel() for p in model.parameters()) == sizes[name]
    if name in POSEFORMERV2:
        macs = count_macs(model, torch.zeros(1, config.task.num_frames, 17, 2, device="meta"))
        assert macs == pytest.approx(POSEFORMERV2[name] / 2 * 1e6, rel=0.04)  # published without the DCT's products


@pytest.mark.parametrize("name", LIFTERS + PRETRAINING)
def test_every_key_has_a_comment(name, repository):
    lines = (repository / "configs" / f"{name}.yaml").read_text("utf-8").splitlines()
    keys = [line for line in lines if line.startswith("  ") and not line.rstrip().endswith(":")]
    assert [line for line in keys if " # " not in line] == []


SMALL = ["--train.max_steps", "2", "--train.batch_size", "2", "--train.num_workers", "0", "--train.log_every", "1"]


@pytest.mark.parametrize("name", ["tcn_27", "strided_27", "dstformer_lite_pretrain", "dstformer_frozen"])
def test_two_steps(name, repository, tmp_path, rng):
    t = np.arange(60)[:, None, None] / 9
    motion = rng.normal(0, 0.3, (1, 17, 3)) + [0, 1, 0] + 0.1 * np.sin(t + rng.uniform(0, 6, (1, 17, 3)))
    np.savez(tmp_path / "motion.npz", one=motion.astype(np.float32))
    path = str(tmp_path / "motion.npz")
    options = [*SMALL, "--train.output_dir", str(tmp_path / "run"), "--train.tensorboard", "false"]
    options += ["--task.train_motion", path, "--task.val_motion", path]
    if name.startswith("dstformer"):
        options += ["--task.num_frames", "9"]
    if name == "dstformer_frozen":
        start = models.build("dstformer", dim=16, depth=1, num_heads=2, dim_rep=16, maxlen=9)
        options += ["--task.weights", str(hub.save_model(start, tmp_path / "start.safetensors", "dstformer"))]
    config, module = read(repository, name, *options)
    small = {"tcn_27": {"dim": 16}, "strided_27": {"dim": 16, "hidden": 16}}
    config.task.model |= small.get(name, {"dim": 16, "depth": 1, "dim_rep": 16})
    best = fit(module.build_task(config.task), config.train)
    model = hub.load_model(best)
    assert model.num_frames == config.task.num_frames
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) >= 2


def test_the_recipes_say_what_they_differ_in(repository):
    """A file with a base repeats nothing of it but what names the run, or what replaces a whole table."""
    for name in ("tcn_243", "strided_351", "dstformer_finetune", "dstformer_frozen", *POSEFORMERV2):
        if name == "poseformerv2_81_9_cpn":
            continue  # the base of the others
        own = yaml.safe_load((repository / "configs" / f"{name}.yaml").read_text("utf-8"))
        base = yaml.safe_load((repository / "configs" / own["base"]).read_text("utf-8"))
        same = [key for key, value in own["task"].items() if base["task"].get(key) == value]
        assert same == []
