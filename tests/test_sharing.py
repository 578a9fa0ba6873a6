"""Models to folders and repositories and back: the hub here is a server of this test."""

import base64
import hashlib
import json
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
import yaml

from cascadepose.errors import InputError
from cascadepose.hub import list_models, load_model
from cascadepose.models.lifters.dstformer import DSTformer
from cascadepose.models.lifters.tcn import TCN
from cascadepose.sharing import model_card

FACTS = {"licence": "CC0-1.0", "data": "none", "scores": {"MPJPE": 1.5}}


def small() -> DSTformer:
    torch.manual_seed(0)
    return DSTformer(dim=16, depth=1, num_heads=2, maxlen=9)


def same(one: torch.nn.Module, two: torch.nn.Module) -> bool:
    """Equal as files keep them."""
    pairs = zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    return all(torch.equal(a.half(), b.half()) for a, b in pairs)


def test_a_folder_and_back(tmp_path):
    model = small()
    folder = model.save_pretrained(tmp_path / "shared", FACTS)
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "model.safetensors"]
    found = DSTformer.from_pretrained(folder)
    assert same(found, model)
    assert not found.training
    assert {key: found.card[key] for key in FACTS} == FACTS
    again = found.save_pretrained(tmp_path / "again", {"data": "some"})  # facts travel on, and can be corrected
    assert DSTformer.from_pretrained(again).card["scores"] == FACTS["scores"]
    assert DSTformer.from_pretrained(again).card["data"] == "some"


def test_packaged_names_and_other_classes(tmp_path):
    (name,) = [info.name for info in list_models() if info.kind == "dstformer"][:1]
    assert DSTformer.from_pretrained(name).card["licence"]
    with pytest.raises(InputError, match="holds a DSTformer, no TCN; use DSTformer"):
        TCN.from_pretrained(name)
    with pytest.raises(InputError, match="no weights are named"):
        TCN.from_pretrained("nothing")


def test_the_card_has_the_header_that_the_hub_reads():
    model = small()
    text = model_card(model, FACTS, "owner/repo")
    _, header, body = text.split("---\n", 2)
    assert yaml.safe_load(header)["license"] == "cc0-1.0"
    assert 'model_class("dstformer").from_pretrained("owner/repo", allow_download=True)' in body
    assert "1.5" in body
    assert "dim_rep" in body
    for licence in ("Apache-2.0 for the code; the data keep their own terms", None):
        facts = FACTS | {"licence": licence} if licence else {}
        assert yaml.safe_load(model_card(model, facts).split("---\n")[1])["license"] == "other"


class Hub(BaseHTTPRequestHandler):
    """What the hub's client asks when it makes a repository, commits small files and fetches them."""

    def __init__(self, files, refuse, *args):
        self.files, self.refuse = files, refuse
        super().__init__(*args)

    def answer(self, content: dict | bytes, status: int = 200, headers: dict | None = None, body: bool = True):
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def do_POST(self):
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        address = f"http://{self.headers['Host']}/owner/repo"
        if self.refuse or self.headers.get("Authorization") != "Bearer hf_secret":
            self.answer({"error": "no writing here"}, 403)
        elif self.path == "/api/repos/create":
            self.answer({"url": address, "name": "owner/repo", "id": "1"})
        elif self.path == "/api/validate-yaml":
            self.answer({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            wanted = [file["path"] for file in json.loads(sent)["files"]]
            self.answer({"files": [{"path": p, "uploadMode": "regular", "shouldIgnore": False} for p in wanted]})
        elif "/commit/" in self.path:
            for line in map(json.loads, sent.splitlines()):
                if line["key"] == "file":
                    self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            self.answer({"success": True, "commitUrl": f"{address}/commit/{'a' * 40}", "commitOid": "a" * 40})
        else:
            self.answer({"error": self.path}, 404)

    def do_GET(self, body: bool = True):
        content = self.files.get(self.path.split("?")[0].removeprefix("/owner/repo/resolve/main/"))
        if content is None:
            self.answer({}, 404, {"X-Error-Code": "EntryNotFound"}, body)
        else:
            digest = hashlib.sha256(content).hexdigest()
            self.answer(content, 200, {"X-Repo-Commit": "a" * 40, "ETag": f'"{digest}"'}, body)

    def do_HEAD(self):
        self.do_GET(body=False)

    def log_message(self, *args):
        pass


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub on this machine and an empty cache for it: start(refuse) -> the files it holds."""
    from huggingface_hub import constants

    servers = []

    def start(refuse: bool = False) -> dict[str, bytes]:
        files: dict[str, bytes] = {}
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, files, refuse))
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        return files

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_the_hub_and_back(hub):
    files, model = hub(), small()
    address = model.push_to_hub("owner/repo", FACTS, token="hf_secret")
    assert address.endswith("/owner/repo/commit/" + "a" * 40)
    assert files.keys() == {"README.md", "model.safetensors"}
    assert "owner/repo" in files["README.md"].decode()
    with pytest.raises(InputError, match="allow the download"):
        DSTformer.from_pretrained("owner/repo")
    assert same(DSTformer.from_pretrained("owner/repo", allow_download=True), model)
    assert same(DSTformer.from_pretrained("owner/repo"), model)  # now from the cache
    assert same(load_model("hf://owner/repo"), model)


@pytest.mark.parametrize("token, refuse", [("hf_other", False), ("hf_secret", True)])
def test_a_hub_that_refuses(hub, token, refuse):
    files = hub(refuse)
    with pytest.raises(InputError, match=r"owner/repo: the hub did not take it .*hf auth login") as caught:
        small().push_to_hub("owner/repo", token=token)
    assert "\n" not in str(caught.value)
    assert not files


def test_without_a_connection(monkeypatch):
    from huggingface_hub import constants

    with pytest.raises(InputError, match="the hub did not take it"):
        small().push_to_hub("not a name", token="hf_secret")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="the hub did not take it"):
        small().push_to_hub("owner/repo", token="hf_secret")
