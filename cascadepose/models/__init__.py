"""Neural networks. `build` makes one from a plain configuration, as a weights file holds it."""

from torch import nn


def build(kind: str, **config) -> nn.Module:
    """A model of one of the `KINDS`, from the keyword arguments that its `config` attribute holds.

    Raises ValueError for a kind that does not exist.
    """
    return model_class(kind)(**config)


def model_class(kind: str) -> type[nn.Module]:
    """The class that `build` calls for one of the `KINDS`. Raises ValueError for a kind that does not exist."""
    import importlib

    if kind not in KINDS:
        raise ValueError(f'unknown model kind "{kind}": use one of {", ".join(KINDS)}')
    module, name = KINDS[kind]
    return getattr(importlib.import_module(module, __name__), name)


KINDS = {
    "person_detector": (".detector", "PersonDetector"),
    "keypoint_estimator": (".keypoints", "KeypointEstimator"),
    "prtr": (".prtr", "PRTR"),
    "dstformer": (".lifters.dstformer", "DSTformer"),
    "poseformer": (".lifters.poseformer", "PoseFormer"),
    "poseformerv2": (".lifters.poseformerv2", "PoseFormerV2"),
    "strided": (".lifters.strided", "StridedTransformer"),
    "strided_refine": (".refine", "ReprojectionRefine"),
    "tcn": (".lifters.tcn", "TCN"),
}
