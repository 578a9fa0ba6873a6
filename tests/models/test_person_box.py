"""The second look: boxes read from heat maps of edges, judged, and thinned out again."""

import numpy as np
import pytest
import torch

from cascadepose.models.keypoints import KeypointTransformer
from cascadepose.models.person_box import PersonBox
from cascadepose.models.prtr import PRTR
from cascadepose.models.second_look import agreed, best_of, boxes_in_image, mean_of_boxes
from cascadepose.predictor import PosePredictor

TRANSFORMER = {"d_model": 32, "num_heads": 4, "num_encoder_layers": 1, "num_decoder_layers": 2, "dim_feedforward": 64}
ORDERED = {**TRANSFORMER, "num_queries": 17, "matching": "ordered", "readout": "heatmap", "heatmap_dim": 16}
BACKBONE = {"name": "mobilenetv3_small_050", "levels": [2, 3]}


def peaks(*cells: tuple[int, int]) -> torch.Tensor:
    """One layer, one crop, a map of 8 x 6 cells for each edge with its peak at (row, column)."""
    maps = torch.full((1, 1, 4, 8, 6), -30.0)
    for edge, (row, column) in enumerate(cells):
        maps[0, 0, edge, row, column] = 30.0
    return maps


def test_an_edge_is_where_its_map_peaks_wherever_along_the_edge():
    """Left in column 1, top in row 2, right in column 4, bottom in row 6; the other coordinate does not matter."""
    box = PersonBox(32)
    hs = torch.randn(1, 1, 4, 32)
    wanted = torch.tensor([[3.0 / 6, 4.5 / 8, 3.0 / 6, 4.0 / 8]])  # between the middles of these cells
    for along in (0, 3, 5):
        (found,) = box(hs, peaks((along, 1), (2, along), (along, 4), (6, along)), 1.0)
        torch.testing.assert_close(found["pred_person_boxes"], wanted, atol=1e-4, rtol=0)
    (crossed,) = box(hs, peaks((0, 4), (6, 0), (0, 1), (2, 0)), 1.0)  # edges that change places still make a box
    torch.testing.assert_close(crossed["pred_person_boxes"], wanted, atol=1e-4, rtol=0)


def test_joints_keep_their_shapes_and_the_box_is_one_a_crop():
    torch.manual_seed(0)
    stage = KeypointTransformer(8, **ORDERED, person_box=True)
    out = stage.train()(torch.randn(3, 8, 6, 4))
    assert out["pred_keypoints"].shape == (3, 17, 2) and out["pred_heatmaps"].shape == (3, 17, 6, 4)
    assert out["pred_person_boxes"].shape == (3, 4) and out["pred_person_quality"].shape == (3,)
    assert out["pred_person_columns"].shape == (3, 2, 4) and out["pred_person_rows"].shape == (3, 2, 6)
    assert out["aux_outputs"][0]["pred_person_boxes"].shape == (3, 4)
    assert stage.read_joints(out)[0].shape == (3, 17, 2)
    with pytest.raises(ValueError, match="heatmap"):
        KeypointTransformer(8, **TRANSFORMER, person_box=True)


def test_boxes_go_back_to_the_image_and_stop_at_its_border():
    regions = torch.tensor([[0.5, 0.5, 0.4, 0.8], [0.1, 0.5, 0.4, 0.4]])
    answer = {"pred_person_boxes": torch.tensor([[0.5, 0.25, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]])}
    answer["pred_person_quality"] = torch.tensor([0.0, 20.0])
    boxes, quality = boxes_in_image(answer, regions)
    torch.testing.assert_close(boxes, torch.tensor([[0.5, 0.3, 0.2, 0.4], [0.15, 0.5, 0.3, 0.4]]))
    torch.testing.assert_close(quality, torch.tensor([0.5, 1.0]))


def test_a_mirrored_answer_agrees_with_the_plain_one():
    plain = {"pred_person_boxes": torch.tensor([[0.3, 0.5, 0.2, 0.6]]), "pred_person_quality": torch.tensor([1.0])}
    mirrored = {"pred_person_boxes": torch.tensor([[0.7, 0.5, 0.2, 0.6]]), "pred_person_quality": torch.tensor([3.0])}
    mean = mean_of_boxes(plain, mirrored)
    torch.testing.assert_close(mean["pred_person_boxes"], plain["pred_person_boxes"])
    assert mean["pred_person_quality"].item() == 2.0


def test_the_best_of_each_image_are_kept_best_first():
    boxes = torch.tensor([[0.5, 0.5, 0.4, 0.4], [0.51, 0.5, 0.4, 0.4], [0.5, 0.5, 0.4, 0.4], [0.2, 0.2, 0.1, 0.1]])
    scores, index = torch.tensor([0.6, 0.9, 0.7, 0.3]), torch.tensor([0, 0, 1, 0])
    assert best_of(boxes, scores, index, 0.4, 0.6).tolist() == [1, 2]
    assert best_of(boxes, scores, index, 0.1, 0.6).tolist() == [1, 2, 3]
    assert best_of(boxes, scores, index, 0.1, None).tolist() == [1, 2, 0, 3]
    assert len(best_of(boxes[:0], scores[:0], index[:0], 0.1, 0.6)) == 0


def test_what_both_stages_think_of_a_box():
    """Between their opinions, nearer to the keypoint stage's; nothing where either sees nobody."""
    scores = agreed(torch.tensor([0.5, 0.2, 0.8, 0.0]), torch.tensor([0.5, 0.8, 0.2, 0.9]))
    assert scores[0] == pytest.approx(0.5)
    assert 0.5 < scores[1] < 0.8
    assert 0.2 < scores[2] < 0.5
    assert scores[3] == 0


@pytest.fixture(scope="module")
def prtr() -> PRTR:
    torch.manual_seed(0)
    keypoints = {"backbone": BACKBONE, "transformer": {**ORDERED, "person_box": True}, "crop_size": [64, 48]}
    detector = {"backbone": BACKBONE, "num_queries": 6, **TRANSFORMER}
    model = PRTR(detector, keypoints, detector_side=64, max_people=5, threshold=0.6, look_threshold=0.0, nms_iou=0.9)
    return model.eval()


def with_quality(prtr: PRTR, logit: float) -> PRTR:
    """The model with an opinion of boxes that does not depend on them."""
    head = prtr.keypoints.transformer.person_box.quality.layers[-1]
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.constant_(head.bias, logit)
    return prtr


@pytest.mark.parametrize("flip_test", [False, True])
def test_the_keypoint_stage_may_believe_whom_the_detector_doubts(prtr, make_image, flip_test):
    frames = [make_image(60, 90), make_image(80, 60)]
    unsure = PosePredictor(with_quality(prtr, 0.0), threshold=0.0, flip_test=flip_test).predict(frames)
    assert all(len(p) and (p.box_scores < 0.6).all() for p in unsure)
    sure = PosePredictor(with_quality(prtr, 30.0), threshold=0.6, flip_test=flip_test).predict(frames)
    doubtful = PosePredictor(with_quality(prtr, -30.0), threshold=0.6, flip_test=flip_test).predict(frames)
    assert all(len(p) and (p.box_scores > 0.6).all() for p in sure)
    assert all(len(p) == 0 and p.keypoints.shape == (0, 17, 2) for p in doubtful)
    for people in sure:
        assert (np.diff(people.box_scores) <= 0).all()


def test_boxes_that_are_given_stay_as_they_are(prtr, make_image):
    boxes = np.array([[10, 6, 40, 60], [20, 6, 50, 50]], np.float32)
    (people,) = PosePredictor(with_quality(prtr, -30.0)).predict([make_image(64, 64)], [boxes])
    np.testing.assert_allclose(people.boxes_xyxy, boxes, atol=1e-4)
    assert people.box_scores.tolist() == [1.0, 1.0]


def test_a_loss_on_the_refined_box_reaches_the_first_convolution_and_the_detector(prtr):
    from cascadepose.models.image_batch import ImageBatch

    prtr = prtr.train()
    out = prtr(ImageBatch.from_list([torch.rand(3, 64, 64)]))
    out["refined_boxes"].square().sum().backward()
    for model in (prtr.keypoints, prtr.detector):
        assert next(model.backbone.parameters()).grad.abs().max() > 0
    prtr.eval().zero_grad()


def test_boxes_that_can_be_relied_on_are_cropped_closely(prtr, make_image, monkeypatch):
    """The detector's boxes are cropped with room around them; those of a look before, and given ones, closely."""
    frame, room = make_image(60, 90), []
    crop_people = PRTR.crop_people

    def watched(self, batch, boxes, *rest):
        crops, regions = crop_people(self, batch, boxes, *rest)
        fitted = crop_people(self, batch, boxes, *rest[:-1], 1.0)[1]
        room.append(round(float((regions[:, 2:] / fitted[:, 2:]).nanmean()), 3))
        return crops, regions

    monkeypatch.setattr(PRTR, "crop_people", watched)
    monkeypatch.setattr(prtr, "close_enlarge", 1.1)
    model = with_quality(prtr, 30.0)
    for flip_test in (False, True):
        predictor = PosePredictor(model, threshold=0.0, looks=2, flip_test=flip_test)
        predictor.predict([frame])
        predictor.predict([frame], [np.array([[5.0, 6.0, 45.0, 55.0]])])
        assert room == [1.25, 1.1, 1.1]
        room.clear()
    assert PRTR(**prtr.config).close_enlarge == 1.25  # unless it is said otherwise, all alike


def test_a_second_look_starts_at_the_boxes_of_the_first(prtr, make_image, monkeypatch):
    frame, seen = make_image(60, 90), []
    crop_people = PRTR.crop_people

    def watched(self, batch, boxes, *rest):
        seen.append(boxes)
        return crop_people(self, batch, boxes, *rest)

    monkeypatch.setattr(PRTR, "crop_people", watched)
    model = with_quality(prtr, 30.0)
    (once,) = PosePredictor(model, threshold=0.0).predict([frame])
    first = seen.pop()
    (twice,) = PosePredictor(model, threshold=0.0, looks=2).predict([frame])
    torch.testing.assert_close(seen[0], first)
    again = np.stack([(seen[1][:, 0] - seen[1][:, 2] / 2) * 90, (seen[1][:, 0] + seen[1][:, 2] / 2) * 90], 1)
    np.testing.assert_allclose(again, once.boxes_xyxy[:, 0::2], atol=1e-3)
    assert len(seen) == 2 and len(twice) <= len(once)
    (given,) = PosePredictor(model, looks=2).predict([frame], [once.boxes_xyxy[:1]])
    assert len(seen) == 3 and len(given) == 1  # given boxes are looked at once
