"""Counted multiply-accumulates against counts by hand and published ones; the table of compared lifters."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from cascadepose import hub, models
from cascadepose.errors import InputError
from cascadepose.evaluation.comparison import markdown
from cascadepose.evaluation.cost import count_macs, lifter_cost, lifting_speed
from cascadepose.models.lifters.blocks import Attention

DSTFORMER = {"dim": 512, "depth": 5, "num_heads": 8, "dim_rep": 512, "maxlen": 243}
TINY = {"dim": 16, "depth": 1, "num_heads": 2, "dim_rep": 16, "maxlen": 9, "frame_rate": 25.0}


def test_layers_by_hand():
    assert count_macs(nn.Linear(6, 5), torch.zeros(3, 4, 6)) == 3 * 4 * 6 * 5
    assert count_macs(nn.Conv1d(4, 8, 3, stride=2), torch.zeros(2, 4, 9)) == 2 * 8 * 4 * 3 * 4
    assert count_macs(nn.Conv2d(4, 8, 3, padding=1, groups=2), torch.zeros(1, 4, 5, 6)) == 8 * 2 * 9 * 30
    length, dim = 7, 16
    assert count_macs(Attention(dim, 4), torch.zeros(2, length, dim)) == 2 * (4 * length * dim**2 + 2 * length**2 * dim)


@pytest.mark.parametrize(
    "kind, settings, shape, published",
    [  # measured on the official models; the published 11.0 GFLOPs of PRTR and 351.7 MFLOPs of PoseFormerV2 agree
        ("poseformerv2", {}, (1, 81, 17, 2), 0.178e9),
        ("poseformer", {"num_frames": 27}, (1, 27, 17, 2), 0.276e9),
        (
            "dstformer",
            {"dim": 512, "depth": 5, "num_heads": 8, "dim_rep": 512, "maxlen": 243},
            (1, 243, 17, 3),
            185.4e9,
        ),
        (
            "keypoint_estimator",
            {"backbone": {"name": "resnet50"}, "transformer": {"spread": False}, "crop_size": (384, 288)},
            (1, 3, 384, 288),
            11.05e9,
        ),
    ],
    ids=["poseformerv2", "poseformer", "dstformer", "prtr"],
)
def test_published_counts(kind, settings, shape, published):
    with torch.device("meta"):
        model = models.build(kind, **settings).eval()
        learned = [parameter.requires_grad for parameter in model.parameters()]
        macs = count_macs(model, torch.zeros(shape))
    assert macs == pytest.approx(published, rel=5e-3)
    assert [parameter.requires_grad for parameter in model.parameters()] == learned


def test_a_lifter_for_all_frames_divides_by_its_frames():
    every, middle = models.build("dstformer", **TINY), models.build("tcn", widths=[3, 3], dim=8, in_channels=3)
    plain = [lifter_cost(lifter, flip_test=False, num_frames=40) for lifter in (every, middle)]
    flipped = [lifter_cost(lifter, flip_test=True, num_frames=40) for lifter in (every, middle)]
    assert [cost.frames_answered for cost in plain] == [9, 1]
    assert plain[0].macs_per_frame * 9 == plain[0].macs_per_window
    assert plain[1].macs_per_frame == plain[1].macs_per_frame_as_run  # one window a frame
    assert plain[0].macs_per_frame_as_run == plain[0].macs_per_window * 9 / 40  # windows start every fourth frame
    for one, two in zip(plain, flipped, strict=True):
        assert two.macs_per_frame_as_run == 2 * one.macs_per_frame_as_run
        assert two.macs_per_frame == one.macs_per_frame


def test_speed_is_a_positive_number():
    lifter = models.build("dstformer", **TINY)
    speed = lifting_speed(lifter, num_frames=12, repeats=2)
    assert min(speed.frames_per_second, speed.frames_per_cpu_second) > 0
    with pytest.raises(InputError, match="above zero"):
        lifting_speed(lifter, num_frames=0)


@pytest.fixture
def tool(tool_main):
    return tool_main("compare_lifters")


def test_table(tool, tmp_path, rng, capsys):
    torch.manual_seed(0)
    motion = rng.normal(0, 0.3, (1, 17, 3)) + [0, 1, 0] + 0.1 * np.sin(np.arange(30)[:, None, None] / 9)
    np.savez(tmp_path / "motion.npz", one=motion.astype(np.float32))
    run = tmp_path / "small_run"
    run.mkdir()
    first = hub.save_model(models.build("dstformer", **TINY), run / "best.safetensors", "dstformer", {"step": 7})
    lifter = models.build("tcn", widths=[3, 3], dim=8, in_channels=3)
    second = hub.save_model(lifter, tmp_path / "b.safetensors", "tcn")
    target = tmp_path / "out" / "table.json"
    options = ["--motion", str(tmp_path / "motion.npz"), "--cameras", "1", "--frames", "20", "--repeats", "1"]
    assert tool([str(first), f"Baseline={second}", *options, "--json", str(target)]) == 0
    report, printed = json.loads(target.read_text()), capsys.readouterr().out
    assert [row["name"] for row in report["rows"]] == ["small_run", "Baseline"]
    assert report["rows"][0]["steps"] == 7
    assert printed.startswith(markdown(report["rows"]))
    assert len({line.count("|") for line in printed.splitlines()[:4]}) == 1
    assert {"2d_source", "flip_test", "averaging", "motion"} <= report["protocol"].keys()
    assert {"device", "threads", "macs", "frames_per_second"} <= report["timing"].keys()
    assert tool([str(tmp_path / "none.safetensors"), *options]) == 2
    assert "none.safetensors" in capsys.readouterr().err
