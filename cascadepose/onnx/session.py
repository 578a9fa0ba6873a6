"""onnxruntime: opening a file, on the device and threads that torch uses."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
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


class ThreadSessions:
    """A file opened once for every number of threads that torch has where it is used: a thread that works beside
    others (`parallel.map_ahead`) has one, and onnxruntime would start as many for each of them as for one alone.
    """

    def __init__(self, path: str | Path, device: str | torch.device = "cpu"):
        self.path, self.device = path, device
        self._opened: dict[int, onnxruntime.InferenceSession] = {}
        self._opening = Lock()

    def here(self) -> onnxruntime.InferenceSession:
        """The session for the calling thread. Raises InputError as `open_session` does."""
        import torch

        with self._opening:
            threads = torch.get_num_threads()
            if threads not in self._opened:
                self._opened[threads] = open_session(self.path, self.device)
            return self._opened[threads]
