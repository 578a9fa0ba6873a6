"""Logs of runs as curves."""

import json

import numpy as np
import pytest

from cascadepose.errors import InputError
from cascadepose.visualize.training_curves import curves_figure, read_log, smoothed


@pytest.fixture
def run(tmp_path):
    """run(name, slope): the folder of a run of 50 steps, whose log breaks off in a line."""

    def make(name: str, slope: float):
        folder = tmp_path / name
        folder.mkdir()
        entries = [{"kind": "train", "step": s, "epoch": 1, "loss": 5 - slope * s} for s in range(10, 60, 10)]
        entries.append({"kind": "val", "step": 50, "epoch": 1, "AP": slope, "start_AP": 0.001})
        text = "".join(json.dumps(entry) + "\n" for entry in entries)
        (folder / "metrics.jsonl").write_text(text + '{"kind": "train", "st')
        return folder

    return make


def test_a_log_is_read_up_to_where_it_breaks_off(run):
    curves = read_log(run("one", 0.01))
    assert {"train/loss", "val/AP"} <= curves.keys()
    steps, values = curves["train/loss"]
    np.testing.assert_array_equal(steps, [10, 20, 30, 40, 50])
    np.testing.assert_allclose(values, 5 - 0.01 * steps)


def test_a_panel_a_metric_and_a_curve_a_run(run):
    runs = {name: read_log(run(name, slope)) for name, slope in (("frozen", 0.01), ("joint", 0.02))}
    figure = curves_figure(runs, ["train/loss", "val/AP"], span=0, start=20)
    first, second = figure.axes
    assert [line.get_label() for line in first.lines] == ["frozen", "joint"]
    np.testing.assert_array_equal(first.lines[0].get_xdata(), [20, 30, 40, 50])
    assert first.get_title() == "loss, in training"
    assert second.get_title() == "AP, in validation"
    dashed = [line for line in second.lines if line.get_linestyle() == "--"]
    assert [line.get_label() for line in dashed] == ["frozen, start", "joint, start"]
    assert set(dashed[0].get_ydata()) == {0.001}


def test_smoothing_keeps_a_constant_and_starts_with_the_first_value():
    np.testing.assert_allclose(smoothed(np.full(9, 3.0), 4), 3.0)
    noisy = np.array([1.0, 5.0, 1.0, 5.0])
    assert smoothed(noisy, 3)[0] == 1.0
    assert np.ptp(smoothed(noisy, 3)[1:]) < np.ptp(noisy[1:])
    np.testing.assert_array_equal(smoothed(noisy, 0), noisy)


def test_what_cannot_be_drawn(run, tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_log(tmp_path / "nowhere")
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(InputError, match="holds no entries"):
        read_log(tmp_path / "empty.jsonl")
    with pytest.raises(InputError, match=r"no run has logged val/ap; they have .*val/AP"):
        curves_figure({"one": read_log(run("one", 0.1))}, ["val/ap"])


def test_the_tool(run, tmp_path, tool_main, capsys):
    from PIL import Image

    plot = tool_main("plot_curves")
    out = tmp_path / "curves.png"
    assert plot([str(run("one", 0.1)), f"two={run('other', 0.2)}", "--out", str(out)]) == 0
    with Image.open(out) as image:
        assert image.width > 300
    assert plot([str(tmp_path / "nowhere"), "--out", str(out)]) == 2
    assert "nowhere" in capsys.readouterr().err
