"""Maps of every lifter that attends: the window that is shown, what the tokens are, weights that ran."""

import numpy as np
import pytest
import torch
from einops import rearrange
from PIL import Image

from cascadepose.cli import main
from cascadepose.errors import InputError
from cascadepose.export import save_result
from cascadepose.hub import save_model
from cascadepose.models import build
from cascadepose.models.recording import record_attention
from cascadepose.skeletons import H36M17
from cascadepose.visualize.lifter_attention import look_inside_lifter, maps_figure

LIFTERS = {  # kind: settings, and layers whose tokens are joints and frames
    "dstformer": ({"dim": 16, "depth": 1, "num_heads": 2, "dim_rep": 16, "maxlen": 9}, 2, 2),
    "poseformer": ({"num_frames": 9, "embed_dim_ratio": 8, "depth": 2, "num_heads": 2}, 2, 2),
    "poseformerv2": (
        {"num_frames": 9, "kept_frames": 3, "kept_coefficients": 3, "embed_dim_ratio": 8, "depth": 1, "num_heads": 2},
        1,
        1,
    ),
    "strided": ({"num_frames": 9, "strides": [3, 3], "dim": 16, "hidden": 16, "depth": 1, "num_heads": 2}, 0, 3),
}


def small(kind: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return build(kind, **LIFTERS[kind][0]).eval()


@pytest.mark.parametrize("kind", LIFTERS)
def test_every_lifter(kind, make_result):
    (track,) = make_result([(0, 9)])
    layers = look_inside_lifter(small(kind), track, (320, 240))
    joints, frames = ([layer for layer in layers if layer.axis == axis] for axis in ("joints", "frames"))
    assert (len(joints), len(frames)) == LIFTERS[kind][1:]
    for layer in layers:
        assert layer.weights.shape == (2, len(layer.labels), len(layer.labels))
        np.testing.assert_allclose(layer.weights.sum(-1), 1, atol=1e-5)
    assert all(layer.labels == H36M17.names for layer in joints)
    expected = ["-4", "-3", "-2", "-1", "0", "+1", "+2", "+3", "+4"]
    if kind == "poseformerv2":
        expected = ["c0", "c1", "c2", "-1", "0", "+1"]
    assert list(frames[0].labels) == expected
    if kind == "strided":
        assert frames[-1].labels == ("-4", "-1", "+2")  # the second strided layer sees every third frame


@torch.no_grad()
def test_weights_are_those_of_the_answered_frame(make_result):
    """Every layer's recorded weights times values are its output; the joints' map is that of the middle frame."""
    model, (track,) = small("poseformer"), make_result([(0, 9)])
    outputs, inputs = {}, {}
    for name, module in model.named_modules():
        if name.endswith(".attn"):
            module.register_forward_hook(lambda _, __, out, name=name: outputs.__setitem__(name, out))
    model.register_forward_pre_hook(lambda _, args: inputs.__setitem__("x", args[0]))
    layers = {layer.name: layer.weights for layer in look_inside_lifter(model, track, (320, 240), row=5)}
    assert list(layers) == ["Spatial_blocks.0.attn", "Spatial_blocks.1.attn", "blocks.0.attn", "blocks.1.attn"]
    shown = dict(outputs)
    with record_attention(model) as calls:
        model(inputs["x"])
    modules = dict(model.named_modules())
    for name, (call,) in calls.items():
        index = 4 if name.startswith("Spatial") else 0  # frame 4 of the window of 9, or the one window
        mixed = torch.from_numpy(layers[name]) @ call.value[index]
        found = modules[name].proj(rearrange(mixed, "h n c -> n (h c)"))
        torch.testing.assert_close(found, shown[name][index], atol=1e-5, rtol=1e-5)


def test_window_is_the_lifters(make_result):
    """At the lifter's own rate, the answered frame in its place, ends repeated."""
    model, (track,) = small("poseformer"), make_result([(0, 9)])
    seen = []
    model.register_forward_pre_hook(lambda _, args: seen.append(args[0].numpy()))
    for row in (5, 0):
        look_inside_lifter(model, track, (320, 240), row)
    middle, first = seen[0][0], seen[1][0]
    np.testing.assert_allclose(middle[0], first[5], atol=1e-5)  # frame 1 of the video
    np.testing.assert_allclose(first[:5], first[:1].repeat(5, 0), atol=1e-6)
    model.frame_rate = 5.0
    look_inside_lifter(model, track, (320, 240), 5)
    np.testing.assert_allclose(seen[2][0, 5], middle[6], atol=1e-5)  # a step of this lifter is two frames


def test_labels_of_the_figure(make_result):
    (track,) = make_result([(0, 9)])
    layers = look_inside_lifter(small("poseformer"), track, (320, 240))
    figure = maps_figure([layer for layer in layers if layer.axis == "joints"])
    texts = [[label.get_text() for label in axis.get_xticklabels()] for axis in figure.axes]
    names = [name.replace("_", " ") for name in H36M17.names]
    assert len(figure.axes) == 4 and texts[2] == texts[3] == names and texts[0] != names
    assert [label.get_text() for label in figure.axes[2].get_yticklabels()] == names


def test_what_is_not_there_is_named(make_result):
    (track,) = make_result([(0, 3)])
    with pytest.raises(InputError, match="track 1 has no frame 4; it has 4 frames"):
        look_inside_lifter(small("poseformer"), track, (320, 240), 4)
    with pytest.raises(InputError, match="TCN has no attention"):
        look_inside_lifter(build("tcn", widths=(3,), dim=8), track, (320, 240))


def test_command(make_result, tmp_path, capsys):
    save_result(make_result([(0, 9), (2, 5)]), tmp_path / "out")
    lifter = save_model(small("poseformer"), tmp_path / "lifter.safetensors", "poseformer")
    arguments = ["attention", str(tmp_path / "out"), "--out", str(tmp_path / "maps"), "--lifter", str(lifter)]
    assert main([*arguments, "--track", "2", "--frame", "4"]) == 0
    names = ["lifter_joints.png", "lifter_frames.png"]
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / "maps" / name) for name in names]
    assert min(Image.open(tmp_path / "maps" / names[0]).size) > 300
    assert main([*arguments, "--track", "2", "--frame", "7"]) == 2
    assert "track 2 is not in frame 7; it reaches from 2 to 5" in capsys.readouterr().err
    assert main(["attention", str(tmp_path / "out"), "--lifter", "prtr-mobilenetv2-small"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
