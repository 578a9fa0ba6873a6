"""The command that exports, and the one that runs what was exported."""

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from cascadepose.cli import main
from cascadepose.export import load_result

from .conftest import make_lifter, make_prtr


def test_export_with_times(weights_file, tmp_path, capsys):
    path = weights_file(make_lifter("tcn"), "tcn")
    assert main(["onnx", str(path), "--out", str(tmp_path), "--time", "1"]) == 0
    out = capsys.readouterr().out
    assert (tmp_path / "tcn.lifter.onnx").exists()
    assert "tcn.lifter.onnx: lifter, " in out
    assert "from torch" in out
    assert "torch ms" in out
    assert "1x27x17x2" in out


@pytest.mark.usefixtures("kept_files")
def test_infer_on_either_backend(weights_file, make_image, tmp_path):
    import cv2

    path, picture = weights_file(make_prtr("ordered"), "ordered"), tmp_path / "picture.png"
    cv2.imwrite(str(picture), make_image(80, 80))
    results = []
    for name in ("torch", "onnx"):
        options = ["--weights", str(path), "--lifter", "none", "--device", "cpu", "--no-overlay", "--quiet"]
        options += ["--backend", name]
        assert main(["infer", str(picture), "--out", str(tmp_path / name), *options]) == 0
        results.append(load_result(tmp_path / name))
    tracks = [result.tracks for result in results]
    assert len(tracks[0]) == len(tracks[1]) > 0
    for one, two in zip(*tracks, strict=True):
        np.testing.assert_allclose(two.keypoints, one.keypoints, atol=0.02)


@pytest.mark.usefixtures("kept_files")
def test_lift_on_either_backend(weights_file, rng, tmp_path):
    lifter, poses = weights_file(make_lifter("tcn"), "tcn"), tmp_path / "poses.npz"
    np.savez(poses, keypoints=rng.random((40, 17, 2)) * 100, fps=25, size=(100, 100))
    folder, results = tmp_path / "graphs", []
    for name in ("torch", "onnx"):
        options = ["--lifter", str(lifter), "--device", "cpu", "--quiet", "--backend", name, "--onnx", str(folder)]
        assert main(["lift", str(poses), "--out", str(tmp_path / name), *options]) == 0
        results.append(load_result(tmp_path / name).tracks[0].poses3d.joints)
    np.testing.assert_allclose(*results, atol=2e-3)
    assert [path.name for path in folder.iterdir() if path.suffix == ".onnx"] == ["tcn.lifter.onnx"]


def test_bad_input_is_one_line(tmp_path, capsys):
    assert main(["onnx", "nothing", "--out", str(tmp_path)]) == 2
    assert main(["onnx", "dstformer-small", "--stages", "hands", "--out", str(tmp_path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "use lifter" in lines[1]
