"""Reading other people's files: every container, and no code of theirs."""

import argparse
import os
import pickle

import numpy as np
import pytest
import torch

from cascadepose.checkpoints import read_checkpoint
from cascadepose.errors import InputError


@pytest.fixture
def tensors():
    return {"a.weight": torch.arange(6.0).view(2, 3), "b": torch.ones(2)}


def in_module(tensors):
    return {f"module.{name}": tensor for name, tensor in tensors.items()}


def read(content, path, legacy=False):
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return read_checkpoint(path)


CONTAINERS = {  # as the official codes write them: content by tensors -> where they are
    "raw": (lambda t: t, ""),
    "detr": (lambda t: {"model": t}, "model"),
    "detr training": (lambda t: {"model": t, "args": argparse.Namespace(lr=1e-4, masks=[False])}, "model"),
    "videopose3d": (
        lambda t: {"epoch": 80, "lr": 1e-3, "random_state": np.random.RandomState(1), "optimizer": {}, "model_pos": t},
        "model_pos",
    ),
    "motionbert": (lambda t: {"min_loss": np.float64(37.2), "model_pos": in_module(t)}, "model_pos"),
    "prtr training": (
        lambda t: {"state_dict": in_module(t), "best_state_dict": {k: v + 1 for k, v in t.items()}, "perf": np.ones(3)},
        "best_state_dict",
    ),
    "lightning": (lambda t: {"state_dict": t, "epoch": 3}, "state_dict"),
    "nested": (lambda t: {"state_dict": {"model": in_module(t)}}, "state_dict.model"),
}


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", CONTAINERS)
def test_containers(name, legacy, tensors, tmp_path):
    wrap, container = CONTAINERS[name]
    found = read(wrap(tensors), tmp_path / "file.pth", legacy)
    assert found.container == container
    assert found.tensors.keys() == tensors.keys()
    offset = float(container == "best_state_dict")
    assert all(torch.equal(found.tensors[key], tensors[key] + offset) for key in tensors)


def test_what_is_left_out_is_named(tensors, tmp_path):
    found = read({"epoch": 1, "model": tensors, "args": argparse.Namespace(a=1)}, tmp_path / "file.pth")
    assert found.left_out == ("epoch", "args")


def test_parameters_come_back_as_plain_tensors(tmp_path):
    found = read({"a": torch.nn.Parameter(torch.ones(2))}, tmp_path / "file.pth")
    assert type(found.tensors["a"]) is torch.Tensor and not found.tensors["a"].requires_grad


def test_a_name_that_only_begins_like_the_wrapper_stays(tmp_path):
    found = read({"module.a": torch.ones(1), "b": torch.ones(1)}, tmp_path / "file.pth")
    assert list(found.tensors) == ["module.a", "b"]


class Call:
    """Pickles as a call that would be made on loading."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class Mark:
    """Pickles as an object of this module, whose state would be set on loading."""

    def __init__(self):
        self.path = "x"


@pytest.fixture
def marker(tmp_path):
    """A path that no load may create."""
    path = tmp_path / "created"
    yield path
    assert not path.exists()


def attacks(marker):
    return {
        "system": Call(os.system, f"touch {marker}"),
        "open": Call(open, str(marker), "w"),
        "eval": Call(eval, f"open({str(marker)!r}, 'w')"),
        "memmap": Call(np.memmap, str(marker), "uint8", "w+", 0, (4,)),
        "save": Call(torch.save, {}, str(marker)),
        "object": Mark(),
    }


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", ["system", "open", "eval", "memmap", "save", "object"])
def test_a_malicious_file_is_refused_and_creates_nothing(name, legacy, wrapped, marker, tensors, tmp_path):
    path = tmp_path / "file.pth"
    attack = attacks(marker)[name]
    content = {"model": tensors, "args": argparse.Namespace(lr=attack)} if wrapped else attack
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    before = sorted(file.name for file in tmp_path.iterdir())
    with pytest.raises(InputError, match="not loaded for safety") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert sorted(file.name for file in tmp_path.iterdir()) == before


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_bare_pickle_is_refused(protocol, marker, tmp_path):
    path = tmp_path / "file.pkl"
    path.write_bytes(pickle.dumps({"model": Call(os.system, f"touch {marker}")}, protocol))
    with pytest.raises(InputError, match="not loaded for safety"):
        read_checkpoint(path)


def test_allowed_names_do_not_stay_allowed(tensors, tmp_path):
    path = tmp_path / "file.pth"
    read({"model": tensors, "args": argparse.Namespace(a=1)}, path)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9, 0.999])
def test_truncated(share, legacy, tensors, tmp_path):
    path = tmp_path / "file.pth"
    torch.save({"model": tensors}, path, _use_new_zipfile_serialization=not legacy)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match="cut off or damaged") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [[1, 2], {}, {"model": {}}, {"model": [torch.ones(1)]}, torch.ones(2), {"lr": 1.0}])
def test_files_without_a_table_of_tensors(content, tmp_path):
    with pytest.raises(InputError, match="no table of named tensors"):
        read(content, tmp_path / "file.pth")


def test_files_that_are_something_else(tmp_path):
    path = tmp_path / "file.pth"
    for content, words in {
        b"": "empty",
        b"<!DOCTYPE html><p>Sign in": "a web page",
        b"text, " * 9: "not a safe",
    }.items():
        path.write_bytes(content)
        with pytest.raises(InputError, match=words):
            read_checkpoint(path)
    with pytest.raises(InputError, match="no such checkpoint"):
        read_checkpoint(tmp_path / "none.pth")
