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


def kind_of(model: nn.Module) -> str:
    """The kind that `build` would make such a model from. Raises ValueError for a class that none has."""
    found = [kind for kind, (_, name) in KINDS.items() if name == type(model).__name__]
    if not found:
        raise ValueError(f"a {type(model).__name__} is no kind of model: use one of {', '.join(KINDS)}")
    return found[0]


KINDS = {
    "person_detector": (".detector", "PersonDetector"),
    "keypoint_estimator": (".keypoints", "KeypointEstimator"),
    "prtr": (".prtr", "PRTR"),
    "cascade": (".cascade", "CascadePose"),
    "dstformer": (".lifters.dstformer", "DSTformer"),
    "poseformer": (".lifters.poseformer", "PoseFormer"),
    "poseformerv2": (".lifters.poseformerv2", "PoseFormerV2"),
    "strided": (".lifters.strided", "StridedTransformer"),
    "strided_refine": (".refine", "ReprojectionRefine"),
    "tcn": (".lifters.tcn", "TCN"),
}
