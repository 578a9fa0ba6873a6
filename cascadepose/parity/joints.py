"""Joint conversions to Human3.6M's seventeen joints."""

from __future__ import annotations

from cascadepose.geometry import normalize_longer
from cascadepose.normalization import lend_legs
from cascadepose.parity.cases import Case
from cascadepose.parity.compare import PIXELS, Comparison, compare
from cascadepose.skeletons import COCO17

CAMERAS = {"cam_720p": (1280, 720), "cam_portrait": (720, 1280)}  # (width, height) of the case's two images


def coco2h36m(case: Case) -> list[Comparison]:
    """MotionBERT's conversion, which averages the third channel like a coordinate, and its camera coordinates."""
    keypoints = case.inputs["coco"]
    found = [compare("h36m", COCO17.convert(keypoints)[0], case.outputs["h36m"], PIXELS)]
    for name, size in CAMERAS.items():
        found.append(compare(name, normalize_longer(keypoints[..., :2], size), case.outputs[name]))
    return found


def coco_to_h36m(case: Case) -> list[Comparison]:
    """The conversion of the MHFormer and Strided Transformer demos (GAST-Net), and its repair of unseen legs."""
    joints, scores, _ = COCO17.convert(case.inputs["coco"], case.inputs["score"], style="gast")
    return [
        compare("h36m", joints, case.outputs["h36m"], PIXELS),
        compare("score", scores, case.outputs["score"]),
        compare("revised", lend_legs(joints, scores), case.outputs["revised"], PIXELS),
    ]
