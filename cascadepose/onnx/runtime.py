"""The pipeline's networks on onnxruntime: modules that stand in for torch's and answer alike.

What is not a network (resizing, cropping, windows, tracking) stays as it is. Files are exported once and kept in
`store_folder()` under the digest of the weights that they were made of.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from cascadepose.errors import InputError
from cascadepose.models.detector import pad_stack
from cascadepose.models.image_batch import ImageBatch
from cascadepose.models.readout import read_assigned, read_ordered
from cascadepose.onnx.export import FORMAT, OPSET, export_onnx
from cascadepose.onnx.graphs import map_levels
from cascadepose.onnx.session import ThreadSessions

if TYPE_CHECKING:
    from cascadepose.hub import WeightsInfo

_log = logging.getLogger(__name__)


def store_folder() -> Path:
    """Where exported files are kept: $CASCADEPOSE_CACHE/onnx, else the user's cache directory."""
    if own := os.environ.get("CASCADEPOSE_CACHE"):
        return Path(own).expanduser() / "onnx"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "cascadepose" / "onnx"


def on_onnxruntime(
    model: nn.Module, info: WeightsInfo, device: torch.device, folder: str | Path | None = None
) -> nn.Module:
    """A PRTR or lifter whose networks run on onnxruntime; torch keeps what lies between them.

    info: of the weights that the model was loaded from. folder: with files of `export_onnx`; stages that it lacks are
        exported into it. None: `store_folder()`.
    Raises InputError: missing packages, files made of other weights, devices that onnxruntime cannot use.
    """
    if hasattr(model, "input_skeleton"):
        return SessionLifter(model, _open(model, info, "lifter", device, folder))
    model.detector = SessionDetector(_open(model, info, "detector", device, folder), map_levels(model))
    model.keypoints = SessionKeypoints(_open(model, info, "keypoints", device, folder), model.keypoints.sharpness)
    return model


def _open(
    model: nn.Module, info: WeightsInfo, stage: str, device: torch.device, folder: str | Path | None
) -> ThreadSessions:
    """The sessions of a stage, of a file that is there or is made now."""
    name = info.path.stem
    if folder is None:
        folder, name = store_folder(), f"{name}-{info.sha256[:16]}-opset{OPSET}-{FORMAT.rpartition('/')[2]}"
    path = Path(folder) / f"{name}.{stage}.onnx"
    if not path.exists():
        _log.info("exporting the %s of %s to %s, once", stage, info.name, path)
        export_onnx(info.path, folder, [stage], name=name)
    sessions = ThreadSessions(path, device)
    facts = sessions.here().get_modelmeta().custom_metadata_map
    if facts.get("format") != FORMAT or facts.get("stage") != stage or facts.get("sha256") != info.sha256:
        raise InputError(f"{path}: not the {stage} of {info.name} (of other weights?); remove it, or export it again")
    return sessions


def _run(sessions: ThreadSessions, x: Tensor) -> list[Tensor]:
    """The outputs for one input, on its device."""
    session = sessions.here()
    (entry,) = session.get_inputs()
    try:
        found = session.run(None, {entry.name: x.float().cpu().contiguous().numpy()})
    except Exception as error:  # its exceptions share no class but this one
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"onnxruntime fails on {entry.name} {list(x.shape)} ({reason}); use backend torch") from None
    return [torch.from_numpy(value).to(x.device) for value in found]


class SessionDetector(nn.Module):
    """Answers like a `PersonDetector` at inference, without its earlier layers.

    Pictures of one size share a run; none is padded, so that no answer depends on its neighbours. levels: the maps that
    it returns.
    """

    def __init__(self, sessions: ThreadSessions, levels: list[int]):
        super().__init__()
        self.sessions, self.levels = sessions, levels

    def forward(self, batch: ImageBatch) -> dict[str, Any]:
        answers: list[list[Tensor]] = [[] for _ in batch.sizes]
        for size, indices in batch.groups().items():
            found = _run(self.sessions, batch.select(indices, size))
            for slot, index in enumerate(indices):
                answers[index] = [value[slot] for value in found]
        logits, boxes, *maps = zip(*answers, strict=True)
        stacked = [pad_stack(level) for level in maps]
        ratios = [sizes.flip(-1) / sizes.new_tensor([m.shape[-1], m.shape[-2]]) for m, sizes in stacked]
        return {
            "pred_logits": torch.stack(logits),
            "pred_boxes": torch.stack(boxes),
            "aux_outputs": [],
            "features": dict(zip(self.levels, (m for m, _ in stacked), strict=True)),
            "feature_ratios": dict(zip(self.levels, ratios, strict=True)),
        }


class SessionKeypoints(nn.Module):
    """Answers like a keypoint stage at inference, without its earlier layers."""

    def __init__(self, sessions: ThreadSessions, sharpness: float = 1.0):
        super().__init__()
        self.sessions, self.sharpness = sessions, sharpness
        self.names = [entry.name for entry in sessions.here().get_outputs()]

    def forward(self, crops: Tensor) -> dict[str, Tensor]:
        if len(crops) == 0:  # runtimes stumble over batches of nobody
            return {name: value[:0] for name, value in self(crops.new_zeros(1, *crops.shape[1:])).items()}
        return dict(zip(self.names, _run(self.sessions, crops), strict=True))

    def read_joints(self, out: dict) -> tuple[Tensor, Tensor, Tensor]:
        """Keypoints [N, K, 2], scores [N, K], sigma [N, K, 2], of PRTR's outputs or of these."""
        scores = out.get("crop_outputs", out).get("scores")
        if scores is None:  # of both sides of a crop, or of a model whose queries are matched to joints
            return read_ordered(out) if "pred_heatmaps" in out else read_assigned(out)
        return out["pred_keypoints"], scores, out["pred_kpt_sigma"]


class SessionLifter(nn.Module):
    """Answers like a lifter, and declares what that one declares.

    What a graph does not hold (the tips of a stream) is asked of torch.
    """

    def __init__(self, lifter: nn.Module, sessions: ThreadSessions):
        super().__init__()
        self.lifter, self.sessions = lifter, sessions

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("lifter"), name)

    def forward(self, x: Tensor, *more: Any) -> Tensor:
        return self.lifter(x, *more) if more else _run(self.sessions, x)[0]
