"""Exported files answer like torch, on other sizes than they were traced at, and say what they are."""

import json

import numpy as np
import pytest
import torch

pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

from cascadepose.errors import InputError  # noqa: E402
from cascadepose.models.image_batch import ImageBatch  # noqa: E402
from cascadepose.onnx import export_onnx  # noqa: E402
from cascadepose.onnx.cascade import fit_within, sample_picture  # noqa: E402
from cascadepose.predictor import PosePredictor  # noqa: E402

from .conftest import LIFTERS, make_lifter, make_prtr  # noqa: E402


def run(path, **feed):
    session = ort.InferenceSession(str(path))
    found = session.run(None, {name: np.asarray(value) for name, value in feed.items()})
    return dict(zip([entry.name for entry in session.get_outputs()], found, strict=True))


def facts_of(path) -> dict[str, str]:
    return ort.InferenceSession(str(path)).get_modelmeta().custom_metadata_map


@pytest.mark.parametrize("name", LIFTERS)
def test_lifters_at_batch_1_and_5(name, tmp_path):
    lifter = make_lifter(name).eval()
    (file,) = export_onnx(lifter, tmp_path, check=False)
    windows = {"dstformer": (27, 81), "causal": (27, 81), "strided-all": (27, 81), "tcn": (27, 81)}
    for batch in (1, 5):
        for frames in windows.get(name, (lifter.num_frames,)):
            x = torch.randn(batch, frames, 17, lifter.in_channels)
            with torch.no_grad():
                wanted = lifter(x).numpy()
            np.testing.assert_allclose(run(file.path, x=x)["joints"], wanted, atol=1e-3)
    facts = facts_of(file.path)
    assert facts["normalization"] == lifter.normalization
    assert len(json.loads(facts["joint_names"])) == 17


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (70, 130, 3), dtype=np.uint8)


@pytest.fixture(scope="module", params=["ordered", "again", "features"])
def exported(request, tmp_path_factory, picture):
    """A PRTR and its files, of one form all three."""
    model = make_prtr(request.param).eval()
    stages = ["cascade"] if request.param == "features" else None
    files = export_onnx(model, tmp_path_factory.mktemp("onnx"), stages, picture=picture)
    return model, {file.stage: file for file in files}


def test_every_stage_was_checked(exported):
    model, files = exported
    assert list(files) == (["detector", "keypoints", "cascade"] if model.crop == "image" else ["cascade"])
    for stage, file in files.items():
        assert file.difference < (0.02 if stage == "cascade" else 1e-3)
        assert file.path.name == f"prtr.{stage}.onnx"
    assert files["cascade"].people > 0
    assert facts_of(files["cascade"].path)["skeleton"] == "coco17"


def test_the_cascade_equals_the_predictor(exported, make_image):
    model, files = exported
    frame = make_image(100, 64)
    (poses,) = PosePredictor(model).predict([frame])
    found = run(files["cascade"].path, frame=frame)
    assert len(poses) == len(found["boxes_xyxy"]) > 0
    np.testing.assert_allclose(found["boxes_xyxy"], poses.boxes_xyxy, atol=0.02)
    np.testing.assert_allclose(found["box_scores"], poses.box_scores, atol=1e-3)
    if "scores" in found:
        np.testing.assert_allclose(found["keypoints"], poses.keypoints, atol=0.02)
        np.testing.assert_allclose(found["sigma"], poses.sigma, atol=0.02)
        np.testing.assert_allclose(found["scores"], poses.scores, atol=1e-3)
    else:
        out = {name: torch.from_numpy(found[name]) for name in ("keypoints", "sigma", "logits")}
        names = {"keypoints": "pred_keypoints", "sigma": "pred_kpt_sigma", "logits": "pred_kpt_logits"}
        joints, _, _ = model.read_joints({names[key]: value for key, value in out.items()})
        np.testing.assert_allclose(joints, poses.keypoints, atol=0.02)


def test_nobody_above_the_threshold(tmp_path, picture):
    """With the deformable keypoint stage, whose answers for somebody are checked, too."""
    stages = ["keypoints", "cascade"]
    keypoints, cascade = export_onnx(make_prtr("deformable"), tmp_path, stages, threshold=0.99, picture=picture)
    assert keypoints.difference < 1e-3
    assert cascade.people == 0
    found = run(cascade.path, frame=picture)
    assert {name: value.shape[0] for name, value in found.items()} == dict.fromkeys(found, 0)


@pytest.mark.parametrize("size", [(37, 90), (90, 37), (64, 48), (20, 31)])
def test_pictures_are_resized_as_for_the_detector(size):
    images = torch.rand(1, 3, *size)
    ours = fit_within(images, torch.tensor(size), 64)
    wanted = ImageBatch(images, (size,)).resized(64).images
    assert ours.shape == wanted.shape
    assert (ours - wanted).abs().max() < 1e-5


def test_a_model_in_training_goes_on_training(tmp_path):
    model = make_lifter("tcn").train()
    export_onnx(model, tmp_path)
    assert model.training


def test_what_cannot_be_exported_is_said(tmp_path, monkeypatch):
    from cascadepose.onnx import export

    with pytest.raises(InputError, match="ReprojectionRefine is not exported"):
        from cascadepose.models import build

        export_onnx(build("strided_refine"), tmp_path)
    with pytest.raises(InputError, match="no stage 'hands' in a model of kind tcn: use lifter"):
        export_onnx(make_lifter("tcn"), tmp_path, ["hands"])
    monkeypatch.setattr(export, "verify", lambda *_: (0.5, None))
    with pytest.raises(InputError, match=r"differ by 0\.5, more than 0\.001; not written"):
        export_onnx(make_lifter("tcn"), tmp_path)
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r'pip install "cascadepose\[onnx\]"'):
        export_onnx(make_lifter("tcn"), tmp_path)


def test_the_photograph_is_one_of_a_person():
    picture = sample_picture()
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3
    assert min(picture.shape[:2]) > 400
