"""The doctor finds what is there, and what is not, and says so in lines and in JSON."""

import json
from importlib import metadata

import pytest

from cascadepose import doctor, hub
from cascadepose.benchmark import stages
from cascadepose.cli import main
from cascadepose.doctor import PARTS, Finding, examine, report
from cascadepose.errors import InputError


@pytest.fixture
def quick(monkeypatch):
    """Two frames, and one round a stage."""
    monkeypatch.setattr(stages, "FRAMES", 2)
    monkeypatch.setattr(stages, "SECONDS", 0.0)


def test_every_part_in_order(quick):
    findings = list(examine("cpu"))
    parts = [finding.part for finding in findings]
    assert sorted(set(parts), key=parts.index) == list(PARTS) and parts == sorted(parts, key=PARTS.index)
    found = {finding.name: finding for finding in findings}
    assert found["torch"].value == metadata.version("torch") and found["chosen"].value == "cpu"
    assert "h264" in found["read"].value and found["write"].part == "speed"
    names = {finding.name for finding in findings if finding.part == "speed"}
    assert names == {"write", "decode", "detect", "keypoints", "lift", "video"}
    if {"prtr-mobilenetv2-small-320x256", "dstformer-small"} <= {model.name for model in hub.list_models()}:
        assert [finding.problem for finding in findings if finding.problem] == []
        assert all("ms a frame" in finding.value for finding in findings if finding.part == "speed")


def test_what_is_missing_has_a_remedy(monkeypatch, tmp_path):
    def version(name: str) -> str:
        if name in ("timm", "onnxruntime"):
            raise metadata.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(doctor.metadata, "version", version)
    monkeypatch.setattr(doctor, "DECODERS", ("mpeg4",))
    monkeypatch.setattr(hub, "PACKAGED", tmp_path)
    problems = [finding.problem for finding in examine("cpu", speed=False) if finding.problem]
    assert problems[0] == "timm is not installed: pip install timm"
    assert f"no weights in {tmp_path}" in problems[1] and "H.264 cannot be read" in problems[2] and len(problems) == 3
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    assert [finding.name for finding in doctor.weights() if "broken.safetensors" in finding.problem] == ["packaged"]


def test_a_stage_that_fails_does_not_stop_the_others(monkeypatch, quick):
    def broken(place, clip):
        raise RuntimeError("no luck")

    for name in stages.STAGES:
        monkeypatch.setitem(stages.STAGES, name, (lambda place, clip: (lambda: None, 1), ""))
    monkeypatch.setitem(stages.STAGES, "detect", (broken, ""))
    found = {finding.name: finding for finding in doctor.stages("cpu")}
    assert found["detect"] == Finding("speed", "detect", "fails", "detect does not work: RuntimeError: no luck")
    assert len(found) == 6 and not any(finding.problem for name, finding in found.items() if name != "detect")


def test_unknown_device():
    with pytest.raises(InputError, match="abacus"):
        list(examine("abacus"))


def test_command(monkeypatch, capsys):
    findings = [Finding("versions", "python", "3"), Finding("codecs", "read", "none", "no codec: install one")]
    given = []
    monkeypatch.setattr(doctor, "examine", lambda device, speed: given.append((device, speed)) or iter(findings))
    assert main(["doctor", "--device", "cpu", "--no-speed"]) == 2 and given == [("cpu", False)]
    captured = capsys.readouterr()
    assert captured.err == "problem: no codec: install one\n" and captured.out.endswith("1 problem\n")
    assert report(findings).splitlines() == ["versions", f"  {'python':<24}3", "codecs", f"  {'read':<24}none"]
    findings.pop()
    assert main(["doctor", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content == {
        "findings": [{"part": "versions", "name": "python", "value": "3", "problem": ""}],
        "well": True,
    }
    assert main(["doctor"]) == 0 and capsys.readouterr().out.endswith("all is well\n")
