"""Weights files: what is written comes back, and every kind of wrong file has its own line."""

import hashlib
import json
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from cascadepose import hub, models
from cascadepose.errors import InputError


class Toy(nn.Module):
    def __init__(self, width: int, norm: bool = True):
        super().__init__()
        self.config = {"width": width, "norm": norm}
        self.linear = nn.Linear(3, width)
        self.norm = nn.BatchNorm1d(width) if norm else nn.Identity()

    def forward(self, x):
        return self.norm(self.linear(x))


def build(kind, **config):
    if kind != "toy":
        raise ValueError(f"unknown model kind {kind}")
    return Toy(**config)


@pytest.fixture(autouse=True)
def toy_models(monkeypatch):
    monkeypatch.setattr(models, "build", build)


@pytest.fixture
def packaged(tmp_path, monkeypatch):
    """A packaged folder of its own with one model."""
    folder = tmp_path / "packaged"
    monkeypatch.setattr(hub, "PACKAGED", folder)
    hub.save_model(Toy(4), folder / "toy-small.safetensors", "toy", {"licence": "Apache-2.0", "data": ["none"]})
    return folder


def fails(match, *args, **kwargs):
    with pytest.raises(InputError, match=match) as caught:
        hub.load_model(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_round_trip(tmp_path):
    torch.manual_seed(0)
    model = Toy(5)
    model.norm.running_var.fill_(1.23456789e-6)
    path = hub.save_model(model, tmp_path / "new" / "toy.safetensors", "toy", {"recipe": "none"})
    loaded = hub.load_model(path)
    assert not loaded.training
    assert all(tensor.dtype in (torch.float32, torch.int64) for tensor in loaded.state_dict().values())
    assert torch.equal(loaded.linear.weight, model.linear.weight.half().float())
    assert torch.equal(loaded.norm.running_var, model.norm.running_var)
    assert [file.name for file in path.parent.iterdir()] == ["toy.safetensors"]


def test_full_precision_is_exact(tmp_path):
    model = Toy(5)
    loaded = hub.load_model(hub.save_model(model, tmp_path / "toy.safetensors", "toy", dtype=torch.float32))
    assert torch.equal(loaded.linear.weight, model.linear.weight)


def test_list_models(packaged):
    (info,) = hub.list_models()
    assert (info.name, info.origin, info.kind, info.licence) == ("toy-small", "packaged", "toy", "Apache-2.0")
    assert info.config == {"width": 4, "norm": True}
    assert info.info["data"] == ["none"]
    assert info.info["version"]
    assert info.sha256 == hashlib.sha256((packaged / "toy-small.safetensors").read_bytes()).hexdigest()


def test_packaged_name_and_folder(packaged):
    assert hub.load_model("toy-small", device="cpu").config["width"] == 4
    assert hub.load_model(packaged).config["width"] == 4
    assert hub.weights_info(packaged).origin == "file"


def test_the_weights_in_the_package_are_described():
    for info in hub.list_models():
        assert info.licence != "unknown", info.name
        assert {"data", "recipe", "scores"} <= set(info.info), info.name


def test_unknown_name(packaged):
    message = fails("no weights are named", "toy-smal")
    assert "did you mean 'toy-small'?" in message
    assert "toy-small" in fails("packaged models", "zzz")


@pytest.mark.parametrize("name", ["there/is/none.safetensors", "none.safetensors", "runs/none.pt", "/nowhere/weights"])
def test_missing_file(packaged, name):
    fails("no such file", name)


def test_files_that_are_not_weights(packaged, tmp_path):
    good = (packaged / "toy-small.safetensors").read_bytes()
    contents = {
        "the file is empty": b"",
        "cut off or damaged": good[: len(good) // 2],
        "cut off or damaged ": good[:40],
        "not a safetensors file": b"<html>Page not found, and some more text</html>",
        "Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 3\n",
    }
    for match, content in contents.items():
        path = tmp_path / "bad.safetensors"
        path.write_bytes(content)
        assert str(path) in fails(match, path)
    torch.save(Toy(4).state_dict(), path)
    fails("a PyTorch checkpoint", path)
    (tmp_path / "void").mkdir()
    fails("a folder with 0 .safetensors files", tmp_path / "void")


def test_foreign_and_future_headers(packaged, tmp_path):
    path, tensors = tmp_path / "x.safetensors", Toy(4).state_dict()
    for match, metadata in {
        "of another project": None,
        "of another project ": {"format": "pt"},
        "update cascadepose": {"format": "cascadepose/9"},
        "header is damaged": {"format": hub.FORMAT, "kind": "toy", "config": "{"},
        "header is damaged ": {"format": hub.FORMAT, "config": "{}"},
        "unknown model kind": {"format": hub.FORMAT, "kind": "later", "config": "{}"},
        "update the package": {"format": hub.FORMAT, "kind": "toy", "config": '{"depth": 3}'},
    }.items():
        save_file(tensors, path, metadata)
        fails(match.strip(), path)


def write(path, tensors, config):
    save_file(tensors, path, {"format": hub.FORMAT, "kind": "toy", "config": json.dumps(config), "info": "{}"})
    return path


def test_tensors_that_do_not_fit(tmp_path):
    path, tensors = tmp_path / "x.safetensors", Toy(4).state_dict()
    fails(r"of another shape \(linear.weight is \[4, 3\], expected \[6, 3\], ", write(path, tensors, {"width": 6}))
    fails(r"5 tensors unexpected \(norm", write(path, tensors, {"width": 4, "norm": False}))
    fails(
        r"1 tensors missing \(linear.bias\)",
        write(path, {k: v for k, v in tensors.items() if k != "linear.bias"}, {"width": 4}),
    )
    tensors["linear.bias"][0] = torch.nan
    fails(r"1 tensors hold NaN or infinite values \(linear.bias\)", write(path, tensors, {"width": 4}))


def test_device_is_checked(packaged):
    fails("device 'abacus' cannot be used", "toy-small", device="abacus")
    assert hub.load_model("toy-small", device="auto")


def test_files_can_be_read_by_others(packaged):
    assert (packaged / "toy-small.safetensors").stat().st_mode & 0o444 == 0o444


def test_kind_is_checked(packaged):
    fails("of kind 'toy', but 'prtr' is needed", "toy-small", kind="prtr")
    assert hub.load_model("toy-small", kind="toy")


def test_values_beyond_float16_are_refused(tmp_path):
    model = Toy(4)
    model.linear.weight.data[0, 0] = 1e6
    with pytest.raises(InputError, match=r"linear\.weight holds values that are not finite"):
        hub.save_model(model, tmp_path / "x.safetensors", "toy")
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_full(tmp_path, monkeypatch):
    import safetensors.torch

    def full(*args, **kwargs):
        raise safetensors.SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(InputError, match="the disk is full"):
        hub.save_model(Toy(4), tmp_path / "x.safetensors", "toy")


@pytest.mark.parametrize(
    "wrap",
    [
        dict,
        lambda tensors: {"model": tensors},
        lambda tensors: {"model_pos": tensors, "lr": 0.1},
        lambda tensors: {"state_dict": {f"module.{name}": value for name, value in tensors.items()}, "epoch": 3},
    ],
)
def test_checkpoint_fills_a_named_architecture(packaged, tmp_path, wrap):
    model, path = Toy(4), tmp_path / "checkpoint.pth"
    torch.save(wrap(model.state_dict()), path)
    loaded = hub.load_model("toy-small", checkpoint=path)
    assert torch.equal(loaded.linear.weight, model.linear.weight)


def test_checkpoints_that_cannot_be_used(packaged, tmp_path):
    path = tmp_path / "checkpoint.pth"
    fails("no such checkpoint", "toy-small", checkpoint=path)
    torch.save(Toy(4), path)
    fails("not loaded for safety", "toy-small", checkpoint=path)
    torch.save([1, 2], path)
    fails("no table of named tensors", "toy-small", checkpoint=path)
    torch.save(Toy(7).state_dict(), path)
    fails("of another shape", "toy-small", checkpoint=path)
    path.write_bytes(path.read_bytes()[:300])
    fails("cannot be read", "toy-small", checkpoint=path)


class FakeHub(BaseHTTPRequestHandler):
    """Serves one file the way the hub does: HEAD with commit and ETag, then GET."""

    def __init__(self, content, *args):
        self.content = content
        super().__init__(*args)

    def do_HEAD(self, body=False):
        found = self.path.split("?")[0] == "/owner/repo/resolve/main/weights.safetensors"
        self.send_response(200 if found else 404)
        if found:
            self.send_header("X-Repo-Commit", "a" * 40)
            self.send_header("ETag", f'"{hashlib.sha256(self.content).hexdigest()}"')
        else:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("Content-Length", str(len(self.content) if found else 0))
        self.end_headers()
        if found and body:
            self.wfile.write(self.content)

    def do_GET(self):
        self.do_HEAD(body=True)

    def log_message(self, *args):
        pass


@pytest.fixture
def fake_hub(packaged, tmp_path, monkeypatch):
    """A hub on this machine, and an empty cache for it."""
    from huggingface_hub import constants

    content = (packaged / "toy-small.safetensors").read_bytes()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(FakeHub, content)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        yield server
        server.shutdown()


def test_hub_address(fake_hub):
    address = "hf://owner/repo/weights.safetensors"
    fails(r"not in the local hub cache; check the name, or allow the download", address)
    assert hub.load_model(address, allow_download=True).config["width"] == 4
    fake_hub.shutdown()  # from here on only the cache answers
    info = hub.weights_info(address)
    assert (info.origin, info.kind) == ("hub", "toy")
    assert hub.load_model("owner/repo/weights.safetensors@main").config["width"] == 4


def test_hub_file_that_does_not_exist(fake_hub):
    fails("the hub answered", "owner/repo", allow_download=True)
