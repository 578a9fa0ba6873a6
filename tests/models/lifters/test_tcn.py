"""Temporal convolutions: the two forms agree, the causal one does not look ahead, official layouts fit."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from cascadepose import models
from cascadepose.errors import InputError
from cascadepose.hub import load_model, save_model
from cascadepose.models.lifters.window import lift_sequence
from cascadepose.models.upstream import family

SMALL = {"widths": [3, 5, 3], "dim": 12}


def make(**settings):
    """A model whose norms do something."""
    torch.manual_seed(0)
    model = models.build("tcn", **(SMALL | settings))
    model(torch.randn(4, model.num_frames + 3, 17, 2))
    return model.eval()


def test_published_sizes():
    sizes = {27: 3, 81: 4, 243: 5}
    for frames, layers in sizes.items():
        with torch.device("meta"):
            model = models.build("tcn", widths=[3] * layers)
        assert model.num_frames == frames
    assert sum(p.numel() for p in model.parameters()) == 16_952_371


@pytest.mark.parametrize("causal", [False, True])
def test_strided_form_is_the_dilated_one(causal):
    """One window answers as the same window inside a longer sequence does."""
    model = make(causal=causal)
    x = torch.randn(2, 49, 17, 2)
    dilated = model(x)
    assert dilated.shape == (2, 5, 17, 3)
    for start in range(5):
        torch.testing.assert_close(model(x[:, start : start + 45]), dilated[:, start : start + 1], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
def test_the_frame_that_an_answer_stands_for(causal):
    """The residual path carries the answer's own frame: with silent convolutions nothing else is left."""
    model = make(causal=causal)
    for block in model.blocks:
        torch.nn.init.zeros_(block.mix_norm.weight)
        torch.nn.init.zeros_(block.mix_norm.bias)
    x = torch.randn(1, 45, 17, 2, requires_grad=True)
    model(x).sum().backward()
    seen = x.grad.abs().sum((0, 2, 3)).nonzero().flatten().tolist()
    assert seen == ([42, 43, 44] if causal else [21, 22, 23])


def test_causal_answers_need_no_future(rng):
    model = make(causal=True)
    keypoints = rng.uniform(100, 300, (60, 17, 2)).astype(np.float32)
    scores = np.ones((60, 17), np.float32)
    whole = lift_sequence(model, keypoints, scores, (640, 480))
    assert whole.shape == (60, 17, 3)
    part = lift_sequence(model, keypoints[:30], scores[:30], (640, 480))
    np.testing.assert_allclose(part, whole[:30], atol=1e-5)


@pytest.mark.parametrize("widths", [[], [2, 3], [0]])
def test_bad_widths(widths):
    with pytest.raises(ValueError, match="odd"):
        models.build("tcn", widths=widths)


def test_too_few_frames():
    with pytest.raises(ValueError, match="num_frames=45"):
        make()(torch.zeros(1, 44, 17, 2))


def test_every_parameter_gets_a_gradient():
    model = make().train()
    model(torch.randn(4, 45, 17, 2)).square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


@pytest.mark.parametrize("frames", [9, 11])
def test_gradcheck(frames):
    """The graph is whole from the joints back to the keypoints, in both forms."""
    torch.manual_seed(0)
    model = models.build("tcn", widths=[3, 3], dim=4, num_joints=3).double().eval()
    x = torch.randn(1, frames, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(model, x)


def official_tensors(widths: list[int], dim: int, joints: int = 17) -> dict[str, torch.Tensor]:
    """Random tensors under the official names."""
    generator = torch.Generator().manual_seed(1)
    normal = lambda *shape: torch.randn(*shape, generator=generator) / np.prod(shape[1:] or (1,)) ** 0.5  # noqa: E731
    tensors = {"expand_conv.weight": normal(dim, joints * 2, widths[0])}
    norms = ["expand_bn"]
    for i, width in enumerate(widths[1:]):
        tensors[f"layers_conv.{2 * i}.weight"] = normal(dim, dim, width)
        tensors[f"layers_conv.{2 * i + 1}.weight"] = normal(dim, dim, 1)
        norms += [f"layers_bn.{2 * i}", f"layers_bn.{2 * i + 1}"]
    for name in norms:
        tensors |= {f"{name}.{leaf}": normal(dim) for leaf in ("weight", "bias", "running_mean")}
        tensors |= {f"{name}.running_var": normal(dim).exp(), f"{name}.num_batches_tracked": torch.tensor(7)}
    return tensors | {"shrink.weight": normal(joints * 3, dim, 1), "shrink.bias": normal(joints * 3)}


def reference(tensors: dict[str, torch.Tensor], widths: list[int], x: torch.Tensor, causal: bool) -> torch.Tensor:
    """The network of the paper, written frame by frame: each layer's answer at time t, from layer to layer."""

    def norm(x, name):
        get = lambda leaf: tensors[f"{name}.{leaf}"]  # noqa: E731
        return functional.batch_norm(x, get("running_mean"), get("running_var"), get("weight"), get("bias")).relu()

    def look(x, weight, spacing):
        """Taps `spacing` frames apart, around each frame or before it."""
        reach = (weight.shape[2] - 1) * spacing
        taps = [x[..., k * spacing : x.shape[-1] - reach + k * spacing] for k in range(weight.shape[2])]
        answer = sum(torch.einsum("oi,bit->bot", weight[..., k], tap) for k, tap in enumerate(taps))
        return answer, taps[-1] if causal else taps[len(taps) // 2]

    x = norm(look(x.flatten(2).transpose(1, 2), tensors["expand_conv.weight"], 1)[0], "expand_bn")
    for i in range(len(widths) - 1):
        spacing = int(np.prod(widths[: i + 1]))
        new, own = look(x, tensors[f"layers_conv.{2 * i}.weight"], spacing)
        new = norm(new, f"layers_bn.{2 * i}")
        new = look(new, tensors[f"layers_conv.{2 * i + 1}.weight"], 1)[0]
        x = own + norm(new, f"layers_bn.{2 * i + 1}")
    x = look(x, tensors["shrink.weight"], 1)[0] + tensors["shrink.bias"][:, None]
    return x.transpose(1, 2).unflatten(2, (-1, 3))


@pytest.mark.parametrize("causal", [False, True])
def test_official_layout_round_trip(causal, tmp_path):
    widths = [3, 5, 3]
    official = official_tensors(widths, 12)
    upstream = family("videopose3d")
    assert upstream.recognises(official)
    config, tensors = upstream.translate(official, {"causal": causal})
    assert config["widths"] == widths
    model = models.build(upstream.kind, **config)
    model.load_state_dict(tensors, strict=True)
    save_model(model, tmp_path / "tcn.safetensors", "tcn", dtype=torch.float32)
    model = load_model(tmp_path / "tcn.safetensors")
    x = torch.randn(2, 47, 17, 2)
    answer = upstream.run(model, {"x": x.numpy()})["y"]
    torch.testing.assert_close(answer, reference(official, widths, x, causal), atol=1e-5, rtol=1e-5)


def test_incomplete_official_files():
    official = official_tensors([3, 3], 8)
    del official["layers_conv.0.weight"]
    with pytest.raises(InputError, match=r"layers_conv\.0\.weight"):
        family("videopose3d").translate(official, {})


def test_the_file_trained_on_coco_joints_sees_them(tmp_path):
    """Found by its published name; the network learned the conversion itself."""
    path = tmp_path / "pretrained_h36m_detectron_coco.bin"
    tensors = {k: v for k, v in official_tensors([3, 3], 8).items() if "num_batches" not in k}  # as old files are
    torch.save({"model_pos": tensors}, path)
    model = load_model("videopose3d-243-coco", checkpoint=path)
    assert (model.seen_skeleton, model.skeleton, model.frame_rate) == ("coco17", "h36m17", 50.0)
