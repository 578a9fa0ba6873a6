"""Strided Transformer and its refine module: official files and outputs."""

import pytest
import torch

from cascadepose import models
from cascadepose.errors import InputError
from cascadepose.hub import load_model, save_model
from cascadepose.models.refine import on_rays
from cascadepose.models.upstream import family

CASES = [
    pytest.param("strided_27f", "strided", 4_014_438, id="27"),
    pytest.param("strided_351f", "strided", 4_346_214, id="351"),
    pytest.param("strided_refine", "strided-refine", 140_322, id="refine"),
]


@pytest.mark.parametrize("name, form, parameters", CASES)
def test_official_file_gives_the_official_answer(name, form, parameters, oracle, parity, tmp_path):
    """Official layout -> ours -> file -> model: the sizes, then every output."""
    case, arrays = oracle(name)
    upstream, official = family(form), parity.official_state_dict(case)
    assert upstream.recognises(official)
    config, tensors = upstream.translate(official, case["config"])
    model = models.build(upstream.kind, **config)
    assert sum(p.numel() for p in model.parameters()) == parameters == case["params"]
    model.load_state_dict(tensors, strict=True)
    save_model(model, tmp_path / "model.safetensors", upstream.kind, dtype=torch.float32)
    model = load_model(tmp_path / "model.safetensors", kind=upstream.kind)
    with torch.no_grad():
        answers = upstream.run(model, {k[3:]: v.numpy() for k, v in arrays.items() if k.startswith("in.")})
    assert {f"out.{key}" for key in answers} == {key for key in arrays if key.startswith("out.")}
    for key, answer in answers.items():
        torch.testing.assert_close(answer, arrays[f"out.{key}"], atol=1e-4, rtol=0)


def test_published_size_of_81_frames():
    model = models.build("strided", num_frames=81, strides=[9, 3, 3])
    assert sum(p.numel() for p in model.parameters()) == 4_069_734


def test_strides_of_other_lengths_are_asked_for(oracle, parity):
    """What a hint says counts; without one, only the released lengths are known."""
    case, _ = oracle("strided_27f")
    official = parity.official_state_dict(case)
    translate = family("strided").translate
    assert translate(official, {})[0]["strides"] == [3, 3, 3]
    assert translate(official, {"stride_num": "9, 3, 1"})[0]["strides"] == [9, 3, 1]
    with pytest.raises(InputError, match="3 strided layers"):
        translate(official, {"stride_num": [3, 9]})
    official["Transformer.pos_embedding"] = torch.zeros(1, 81, 256)
    with pytest.raises(InputError, match="hint"):
        translate(official, {})


def test_refine_reads_the_true_depth_of_the_root(oracle):
    """The plain word: a wrong root depth changes the re-projection, so the module needs the truth."""
    _, arrays = oracle("strided_refine")
    keypoints, pred, truth, camera = (arrays[f"in.{name}"] for name in ("uv", "pred", "gt", "cam"))
    rays = on_rays(keypoints, pred, truth[..., :1, :], camera)
    moved = on_rays(keypoints, pred, truth[..., :1, :] * 1.1, camera)
    assert (moved - rays).abs().max() > 0.01
    assert torch.equal(rays[..., 0, :], torch.zeros_like(rays[..., 0, :]))
