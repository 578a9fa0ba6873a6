"""Official files in, weights files out: the same answers, and a line of its own for every kind of wrong file."""

import argparse
import os

import numpy as np
import pytest
import torch

from cascadepose import models
from cascadepose.cli import main
from cascadepose.conversion import load_official, translate
from cascadepose.errors import InputError
from cascadepose.hub import load_model, weights_info
from cascadepose.models import upstream
from cascadepose.official import OFFICIAL_FILES, official_file

WRAPPERS = {  # as each official code saves
    "poseformer": lambda t: {"model_pos": in_module(t), "random_state": np.random.RandomState(1), "lr": np.float64(1)},
    "strided": dict,
    "strided-refine": dict,
    "detr": lambda t: {"model": t, "args": argparse.Namespace(lr=1e-4)},
    "prtr": lambda t: {"best_state_dict": t, "state_dict": in_module(t), "perf": np.float64(0.7)},
}
CASES = {"poseformer_27f": "poseformer", "strided_27f": "strided", "strided_refine": "strided-refine"}
LARGE = {"detr_r50": "detr", "prtr_two_stage_r50_384x288": "prtr"}


def in_module(tensors):
    return {f"module.{name}": tensor for name, tensor in tensors.items()}


def official(parity, oracle_folder, name):
    """Tensors and inputs of a case."""
    case, arrays = parity.load_case(oracle_folder(name), name)
    inputs = {key.removeprefix("in."): value.numpy() for key, value in arrays.items() if key.startswith("in.")}
    return parity.official_state_dict(case), inputs


def save(family, tensors, path):
    torch.save(WRAPPERS[family](tensors), path)
    return path


@pytest.mark.parametrize("name", [*CASES, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE)])
def test_round_trip(name, parity, oracle_folder, tmp_path, capsys):
    """Official file -> command -> weights file -> model: bit for bit what the official file gives."""
    family = (CASES | LARGE)[name]
    tensors, inputs = official(parity, oracle_folder, name)
    path = save(family, tensors, tmp_path / "official.pth")
    out = tmp_path / "new" / "ours.safetensors"
    assert main(["convert", str(path), "--from", family.split("-")[0], "--out", str(out)]) == 0
    assert str(out) in capsys.readouterr().out
    info = weights_info(out)
    assert info.kind == upstream.family(family).kind and info.info["family"] == family
    run = upstream.family(family).run
    inputs = {key: x[..., :96, :96] if key.startswith("im") else x for key, x in inputs.items()}  # a part will do
    with torch.inference_mode():
        converted = run(load_model(out), inputs)
        direct = run(load_model(family, checkpoint=path), inputs)
    for key, answer in direct.items():
        assert torch.equal(converted[key], answer), key


@pytest.fixture
def poseformer():
    """A small PoseFormer under its official names, which are ours."""
    torch.manual_seed(0)
    return models.build("poseformer", num_frames=5, embed_dim_ratio=8, depth=3).state_dict()


def refused(match, *arguments, **keywords):
    with pytest.raises(InputError, match=match) as caught:
        translate(*arguments, **keywords).build()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_wrong_files_have_each_their_own_line(poseformer, tmp_path):
    """Of another family, cut off, and with three tensors missing."""
    path = save("poseformer", poseformer, tmp_path / "file.bin")
    other = refused("another family, poseformer and not motionbert", path, "motionbert")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    cut = refused("cut off or damaged", path, "poseformer")
    for name in ("blocks.1.norm1.weight", "blocks.2.mlp.fc2.bias", "Spatial_norm.bias"):
        del poseformer[name]
    lacking = refused("3 tensors missing", save("poseformer", poseformer, path), "poseformer")
    assert "blocks.1.norm1.weight" in lacking
    assert len({other, cut, lacking}) == 3 and all(str(path) in line for line in (other, cut, lacking))


def test_files_of_no_family(tmp_path):
    path = tmp_path / "file.pth"
    torch.save({"conv.weight": torch.ones(2)}, path)
    refused(r"its 1 tensors \(conv.weight, ...\) are not those of detr; give", path, "detr")
    refused("are not those of detr or prtr or", path)
    refused("no upstream family is named 'posefromer'", path, "posefromer")


def test_left_over_tensors_are_named(poseformer, tmp_path):
    poseformer["blocks.1.extra"] = torch.ones(1)
    refused(r"1 tensors unexpected \(blocks.1.extra\)", save("poseformer", poseformer, tmp_path / "file.pth"))


def test_hints_that_do_not_fit(poseformer, tmp_path):
    path = save("poseformer", poseformer, tmp_path / "file.pth")
    refused("no poseformer can be built from its shapes", path, hints={"num_heads": 7})
    assert translate(path, hints={"num_heads": 4}).config["num_heads"] == 4


class Attack:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_a_malicious_file_is_one_line_and_creates_nothing(poseformer, tmp_path, capsys):
    path = tmp_path / "file.pth"
    torch.save({"model_pos": poseformer, "args": Attack(tmp_path / "created")}, path)
    assert main(["convert", str(path), "--from", "poseformer"]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ") and message.count("\n") == 1 and "posix.system" in message
    with pytest.raises(InputError, match="not loaded for safety"):
        load_model("poseformer", checkpoint=path)
    assert [file.name for file in tmp_path.iterdir()] == ["file.pth"]


def test_command(parity, oracle_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    tensors, _ = official(parity, oracle_folder, "strided_refine")
    save("strided-refine", tensors, tmp_path / "refine.pth")
    assert main(["convert", "refine.pth"]) == 0
    assert (tmp_path / "refine.safetensors").exists()
    printed = capsys.readouterr().out
    assert "strided-refine, 4 tensors at the top" in printed and "licence unknown" in printed
    assert main(["convert", "refine.pth", "--out", "refine.pth"]) == 2
    assert "is the input" in capsys.readouterr().err
    assert main(["convert", "none.pth", "--from", "detr"]) == 2
    assert capsys.readouterr().err == "error: none.pth: no such checkpoint; check the path\n"
    for arguments in (["convert"], ["convert", "x", "--hint", "no equals sign"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2


def test_hints_of_the_command_line(parity, oracle_folder, tmp_path):
    tensors, _ = official(parity, oracle_folder, "strided_27f")
    path = save("strided", tensors, tmp_path / "file.pth")
    assert main(["convert", str(path), "--hint", "stride_num=[9, 3, 1]", "--hint", "h=4"]) == 0
    config = weights_info(tmp_path / "file.safetensors").config
    assert (config["strides"], config["num_heads"]) == ([9, 3, 1], 4)


def test_load_model_by_family_and_by_known_name(poseformer, tmp_path):
    path = save("poseformer", poseformer, tmp_path / "file.bin")
    model = load_model("poseformer", checkpoint=path)
    assert not model.training and model.num_frames == 5
    assert load_model("poseformer-81", checkpoint=path, kind="poseformer").num_frames == 5
    assert load_model("poseformer", checkpoint=path, hints={"num_heads": 4}).config["num_heads"] == 4
    assert torch.equal(load_official(path).head[1].weight, model.head[1].weight)
    with pytest.raises(InputError, match="of kind 'poseformer', but 'prtr' is needed"):
        load_model("poseformer", checkpoint=path, kind="prtr")
    with pytest.raises(InputError, match="an official model, whose weights are not in this package"):
        load_model("poseformer-81")


def test_a_weights_file_may_give_the_architecture(parity, oracle_folder, tmp_path):
    """Official tensors fill a model that was converted before; those of another size do not."""
    tensors, _ = official(parity, oracle_folder, "strided_refine")
    path = save("strided-refine", tensors, tmp_path / "refine.pth")
    main(["convert", str(path)])
    other = save("strided-refine", {name: 2 * tensor for name, tensor in tensors.items()}, tmp_path / "other.pth")
    model = load_model(tmp_path / "refine.safetensors", checkpoint=other)
    assert torch.equal(model.fc1.weight, 2 * tensors["post_refine.0.weight"])
    small = {**tensors, "post_refine.0.weight": torch.ones(64, 102), "post_refine.0.bias": torch.ones(64)}
    save("strided-refine", small, other)
    with pytest.raises(InputError, match=r"fc1.weight is \[64, 102\], expected \[1024, 102\]"):
        load_model(tmp_path / "refine.safetensors", checkpoint=other)


def test_a_known_file_brings_its_facts(poseformer, tmp_path):
    """By its published name: hints, origin, licence."""
    path = save("poseformer", poseformer, tmp_path / "detected81f.bin")
    assert main(["convert", str(path), "--from", "poseformer"]) == 0
    info = weights_info(tmp_path / "detected81f.safetensors")
    assert (info.licence, info.info["official"]) == ("none stated", "poseformer-81")
    assert len(info.info["source_sha256"]) == 64


def test_table_of_official_files(repository):
    """One row a file, every family among the known ones, every row in the document."""
    document = (repository / "docs" / "checkpoints.md").read_text("utf-8")
    assert len({known.name for known in OFFICIAL_FILES}) == len(OFFICIAL_FILES)
    for known in OFFICIAL_FILES:
        assert known.family in upstream.FAMILIES and known.origin.startswith("https://") and known.licence
        assert known.name not in upstream.FAMILIES
        assert official_file(known.name) is known
        assert f"`{known.name}`" in document and known.file in document, known.name
    assert official_file("detr-r50-dc5-f0fb7ef5.pth").hints == {"dilation": True}
    assert official_file("nothing.pth") is None
