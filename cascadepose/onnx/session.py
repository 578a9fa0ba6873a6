"""onnxruntime: opening a file, on the device and threads that torch uses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cascadepose.errors import InputError

if TYPE_CHECKING:
    import onnxruntime
    import torch

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def open_session(path: str | Path, device: str | torch.device = "cpu") -> onnxruntime.InferenceSession:
    """A session with as many threads as torch has.

    Raises InputError for files that onnxruntime does not open and for devices that this build of it does not know.
    """
    import torch

    from cascadepose.onnx.export import require

    require("onnxruntime")
    import onnxruntime

    place = torch.device(device)
    provider = _PROVIDERS.get(place.type)
    if provider not in onnxruntime.get_available_providers():
        raise InputError(f"onnxruntime cannot use {place}: install onnxruntime-gpu, or give device cpu")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors; warnings are about initialisers that its own optimiser leaves over
    where = (provider, {"device_id": place.index or 0}) if place.type == "cuda" else provider
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=[where])
    except Exception as error:  # its exceptions share no class but this one
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: onnxruntime does not open it ({reason}); export it again") from None
