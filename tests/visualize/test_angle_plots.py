"""Curves and table of joint angles, for everybody and for one person."""

import csv

import numpy as np
import pytest
from PIL import Image

from cascadepose.angles import ANGLES, joint_angles
from cascadepose.cli import main
from cascadepose.errors import InputError
from cascadepose.export import save_result
from cascadepose.visualize.angle_plots import angles_figure, write_angles


def test_table_and_pictures(make_result, tmp_path):
    result = make_result([(0, 9), (3, 7)])
    result.tracks[0].observed[4:6] = False
    written = write_angles(result.tracks, tmp_path)
    assert [path.name for path in written] == ["angles.csv", "angles_1.png", "angles_2.png"]
    with written[0].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 15 and list(rows[0])[4:] == [f"{name}_deg" for name in ANGLES]
    assert [row["observed"] for row in rows[:7]] == ["1", "1", "1", "1", "0", "0", "1"]
    second = rows[12]
    assert (second["track_id"], second["frame"], float(second["time_s"])) == ("2", "5", 0.5)
    expected = joint_angles(result.tracks[1].poses3d)["left_knee_flexion"][2]
    assert float(second["left_knee_flexion_deg"]) == pytest.approx(expected, abs=0.006)
    for path in written[1:]:
        assert min(Image.open(path).size) > 400


def test_curves_hold_the_angles(make_result):
    (track,) = make_result([(0, 9)])
    figure = angles_figure(track)
    panels = {axis.get_title(): axis for axis in figure.axes if axis.get_visible()}
    assert len(panels) == 11 and len(panels["knee flexion"].lines) == 2 and len(panels["trunk rotation"].lines) == 1
    (right,) = (line for line in panels["knee flexion"].lines if line.get_label() == "right")
    np.testing.assert_allclose(right.get_ydata(), joint_angles(track.poses3d)["right_knee_flexion"])
    np.testing.assert_allclose(right.get_xdata(), track.timestamp)


def test_without_3d_joints(make_result, tmp_path):
    from dataclasses import replace

    (track,) = make_result([(0, 3)])
    with pytest.raises(InputError, match="track 1 has no 3D joints"):
        write_angles([replace(track, poses3d=None)], tmp_path)
    assert not list(tmp_path.iterdir())


def test_command(make_result, tmp_path, capsys):
    save_result(make_result([(0, 3), (0, 3)]), tmp_path / "out")
    assert main(["angles", str(tmp_path / "out" / "poses.npz"), "--track", "2", "--out", str(tmp_path / "gait")]) == 0
    assert sorted(path.name for path in (tmp_path / "gait").iterdir()) == ["angles.csv", "angles_2.png"]
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert main(["angles", str(tmp_path / "out"), "--track", "5"]) == 2
    assert "there is no track 5; there are 1, 2" in capsys.readouterr().err
    save_result(make_result([]), tmp_path / "empty")
    assert main(["angles", str(tmp_path / "empty")]) == 2
    assert "nobody was found" in capsys.readouterr().err
