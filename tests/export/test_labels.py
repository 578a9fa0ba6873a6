"""Labels of other tools, made with stand-ins that have their documented fields."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from cascadepose.errors import InputError
from cascadepose.export.labels import to_fiftyone, to_supervision
from cascadepose.types import Track, VideoResult


@pytest.fixture
def result(rng) -> VideoResult:
    def track(number: int, observed: list[bool]) -> Track:
        count = len(observed)
        arrays = {"boxes_xyxy": np.tile([10.0, 20, 30, 60], (count, 1)), "box_scores": np.full(count, 0.5)}
        arrays |= {"keypoints": rng.uniform(0, 80, (count, 17, 2)), "sigma": np.ones((count, 17, 2))}
        scores = np.full((count, 17), 0.25)
        return Track(number, np.arange(count), np.arange(count) / 25, scores=scores, observed=observed, **arrays)

    return VideoResult([track(3, [True, True]), track(7, [True, False])], (100, 80), 25.0, np.arange(3) / 25, "x.mp4")


@pytest.fixture
def stand_ins(monkeypatch):
    def keypoints(xy, class_id=None, confidence=None, data=None):
        return SimpleNamespace(xy=xy, class_id=class_id, confidence=confidence)

    def detections(xyxy, mask=None, confidence=None, class_id=None, tracker_id=None, data=None, metadata=None):
        return SimpleNamespace(xyxy=xyxy, confidence=confidence, class_id=class_id, tracker_id=tracker_id)

    monkeypatch.setitem(sys.modules, "supervision", SimpleNamespace(KeyPoints=keypoints, Detections=detections))
    kinds = dict.fromkeys(("Keypoint", "Keypoints", "Detection", "Detections"), SimpleNamespace)
    monkeypatch.setitem(sys.modules, "fiftyone", SimpleNamespace(**kinds))


def test_supervision(result, stand_ins):
    keypoints, detections = to_supervision(result, 0)
    assert keypoints.xy.shape == (2, 17, 2)
    np.testing.assert_allclose(keypoints.xy[1], result.tracks[1].keypoints[0])
    assert keypoints.confidence.shape == (2, 17)
    assert detections.tracker_id.tolist() == [3, 7]
    assert detections.xyxy[0].tolist() == [10, 20, 30, 60]
    keypoints, detections = to_supervision(result, 1)
    assert detections.tracker_id.tolist() == [3]
    keypoints, detections = to_supervision(result, 2)
    assert (keypoints.xy.shape, detections.xyxy.shape) == ((0, 17, 2), (0, 4))


def test_fiftyone(result, stand_ins):
    keypoints, detections = to_fiftyone(result, 0)
    assert [person.index for person in keypoints.keypoints] == [3, 7]
    points = np.array(keypoints.keypoints[0].points) * (100, 80)
    np.testing.assert_allclose(points, result.tracks[0].keypoints[0], atol=1e-4)
    np.testing.assert_allclose(detections.detections[0].bounding_box, [0.1, 0.25, 0.2, 0.5])
    assert detections.detections[0].confidence == 0.5
    assert len(to_fiftyone(result, 1)[0].keypoints) == 1


@pytest.mark.parametrize("name, make", [("supervision", to_supervision), ("fiftyone", to_fiftyone)])
def test_a_missing_package_is_named(name, make, result, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=f"{name} is not installed: pip install {name}"):
        make(result)
