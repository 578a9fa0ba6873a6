"""Keypoint training for other joints than COCO's: MPII with PCKh, and a declared set of eight, up to the overlay."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from scipy.io import savemat

from cascadepose import hub, models
from cascadepose.config import parse
from cascadepose.data.coco import CocoSource
from cascadepose.data.crops import PersonCrops
from cascadepose.data.people import PersonImages
from cascadepose.data.sources import read_source
from cascadepose.errors import InputError
from cascadepose.evaluation.coco_run import run_coco
from cascadepose.export import load_result
from cascadepose.loading import load
from cascadepose.models.backbone import count_parameters
from cascadepose.models.keypoints import KeypointEstimator
from cascadepose.packaging import package_prtr
from cascadepose.pipeline import Pipeline
from cascadepose.predictor import PosePredictor
from cascadepose.skeletons import COCO17, MPII16, find_skeleton
from cascadepose.tasks.detector import DetectorTaskConfig
from cascadepose.tasks.detector import build_task as build_detector_task
from cascadepose.tasks.keypoint_validation import validate_crops
from cascadepose.tasks.keypoints import KeypointTaskConfig, build_task
from cascadepose.train import fit
from cascadepose.training.settings import TrainConfig

SMALL = {"d_model": 16, "num_heads": 2, "num_encoder_layers": 1, "num_decoder_layers": 1, "dim_feedforward": 16}
BACKBONE = {"name": "resnet18"}
MPII_ROWS = {  # configuration -> parameters (COCO's less one class), side of the crop
    "prtr_mpii_r50_256": (41_504_979, 256),
    "prtr_mpii_r50_384": (41_504_979, 384),
    "prtr_mpii_r50_512": (41_504_979, 512),
    "prtr_mpii_r101_256": (60_444_883, 256),
    "prtr_mpii_r101_384": (60_444_883, 384),
    "prtr_mpii_r101_512": (60_444_883, 512),
    "prtr_mpii_r152_256": (None, 256),
    "prtr_mpii_r152_384": (None, 384),
    "prtr_mpii_hrnet_w32_256": (57_233_747, 256),
    "prtr_mpii_hrnet_w32_384": (57_233_747, 384),
}
TOY = {
    "names": ["head", "neck", "left_hand", "right_hand", "seat", "left_foot", "right_foot", "tail"],
    "parents": {"head": "neck", "left_hand": "neck", "right_hand": "neck", "seat": "neck", "tail": "seat"}
    | {"left_foot": "seat", "right_foot": "seat"},
    "flip_pairs": [["left_hand", "right_hand"], ["left_foot", "right_foot"]],
    "sigmas": 0.08,
}


def training(folder) -> TrainConfig:
    """Two steps of two crops."""
    return TrainConfig(
        output_dir=str(folder), batch_size=2, max_steps=2, num_workers=0, tensorboard=False, device="cpu"
    )


@pytest.fixture
def pictures(tmp_path, make_image):
    """The folder of two images of 120x90."""
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / name), make_image(90, 120))
    return tmp_path


@pytest.fixture
def mpii(pictures, rng):
    """MPII's annotations of three people, the second without joints, and their truth file."""
    people, points = [], rng.uniform(20, 60, (3, 16, 2))
    for number, name in enumerate(("a.jpg", "b.jpg", "a.jpg")):
        joints = {"joints": points[number].tolist(), "joints_vis": [int(number != 1)] * 16}
        people.append({"image": name.replace("jpg", "png"), "center": [45, 40], "scale": 0.25} | joints)
    (pictures / "valid.json").write_text(json.dumps(people))
    heads = np.tile(np.array([[[30.0], [20.0]], [[50.0], [45.0]]]), (1, 1, 3))
    missing = np.zeros((16, 3))
    missing[:, 1] = 1
    savemat(
        pictures / "gt_valid.mat",
        {"pos_gt_src": points.transpose(1, 2, 0), "jnt_missing": missing, "headboxes_src": heads},
    )
    truth = str(pictures / "gt_valid.mat")
    return CocoSource(str(pictures / "valid.json"), str(pictures), truth=truth)


@pytest.mark.parametrize("name", MPII_ROWS)
def test_recipes_of_mpii(name, repository):
    path = str(repository / "configs" / f"{name}.yaml")
    config = parse({"train": TrainConfig, "task": KeypointTaskConfig}, ["--config", path])
    with torch.device("meta"):
        model = KeypointEstimator(**config.task.model, skeleton=config.task.skeleton)
    parameters, side = MPII_ROWS[name]
    assert (model.skeleton, model.crop_size) == (MPII16, (side, side))
    assert parameters in (None, count_parameters(model))
    assert config.train.milestones == ([60] if "hrnet" in name else [130])


def test_two_steps_of_mpii(mpii, repository, tmp_path):
    path = str(repository / "configs" / "prtr_mpii_r50_256.yaml")
    task = parse({"train": TrainConfig, "task": KeypointTaskConfig}, ["--config", path]).task
    task.sources, task.validation, task.backbone_weights, task.freeze_stages = [mpii], mpii, None, 0
    task.model = {"backbone": BACKBONE, "crop_size": [64, 64], "transformer": SMALL | {"num_queries": 20}}
    built = build_task(task)
    assert built.metric == "PCKh@0.5"
    assert len(built.train_set) == 2  # who has no joints teaches none
    best = fit(built, training(tmp_path / "run"))
    model = hub.load_model(best, kind="keypoint_estimator")
    assert model.skeleton == MPII16
    assert model.transformer.class_embed.out_features == 17
    metrics = hub.weights_info(best).info["metrics"]
    assert metrics.keys() == {"PCKh@0.5", "PCKh@0.1"}
    assert 0 <= metrics["PCKh@0.1"] <= metrics["PCKh@0.5"] <= 100


class Right(torch.nn.Module):
    """Knows the answers: the crops of `chosen` people come in order."""

    def __init__(self, data, chosen):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.points = torch.stack([data[index]["keypoints"] for index in chosen])

    def forward(self, crops):
        assert len(crops) == len(self.points)
        return self.points

    def read_joints(self, points):
        return points, torch.ones(points.shape[:2]), points


def test_mpii_is_cropped_as_in_its_protocol_and_scored_by_row(mpii):
    """Squares 250 scale high around a centre moved down by 15 scale; the truth's rows are those of the file."""
    data = PersonCrops([mpii], (64, 64), cache=False, skeleton=MPII16)
    center, size = data.region(data.people[0][0].boxes_xyxy[0])
    np.testing.assert_allclose(center, [44, 39 + 15 * 0.25])
    np.testing.assert_allclose(size, [62.5, 62.5])
    assert [image.rows[person] for image, person in data.people] == [0, 2]
    assert validate_crops(Right(data, [0, 1]), data, mpii) == {"PCKh@0.5": 100.0, "PCKh@0.1": 100.0}


@pytest.mark.parametrize(("count", "chosen"), [(None, range(6)), (2, [0, 1]), (4, [0, 1, 4, 5]), (9, range(6))])
def test_nobody_is_missing_in_the_images_that_are_validated(coco_people, count, chosen):
    """Two people an image, three images: who finds all that are asked for has an AP of 1."""
    content = json.loads(Path(coco_people.annotations).read_text())
    content["images"] = [content["images"][0] | {"id": image} for image in (1, 2, 3)]
    people = content["annotations"][:2]
    content["annotations"] = [
        person | {"image_id": image, "id": 10 * image + person["id"]} for image in (1, 2, 3) for person in people
    ]
    Path(coco_people.annotations).write_text(json.dumps(content))
    data = PersonCrops([coco_people], (64, 48), cache=False)
    assert validate_crops(Right(data, chosen), data, coco_people, count)["AP"] == pytest.approx(1)


@pytest.mark.parametrize(
    "change, message", [({"truth": None}, "gt_valid.mat"), ({"annotations": "nowhere.json"}, "nowhere.json")]
)
def test_what_validation_of_mpii_needs(change, message, mpii):
    wrong = CocoSource(**vars(mpii) | change)
    with pytest.raises(InputError, match=message):
        build_task(KeypointTaskConfig([wrong], wrong, "mpii16", model={"backbone": BACKBONE, "transformer": SMALL}))


def test_joints_of_another_set_go_by_their_names(mpii, coco_people):
    """What COCO calls differently, or does not have, is not known of an MPII picture."""
    image = read_source(mpii, COCO17)[0]
    own = read_source(mpii, MPII16)[0]
    np.testing.assert_array_equal(image.keypoints[:, COCO17.index("left_knee")], own.keypoints[:, 4])
    assert not image.labelled[0]
    assert image.labelled[COCO17.index("left_knee")]
    assert (image.keypoints[:, 0] == 0).all()
    as_mpii = PersonImages([CocoSource(**vars(coco_people) | {"skeleton": "coco17"})], [80], skeleton=MPII16)
    assert as_mpii[0]["keypoints"].shape == (2, 16, 2)
    assert not as_mpii[0]["labelled"][:, MPII16.index("thorax")].any()
    with pytest.raises(InputError, match="no joint set is named 'coco18'"):
        read_source(CocoSource(**vars(coco_people) | {"skeleton": "coco18"}), MPII16)


@pytest.fixture
def toy(pictures, rng):
    """A declared joint set of eight and a COCO file of two people in it: (path of the set, source)."""
    path = pictures / "toy8.yaml"
    path.write_text(yaml.safe_dump(TOY))
    annotations = []
    for number in (1, 2):
        x, y, width, height = box = [20.0, 10.0, 50.0, 70.0]
        joints = np.concatenate([rng.random((8, 2)) * (width, height) + (x, y), np.full((8, 1), 2)], 1)
        person = {"id": number, "image_id": number, "category_id": 1, "iscrowd": 0, "bbox": box, "area": 3500.0}
        annotations.append(person | {"keypoints": joints.ravel().tolist(), "num_keypoints": 8})
    images = [{"id": k, "file_name": f"{name}.png", "width": 120, "height": 90} for k, name in ((1, "a"), (2, "b"))]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    (pictures / "toy.json").write_text(json.dumps(content))
    return str(path), CocoSource(str(pictures / "toy.json"), str(pictures))


def test_eight_joints_from_training_to_overlay(toy, pictures, tmp_path):
    """Two steps, AP by its own sigmas, weights that need no file, 2D inference that says why it is only that."""
    declared, source = toy
    model = {"backbone": BACKBONE, "crop_size": [64, 48], "transformer": SMALL | {"num_queries": 10}}
    task = build_task(KeypointTaskConfig([source], source, skeleton=declared, model=model))
    assert task.metric == "AP"
    best = fit(task, training(tmp_path / "run"))
    assert hub.weights_info(best).info["metrics"].keys() == {"AP", "AP50", "AP75", "AR"}
    (pictures / "toy8.yaml").unlink()
    stage = hub.load_model(best, kind="keypoint_estimator")
    assert stage.skeleton.names == tuple(TOY["names"])

    detector = models.build("person_detector", backbone=BACKBONE | {"levels": [4]}, **SMALL, num_queries=4)
    first = hub.save_model(detector, tmp_path / "detector.safetensors", "person_detector")
    weights = package_prtr(first, best, tmp_path / "toy.safetensors", {}, side=64, threshold=0.01)
    again = package_prtr(weights, best, tmp_path / "again.safetensors", {}, side=64, threshold=0.01)
    pose = load(again, threshold=0.01)
    assert pose.lifter is None
    (note,) = pose.notes
    assert "2D only" in note and "toy8" in note and "\n" not in note
    result = pose(str(pictures / "a.png"), progress=False)
    assert note in result.notes
    assert result.tracks and result.tracks[0].skeleton == stage.skeleton
    assert result.tracks[0].keypoints.shape == (1, 8, 2)
    for path in (tmp_path / "out.json", tmp_path / "out.npz"):
        result.save(path)
        assert load_result(path).tracks[0].skeleton == stage.skeleton
    picture = result.overlay(tmp_path / "overlay.png", str(pictures / "a.png"))
    assert cv2.imread(str(picture)).shape == (90, 120, 3)

    predictor = PosePredictor(hub.load_model(weights), flip_test=True)
    report = run_coco(predictor, source.images, source.annotations, skeleton=stage.skeleton)
    assert report["protocol"]["joints"] == 8
    assert -1 <= report["keypoints"]["AP"] <= 1


def test_a_detector_learns_from_boxes_alone(toy, mpii):
    """Whatever joints their files have."""
    _, source = toy
    model = {"backbone": BACKBONE | {"levels": [4]}, **SMALL, "num_queries": 4}
    config = DetectorTaskConfig([source, mpii], source, sides=[64], validation_side=64, model=model)
    task = build_detector_task(config)
    items = [task.train_set[(index, 3)] for index in range(len(task.train_set))]
    assert [tuple(item["keypoints"].shape[1:]) for item in items] == [(0, 2)] * 4
    assert task.losses(task.model, task.collate(items[:2]))["loss"].isfinite()
    assert task.validate(task.model.eval()).keys() == {"AP", "AP50", "APL"}


@pytest.mark.parametrize("matching", ["ordered", "hungarian"])
def test_new_joints_start_from_weights_that_have_others(matching, toy, tmp_path):
    """The architecture is that of the weights; joints keep what is known of their names, the rest starts fresh."""
    _, source = toy
    transformer = SMALL | {"num_queries": 17, "matching": matching, "readout": "heatmap"}
    old = KeypointEstimator(BACKBONE, transformer, (64, 48))
    path = hub.save_model(old, tmp_path / "old.safetensors", "keypoint_estimator", dtype=torch.float32)
    names = ["tail", "nose", "left_wrist", "right_wrist", "hoof", "mane", "back", "ear"]
    content = {"name": "horse8", "names": names, "flip_pairs": [["left_wrist", "right_wrist"]], "sigmas": 0.1}
    (tmp_path / "horse8.json").write_text(json.dumps(content))
    config = KeypointTaskConfig([source], skeleton=str(tmp_path / "horse8.json"), initial_weights=str(path))
    new = build_task(config).model
    assert new.config["backbone"] == old.config["backbone"]
    known = [0, 9, 10]  # nose and wrists among COCO's
    for name in ("weight", "bias"):
        head, own = getattr(new.transformer.class_embed, name), getattr(old.transformer.class_embed, name)
        assert len(head) == 9
        torch.testing.assert_close(head[[1, 2, 3, 8]], own[[*known, 17]])
    queries, own = new.transformer.query_embed.weight, old.transformer.query_embed.weight
    if matching == "ordered":
        assert len(queries) == 8
        queries, own = queries[1:4], own[known]
    torch.testing.assert_close(queries, own)
    torch.testing.assert_close(new.backbone.state_dict(), old.backbone.state_dict())
    batch = build_task(config)
    assert batch.losses(new, batch.collate([batch.train_set[(0, 1)]]))["loss"].isfinite()


def test_a_table_of_conversion_takes_declared_joints_to_3d(rng):
    """Joints that have a way to Human3.6M's are lifted; what stands for one joint is measured."""
    names = [name for name in COCO17.names if name not in ("left_eye", "right_eye", "left_ear", "right_ear")]
    flips = [[name, name.replace("left", "right")] for name in names if name.startswith("left")]
    means = {
        "pelvis": ["left_hip", "right_hip"],
        "spine": ["left_hip", "right_hip", "left_shoulder", "right_shoulder"],
        "thorax": ["left_shoulder", "right_shoulder"],
        "head": "nose",
    }
    declared = find_skeleton({"name": "body13", "names": names, "flip_pairs": flips, "conversions": {"h36m17": means}})
    lifter = models.build("dstformer", dim=16, depth=1, num_heads=2, dim_rep=16, maxlen=9)
    from cascadepose.types import Track

    count, frames = declared.num_joints, 5
    points = rng.uniform(20, 100, (frames, count, 2))
    track = Track(
        *(1, np.arange(frames), np.arange(frames) / 30, np.tile([10.0, 10, 110, 110], (frames, 1)), np.ones(frames)),
        *(points, np.ones((frames, count)), np.ones_like(points), np.ones(frames, bool)),
        skeleton=declared,
    )
    (lifted,) = Pipeline(None, lifter).lift([track], (120, 120))
    assert lifted.poses3d.joints.shape == (frames, 17, 3)
    assert lifted.poses3d.measured.sum() == 14
    assert lifted.skeleton == declared
