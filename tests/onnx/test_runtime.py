"""The pipeline on onnxruntime finds what it finds on torch."""

import numpy as np
import pytest
import torch

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from cascadepose import load
from cascadepose.errors import InputError
from cascadepose.hub import load_model, weights_info
from cascadepose.models.lifters.window import lift_sequence
from cascadepose.onnx.runtime import on_onnxruntime, store_folder
from cascadepose.parallel import map_ahead
from cascadepose.predictor import PosePredictor

from .conftest import make_lifter, make_prtr

CPU = torch.device("cpu")


pytestmark = pytest.mark.usefixtures("kept_files")


@pytest.mark.parametrize("form", ["ordered", "again", "features"])
def test_predictors_agree_on_frames_of_two_sizes(form, weights_file, make_image):
    path = weights_file(make_prtr(form), form)
    frames = [make_image(60, 90), make_image(120, 80), make_image(60, 90)]
    given = [np.array([[10, 6, 40, 60]], np.float32)] * 3
    for boxes, flip_test in ((None, False), (given, False), (given, True)):
        other = PosePredictor(on_onnxruntime(load_model(path), weights_info(path), CPU), flip_test=flip_test)
        ours = PosePredictor(load_model(path), flip_test=flip_test).predict(frames, boxes)
        for one, two in zip(ours, other.predict(frames, boxes), strict=True):
            assert len(one) == len(two)
            for field in ("keypoints", "sigma", "boxes_xyxy", "scores", "box_scores"):
                np.testing.assert_allclose(getattr(two, field), getattr(one, field), atol=0.02)
    nobody = PosePredictor(other.prtr, threshold=1.0).predict(frames)
    assert [len(poses) for poses in nobody] == [0, 0, 0]


def test_threads_side_by_side_have_sessions_of_one_thread(weights_file, make_image):
    path = weights_file(make_prtr("ordered"), "ordered")
    model = on_onnxruntime(load_model(path), weights_info(path), CPU)
    predictor, frames = PosePredictor(model, threshold=0.0), [make_image(60, 90) for _ in range(5)]
    together = list(map_ahead(lambda frame: predictor.predict([frame])[0], frames, workers=2))
    for one, (_, other) in zip(predictor.predict(frames), together, strict=True):
        np.testing.assert_allclose(other.keypoints, one.keypoints, atol=0.02)
    assert set(model.detector.sessions._opened) == {1, torch.get_num_threads()}


@pytest.mark.parametrize("name", ["dstformer", "causal", "strided", "tcn"])
def test_lifted_sequences_agree(name, weights_file, rng):
    path = weights_file(make_lifter(name), name)
    lifter = load_model(path)
    other = on_onnxruntime(lifter, weights_info(path), CPU)
    keypoints, scores = rng.random((100, 17, 2)) * 100, np.ones((100, 17))
    ours, theirs = (lift_sequence(model, keypoints, scores, (100, 100)) for model in (lifter, other))
    np.testing.assert_allclose(theirs, ours, atol=1e-3)


def test_the_pipeline_exports_once(weights_file, make_image, kept_files):
    weights, lifter = weights_file(make_prtr("ordered"), "ordered"), weights_file(make_lifter("tcn"), "tcn")
    pose = load(weights, lifter, "cpu", backend="onnx")
    assert store_folder() == kept_files
    files = {path: path.stat().st_mtime_ns for path in kept_files.iterdir()}
    assert {"ordered", "tcn"} <= {path.name.split("-")[0] for path in files}
    load(weights, lifter, "cpu", backend="onnx")
    assert {path: path.stat().st_mtime_ns for path in kept_files.iterdir()} == files
    frame = make_image(80, 80)
    ours, theirs = (p([frame], progress=False) for p in (load(weights, lifter, "cpu"), pose))
    assert len(ours.tracks) == len(theirs.tracks) > 0
    for one, two in zip(ours.tracks, theirs.tracks, strict=True):
        np.testing.assert_allclose(two.keypoints, one.keypoints, atol=0.02)
        np.testing.assert_allclose(two.poses3d.joints, one.poses3d.joints, atol=1e-3)


def test_files_of_other_weights_are_refused(weights_file, tmp_path):
    lifter = weights_file(make_lifter("tcn"), "tcn")
    info, folder = weights_info(lifter), tmp_path / "given"
    on_onnxruntime(load_model(lifter), info, CPU, folder)
    path = folder / "tcn.lifter.onnx"
    assert path.exists()
    changed = tmp_path / "tcn.safetensors"
    model = make_lifter("tcn")
    model.head.bias.data += 1
    from cascadepose.hub import save_model

    save_model(model, changed, "tcn")
    with pytest.raises(InputError, match=r"tcn\.lifter\.onnx: not the lifter of .*; remove it, or export it again"):
        on_onnxruntime(load_model(changed), weights_info(changed), CPU, folder)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match="onnxruntime does not open it"):
        on_onnxruntime(load_model(lifter), info, CPU, folder)


def test_bad_settings_are_said(weights_file):
    weights = weights_file(make_prtr("ordered"), "ordered")
    with pytest.raises(InputError, match="unknown backend 'tpu': use torch or onnx"):
        load(weights, None, "cpu", backend="tpu")
    from cascadepose.onnx.session import open_session

    with pytest.raises(InputError, match="onnxruntime cannot use meta: install onnxruntime-gpu"):
        open_session("none.onnx", "meta")


def test_a_window_that_does_not_fit_is_one_line(weights_file):
    path = weights_file(make_lifter("strided"), "strided")
    lifter = on_onnxruntime(load_model(path), weights_info(path), CPU)
    with pytest.raises(InputError, match=r"onnxruntime fails on x \[1, 5, 17, 2\].*use backend torch"):
        lifter(torch.zeros(1, 5, 17, 2))
