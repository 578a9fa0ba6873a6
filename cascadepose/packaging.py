"""Putting a trained detector and a trained keypoint stage together as one PRTR weights file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cascadepose.errors import InputError


def package_prtr(
    detector: str | Path,
    keypoints: str | Path,
    out: str | Path,
    info: Mapping[str, Any],
    side: int = 320,
    threshold: float = 0.5,
    nms_iou: float | None = None,
    look_threshold: float | None = None,
    max_people: int = 20,
) -> Path:
    """Write a two-stage PRTR with folded backbones; returns `out`.

    detector, keypoints  weights of the two stages, as training writes them; a PRTR gives its detector too
    info                 facts that stay with the weights: data, recipe, scores, licence
    side                 longer side in px of the picture that the detector sees
    threshold            person score from which a person is believed
    look_threshold       the detector's, from which a keypoint stage that looks for boxes looks (None: threshold)
    nms_iou              suppress the worse of two boxes that overlap more than this
    max_people           the most people of a picture that the keypoint stage looks at
    Raises InputError for weights that cannot be read or are of another kind, and where `out` cannot be written.
    """
    from cascadepose.hub import load_model, save_model, weights_info
    from cascadepose.models.prtr import PRTR

    whole = weights_info(detector).kind == "prtr"
    first = load_model(detector).detector if whole else load_model(detector, kind="person_detector")
    parts = first, load_model(keypoints, kind="keypoint_estimator")
    for part in parts:  # `config` is what the package's model is built from
        if not part.config["backbone"].get("folded", False):
            part.backbone.fold()
        part.config["backbone"] = part.config["backbone"] | {"folded": True}
    height, width = parts[1].crop_size
    model = PRTR(
        parts[0].config,
        parts[1].config,
        "image",
        detector_side=side,
        aspect=width / height,
        threshold=threshold,
        nms_iou=nms_iou,
        look_threshold=look_threshold,
        max_people=max_people,
    )
    model.detector.load_state_dict(parts[0].state_dict())
    model.keypoints.load_state_dict(parts[1].state_dict())
    try:
        save_model(model, out, "prtr", dict(info))
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror or error}); choose another folder") from None
    return Path(out)
