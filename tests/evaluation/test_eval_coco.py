"""`cascadepose eval coco` from the command line to the report, with a small random model."""

import json

import pytest

from cascadepose import hub, models
from cascadepose.cli import main as command
from cascadepose.evaluation.coco import BOX_METRICS, KEYPOINT_METRICS

BACKBONE = {"name": "mobilenetv3_small_050", "levels": [3, 4]}
SMALL = {"d_model": 32, "num_heads": 4, "num_encoder_layers": 1, "num_decoder_layers": 1, "dim_feedforward": 32}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    model = models.build(
        "prtr",
        detector=SMALL | {"backbone": BACKBONE, "num_queries": 6},
        keypoints={"backbone": BACKBONE, "crop_size": (64, 48), "transformer": SMALL | {"num_queries": 20}},
    )
    return hub.save_model(model, tmp_path_factory.mktemp("weights") / "prtr.safetensors", "prtr")


@pytest.fixture
def main(coco_dataset, weights):
    """The command with the set and the weights filled in; later options win."""
    folder, truth = coco_dataset
    (folder / "truth.json").write_text(json.dumps(truth))
    given = [
        "eval",
        "coco",
        "--images",
        folder,
        "--annotations",
        folder / "truth.json",
        "--weights",
        weights,
        "--device",
        "cpu",
    ]
    return lambda *more: command([str(part) for part in (*given, *more)])


def test_annotated_boxes(main, tmp_path, capsys):
    out = tmp_path / "new" / "report.json"
    assert main("--json", out, "--flip-test", "--batch-size", 3, "--rank", "oks") == 0
    report = json.loads(out.read_text())
    assert tuple(report["keypoints"]) == KEYPOINT_METRICS
    assert report["bbox"] == {}
    assert report["protocol"]["flip_test"] is True
    assert len(report["protocol"]["weights_sha256"]) == 64
    assert report["protocol"]["score"] == "box score x fifth root of the expected OKS"
    assert [path.name for path in out.parent.iterdir()] == ["report.json"]
    assert capsys.readouterr().out.startswith("keypoints AP 0.")


def test_own_detector(main, tmp_path):
    out = tmp_path / "report.json"
    assert main("--json", out, "--boxes", "detector", "--threshold", 0) == 0
    report = json.loads(out.read_text())
    assert tuple(report["bbox"]) == BOX_METRICS
    assert report["protocol"]["boxes"] == "detector"
    assert report["protocol"]["box_threshold"] == 0


def test_annotations_that_are_empty(main, coco_dataset, capsys):
    folder, truth = coco_dataset
    path = folder / "empty.json"
    path.write_text(json.dumps(truth | {"annotations": []}))
    assert main("--annotations", path) == 2
    assert capsys.readouterr().err == f"error: {path}: holds 7 images and 0 people; nothing to evaluate\n"


@pytest.mark.parametrize(
    "option, value, message",
    [
        ("--weights", "prtr-large", "no weights are named 'prtr-large'"),
        ("--images", "/nowhere", "6 of 6 images are missing"),
        ("--annotations", "/nowhere.json", "no such annotation file"),
        ("--device", "abacus", "device 'abacus' cannot be used"),
        ("--json", "/dev/null/report.json", "cannot be written"),
    ],
)
def test_input_at_fault(main, capsys, option, value, message):
    assert main(option, value) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1


def test_other_kind_of_weights(main, tmp_path, capsys):
    lifter = models.build("dstformer", dim=16, depth=1, num_heads=2, dim_rep=16, maxlen=3)
    assert main("--weights", hub.save_model(lifter, tmp_path / "lifter.safetensors", "dstformer")) == 2
    assert "of kind 'dstformer', but 'prtr' is needed" in capsys.readouterr().err


def test_boxes_of_a_file(main, tmp_path, capsys):
    boxes = [{"image_id": 1, "category_id": 1, "bbox": [2, 2, 58, 58], "score": score} for score in (0.9, 0.2)]
    path, out = tmp_path / "boxes.json", tmp_path / "report.json"
    path.write_text(json.dumps(boxes))
    assert main("--boxes", path, "--oks-nms", 0.9, "--json", out) == 0
    protocol = json.loads(out.read_text())["protocol"]
    assert (protocol["box_source"], protocol["box_threshold"], protocol["oks_nms"]) == ("boxes.json", 0, 0.9)
    assert protocol["boxes"] == "of a file (2 boxes)"
    assert main("--boxes", path, "--threshold", 0.95) == 2
    assert "no person with a score of 0.95" in capsys.readouterr().err
