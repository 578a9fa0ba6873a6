import numpy as np
import pytest
import torch

from cascadepose.errors import InputError
from cascadepose.models.prtr import PRTR
from cascadepose.parallel import map_ahead
from cascadepose.predictor import PosePredictor

BACKBONE = {"name": "mobilenetv3_small_050", "levels": [2, 3]}
TRANSFORMER = {"d_model": 32, "num_heads": 4, "num_encoder_layers": 1, "num_decoder_layers": 1, "dim_feedforward": 64}


@pytest.fixture(scope="module")
def prtr():
    torch.manual_seed(0)
    keypoints = {"backbone": BACKBONE, "transformer": {**TRANSFORMER, "num_queries": 20}, "crop_size": [64, 48]}
    return PRTR({"backbone": BACKBONE, "num_queries": 6, **TRANSFORMER}, keypoints, detector_side=64, max_people=3)


def test_poses_are_in_pixels_of_each_frame(prtr, make_image):
    frames = [make_image(60, 90), make_image(120, 80)]
    poses = PosePredictor(prtr, threshold=0.0).predict(frames)
    assert [len(p) for p in poses] == [3, 3]
    for pose, frame in zip(poses, frames, strict=True):
        size = np.tile([frame.shape[1], frame.shape[0]], 2)
        assert (pose.boxes_xyxy[:, 2:] > pose.boxes_xyxy[:, :2]).all()
        assert (np.abs(pose.boxes_xyxy) < 2 * size).all()
        assert pose.keypoints.shape == (3, 17, 2)


def test_given_boxes_and_flip_test(prtr, make_image):
    """The flip test of a mirrored frame is the mirrored answer."""
    frame = make_image(64, 64)
    boxes = np.array([[10, 6, 40, 60]], np.float32)
    predictor = PosePredictor(prtr, flip_test=True)
    plain = predictor.predict([frame], [boxes])[0]
    mirrored_boxes = np.stack([64 - boxes[:, 2], boxes[:, 1], 64 - boxes[:, 0], boxes[:, 3]], 1)
    mirrored = predictor.predict([np.ascontiguousarray(frame[:, ::-1])], [mirrored_boxes])[0]
    swap = list(plain.skeleton.flip_index)
    expected = mirrored.keypoints[:, swap] * [-1, 1] + [64, 0]
    np.testing.assert_allclose(plain.keypoints, expected, atol=1e-3)
    np.testing.assert_allclose(plain.boxes_xyxy, boxes, atol=1e-4)


def test_several_threads_at_the_same_time(prtr, make_image):
    """Who works on a frame does not change the answer."""
    frames = [make_image(60, 90) for _ in range(7)]
    predictor = PosePredictor(prtr, threshold=0.0)
    found = map_ahead(lambda frame: predictor.predict([frame])[0], frames, workers=3)
    for one, (_, other) in zip(predictor.predict(frames), found, strict=True):
        np.testing.assert_allclose(one.keypoints, other.keypoints, atol=1e-3)
        np.testing.assert_allclose(one.boxes_xyxy, other.boxes_xyxy, atol=1e-3)


@pytest.mark.parametrize("flip_test", [False, True])
def test_a_crowd_is_worked_on_in_parts(prtr, make_image, monkeypatch, flip_test):
    frames = [make_image(60, 90) for _ in range(3)]
    together = PosePredictor(prtr, threshold=0.0, flip_test=flip_test).predict(frames)
    monkeypatch.setattr("cascadepose.predictor._CROPS_AT_ONCE", (2, 2))
    for one, other in zip(
        together, PosePredictor(prtr, threshold=0.0, flip_test=flip_test).predict(frames), strict=True
    ):
        assert len(one) == 3
        np.testing.assert_allclose(one.keypoints, other.keypoints, atol=1e-3)
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)


def test_no_look_at_all(prtr, make_image):
    with pytest.raises(InputError, match="give 1 or more"):
        PosePredictor(prtr, looks=0)
    with pytest.raises(InputError, match="give 1 or more"):
        PosePredictor(prtr).predict([make_image(60, 90)], detect_every=0)


@pytest.fixture(scope="module")
def looking_again():
    torch.manual_seed(0)
    ordered = {"num_queries": 17, "matching": "ordered", "readout": "heatmap", "person_box": True}
    keypoints = {"backbone": BACKBONE, "transformer": TRANSFORMER | ordered, "crop_size": [64, 48]}
    detector = {"backbone": BACKBONE, "num_queries": 6, **TRANSFORMER}
    return PRTR(detector, keypoints, detector_side=64, max_people=3, look_threshold=0.0)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_frames_that_share_a_look_of_the_detector(looking_again, make_image, monkeypatch, count):
    """Where nothing moves the answer is that of a look at each frame; the detector sees the middle ones only."""
    detected = []
    detect = looking_again.detect
    monkeypatch.setattr(looking_again, "detect", lambda batch: detected.append(batch) or detect(batch))
    frames, predictor = [make_image(60, 90)] * count, PosePredictor(looking_again, threshold=0.0)
    each, shared = predictor.predict(frames), predictor.predict(frames, detect_every=3)
    assert [len(batch) for batch in detected] == [count, -(-count // 3)]
    for one, other in zip(each, shared, strict=True):
        assert len(one) == len(other) > 0
        np.testing.assert_allclose(one.keypoints, other.keypoints, atol=1e-3)
        np.testing.assert_allclose(one.boxes_xyxy, other.boxes_xyxy, atol=1e-3)
        np.testing.assert_allclose(one.box_scores, other.box_scores, atol=1e-5)


def test_shared_looks_are_at_the_middle_and_answered_in_each_frame(looking_again, make_image):
    """Boxes come from the middle frame of three, joints from each frame's own pixels."""
    frames = [make_image(60, 90) for _ in range(5)]
    predictor = PosePredictor(looking_again, threshold=0.0)
    found = predictor.predict(frames, detect_every=3)
    for middle, others in ((1, (0, 2)), (3, (4,))):
        alone = predictor.predict([frames[middle]])[0]
        np.testing.assert_allclose(found[middle].keypoints, alone.keypoints, atol=1e-3)
        for other in others:
            again = predictor.predict([frames[other], frames[middle], frames[other]], detect_every=3)
            np.testing.assert_allclose(found[other].keypoints, again[0].keypoints, atol=1e-3)
            assert np.abs(found[other].keypoints - found[middle].keypoints).max() > 0.1


def test_boxes_that_nobody_corrects_are_not_shared(prtr, make_image):
    frames = [make_image(60, 90) for _ in range(3)]
    predictor = PosePredictor(prtr, threshold=0.0)
    for one, other in zip(predictor.predict(frames), predictor.predict(frames, detect_every=3), strict=True):
        np.testing.assert_array_equal(one.boxes_xyxy, other.boxes_xyxy)


def test_nobody(prtr, make_image):
    assert len(PosePredictor(prtr, threshold=1.0).predict([make_image()])[0]) == 0
    assert PosePredictor(prtr).predict([]) == []


def test_frames_of_another_kind_are_named(prtr):
    with pytest.raises(InputError, match="uint8 RGB"):
        PosePredictor(prtr).predict([np.zeros((4, 4), np.uint8)])


def test_the_flip_test_finds_whom_the_mirrored_frame_shows(make_image):
    """A detector whose duplicates are suppressed: the people of a frame and those of its mirror image are the same."""
    torch.manual_seed(0)
    keypoints = {"backbone": BACKBONE, "transformer": {**TRANSFORMER, "num_queries": 20}, "crop_size": [64, 48]}
    detector = {"backbone": BACKBONE, "num_queries": 6, **TRANSFORMER}
    model = PRTR(detector, keypoints, detector_side=64, max_people=20, nms_iou=0.9)
    torch.nn.init.normal_(model.detector.query_embed.weight, std=3.0)
    frames = [make_image(60, 90), make_image(120, 80)]
    plain = PosePredictor(model, threshold=0.0).predict(frames)
    predictor = PosePredictor(model, threshold=0.0, flip_test=True)
    both = predictor.predict(frames)
    turned = predictor.predict([np.ascontiguousarray(frame[:, ::-1]) for frame in frames])
    for one, other, few, frame in zip(both, turned, plain, frames, strict=True):
        assert len(one) == len(other) > len(few)
        width = frame.shape[1]
        boxes = np.stack([width - other.boxes_xyxy[:, 2], width - other.boxes_xyxy[:, 0]], 1)
        order, expected = np.argsort(one.box_scores), np.argsort(other.box_scores)
        np.testing.assert_allclose(one.box_scores[order], other.box_scores[expected], atol=1e-5)
        np.testing.assert_allclose(one.boxes_xyxy[order][:, [0, 2]], boxes[expected], atol=0.01)
