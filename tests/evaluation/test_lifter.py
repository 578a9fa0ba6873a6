"""The lifter evaluation and its tool on a synthetic motion."""

import json

import numpy as np
import pytest
import torch

from cascadepose import hub, models
from cascadepose.cli import main
from cascadepose.errors import InputError
from cascadepose.evaluation.lifter import evaluate_lifter


@pytest.fixture
def motion(tmp_path, rng):
    """An npz with two sequences of random bones that sway."""
    base = rng.normal(0, 0.3, (1, 17, 3)) + np.array([0, 1, 0])
    sway = 0.1 * np.sin(np.arange(60)[:, None, None] / 10 + rng.uniform(0, 6, (1, 17, 3)))
    path = tmp_path / "motion.npz"
    np.savez(path, one=(base + sway).astype(np.float32), two=(base - sway[:13]).astype(np.float32))
    return path


@pytest.fixture
def lifter():
    torch.manual_seed(0)
    settings = {"dim": 16, "depth": 1, "num_heads": 2, "dim_rep": 16, "maxlen": 9, "frame_rate": 25.0}
    return models.build("dstformer", mean_pose=np.full((17, 3), 0.1).tolist(), **settings)


def test_result_names_its_protocol(motion, lifter):
    sequences = dict(np.load(motion))
    result = evaluate_lifter(lifter, sequences, noise="detector", seed=3, cameras=2)
    assert set(result["lifter"]) == set(result["mean_pose"]) == {"MPJPE", "P-MPJPE", "N-MPJPE", "MPJVE"}
    protocol = result["protocol"]
    assert (protocol["sequences"], protocol["frames"]) == (2, 2 * (30 + 7))
    assert protocol["2d_source"].startswith("detector")
    assert {"body", "cameras", "averaging", "flip_test", "video_rate_hz", "lifter_rate_hz"} <= protocol.keys()
    assert evaluate_lifter(lifter, sequences, noise="detector", seed=3, cameras=2) == result
    assert evaluate_lifter(lifter, sequences, noise="clean", seed=3)["lifter"] != result["lifter"]
    with pytest.raises(InputError, match="detector"):
        evaluate_lifter(lifter, sequences, noise="loud")


def evaluate(arguments):
    """The exit status of `cascadepose eval lifter` with these arguments."""
    return main(["eval", "lifter", *map(str, arguments)])


def test_command(motion, lifter, tmp_path, capsys):
    weights = hub.save_model(lifter, tmp_path / "lifter.safetensors", "dstformer")
    target = tmp_path / "out" / "result.json"
    arguments = ["--motion", str(motion), "--weights", str(weights), "--noise", "clean", "--json", str(target)]
    assert evaluate(arguments) == 0
    result = json.loads(target.read_text())
    printed = capsys.readouterr().out
    assert f"{result['lifter']['MPJPE']:.2f}" in printed
    assert "averaging" in printed
    assert result["protocol"]["motion"] == "motion.npz"


def test_command_takes_any_lifter_and_nothing_else(motion, tmp_path, capsys):
    sizes = {"num_frames": 9, "embed_dim_ratio": 4, "depth": 1, "num_heads": 2}
    arguments = ["--motion", str(motion), "--cameras", "1", "--no-flip-test", "--weights"]
    for kind, status in (("poseformer", 0), ("strided_refine", 2)):
        model = models.build(kind, **(sizes if status == 0 else {}))
        weights = hub.save_model(model, tmp_path / f"{kind}.safetensors", kind)
        assert evaluate([*arguments, str(weights)]) == status
    assert "holds no lifter" in capsys.readouterr().err


@pytest.mark.parametrize("option, value", [("--motion", "nowhere.npz"), ("--weights", "nothing")])
def test_command_refuses_bad_input_in_one_line(option, value, motion, lifter, tmp_path, capsys):
    weights = hub.save_model(lifter, tmp_path / "lifter.safetensors", "dstformer")
    arguments = {"--motion": str(motion), "--weights": str(weights)} | {option: value}
    assert evaluate([part for pair in arguments.items() for part in pair]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert value in error
