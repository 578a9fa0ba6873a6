"""Putting a trained detector and a trained keypoint stage together as one PRTR weights file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cascadepose.errors import InputError

if TYPE_CHECKING:
    from torch import nn


def package_prtr(
    detector: str | Path,
    keypoints: str | Path | Sequence[str | Path] | Mapping[str | Path, float],
    out: str | Path,
    info: Mapping[str, Any],
    *,
    side: int = 320,
    threshold: float = 0.5,
    nms_iou: float | None = None,
    look_threshold: float | None = None,
    max_people: int = 20,
    close_enlarge: float | None = None,
) -> Path:
    """Write a two-stage PRTR with folded backbones; returns `out`.

    detector, keypoints  weights of the two stages, as training writes them, or of whole PRTRs; of several keypoint
                         stages, one trained on from the other, the mean is packaged, see `mean_of_weights`
    info                 facts that stay with the weights: data, recipe, scores, licence
    side                 longer side in px of the picture that the detector sees
    threshold            person score from which a person is believed
    look_threshold       the detector's, from which a keypoint stage that looks for boxes looks (None: threshold)
    nms_iou              suppress the worse of two boxes that overlap more than this
    max_people           the most people of a picture that the keypoint stage looks at
    close_enlarge        size of a crop over that of a box which is given or corrected (None: 1.25, as for any other)
    Raises InputError for weights that cannot be read or are of another kind, and where `out` cannot be written.
    """
    from cascadepose.hub import save_model
    from cascadepose.models.prtr import PRTR

    files = [keypoints] if isinstance(keypoints, str | Path) else keypoints
    parts = load_part(detector, "person_detector"), mean_of_weights(files)
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
        close_enlarge=close_enlarge,
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


def mean_of_weights(
    files: Sequence[str | Path] | Mapping[str | Path, float], kind: str = "keypoint_estimator"
) -> nn.Module:
    """The model whose weights are the mean of those in `files`: better than each, where all of them were trained on
    from the same weights (model soups, Wortsman et al., ICML 2022, section 3).

    files: with how much each counts, relative to the others, or all alike. Of several crop sizes the last one stays.
    kind: of the models; of a two-stage PRTR the stage of that kind is meant.
    Raises InputError for no file, files that cannot be read, of another kind, or of models of different shapes, and
    where one counts nothing.
    """
    shares = dict(files) if isinstance(files, Mapping) else Counter(files)
    if not shares:
        raise InputError(f"no weights of a {kind} given; name at least one file")
    if nothing := [file for file, share in shares.items() if not share > 0]:
        raise InputError(f"{nothing[0]}: counts {shares[nothing[0]]} in the mean; give more than 0, or leave it out")
    models = {file: load_part(file, kind) for file in shares}
    *_, (last_file, last) = models.items()
    for file, model in models.items():
        if model.config | {"crop_size": None} != last.config | {"crop_size": None}:
            raise InputError(f"{file} and {last_file} are of different shapes and have no mean; give one of them")
    states, mean = {file: model.state_dict() for file, model in models.items()}, last.state_dict()
    for name, tensor in mean.items():
        if tensor.is_floating_point():
            total = sum(share * states[file][name].double() for file, share in shares.items())
            mean[name] = total.div(sum(shares.values())).to(tensor.dtype)
    last.load_state_dict(mean)
    return last


def load_part(file: str | Path, kind: str) -> nn.Module:
    """The model of a file, or the stage of that kind of the PRTR which it holds; in eval mode.

    Raises InputError for a file that cannot be read, or holds nothing of that kind.
    """
    from cascadepose.hub import load_model
    from cascadepose.models import model_class
    from cascadepose.models.prtr import PRTR

    model = load_model(file)
    for part in (model, model.detector, model.keypoints) if isinstance(model, PRTR) else (model,):
        if isinstance(part, model_class(kind)):
            return part
    raise InputError(f"{file}: holds no {kind}; give weights of one, or of a PRTR that has one")
