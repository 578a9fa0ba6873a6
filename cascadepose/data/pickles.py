"""Pickled arrays out of other people's data files, without running any code that such a file may carry.

Human3.6M, MPI-INF-3DHP and HumanEva are passed around as npz files that hold a pickled dictionary, or as plain pickles.
Loading a pickle can call anything. Here its opcodes build only numbers, text, lists, dictionaries and stand-ins for
numpy's arrays, types and scalars, which are filled by `numpy.frombuffer`; any other name in the file is refused before
it is looked up.
"""

from __future__ import annotations

import io
import pickle
import re
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from cascadepose.errors import InputError

__all__ = ["read_npz", "read_pickle"]

_SIMPLE_TYPE = re.compile(r"[<>|=]?([biufSUO])(\d*)")
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npz(path: str | Path) -> dict[str, Any]:
    """Every member of an npz file by name; a pickled object for a member that is one (usually a dictionary).

    Raises InputError: no such file, damaged, no npz, objects other than plain values and arrays.
    """

    def read(file: BinaryIO) -> dict[str, Any]:
        with zipfile.ZipFile(file) as archive:
            return {name.removesuffix(".npy"): _read_member(archive.read(name)) for name in archive.namelist()}

    return _read_file(path, read)


def read_pickle(path: str | Path) -> Any:
    """The content of a pickle of plain values and numpy arrays. Raises InputError as `read_npz` does."""
    return _read_file(path, _load)


class _RefusedError(Exception):
    """The pickle asks for a name that is not allowed."""


def _read_file(path: str | Path, read: Callable[[BinaryIO], Any]) -> Any:
    try:
        with Path(path).open("rb") as file:
            return read(file)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); check the path") from None
    except _RefusedError as error:
        raise InputError(
            f"{path}: holds Python objects besides arrays ({error}), which are not loaded for safety (nothing of the "
            "file was run); save it again as arrays and dictionaries only"
        ) from None
    except (zipfile.BadZipFile, zlib.error, pickle.UnpicklingError, RecursionError, MemoryError) as error:
        raise _damaged(path, error) from None
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, NotImplementedError) as error:
        raise _damaged(path, error) from None


def _damaged(path: str | Path, error: Exception) -> InputError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return InputError(f"{path}: cannot be read ({reason}); it is damaged, cut off or of another kind, copy it again")


def _read_member(content: bytes) -> Any:
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"array format {version}")
    dtype = _HEADERS[version](file)[2]
    if dtype.hasobject:
        return _load(file)
    return np.load(io.BytesIO(content), allow_pickle=False)


def _load(file: BinaryIO) -> Any:
    return _plain(_Unpickler(file, encoding="latin1").load())  # Python 2 wrote bytes as text


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (found := _ALLOWED.get((module.replace("numpy._core", "numpy.core"), name))) is None:
            raise _RefusedError(f"{module}.{name}")
        return found if isinstance(found, type) else _Call(found)


class _Call:
    """A function of ours for the pickle to call; nothing can be set on it."""

    __slots__ = ("function",)

    def __init__(self, function: Callable):
        self.function = function

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise _RefusedError("state of a function")


class _Type:
    """Stands for numpy.dtype: one of the simple types."""

    def __init__(self, code: Any, *_: Any):
        match = _SIMPLE_TYPE.fullmatch(code) if isinstance(code, str) else None
        if match is None:
            raise _RefusedError(f"numpy type {code!r}")
        self.code, self.order = match[0].lstrip("<>|="), ""

    def __setstate__(self, state: tuple) -> None:
        self.order = state[1] if state[1] in ("<", ">") else ""

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(self.order + self.code)


class _Array:
    """Stands for numpy.ndarray until everything is read."""

    def __setstate__(self, state: tuple) -> None:
        self.shape, self.type, self.fortran, self.data = state[-4:]


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _scalar(kind: _Type, data: Any = b"") -> Any:
    return data if kind.dtype.hasobject else np.frombuffer(_bytes(data), kind.dtype)[0]


def _frombuffer(data: Any, kind: _Type, shape: tuple, order: str) -> np.ndarray:
    return np.frombuffer(_bytes(data), kind.dtype).reshape(shape, order="F" if order == "F" else "C")


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise _RefusedError(f"encoding {encoding!r}")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    return b""


def _bytes(data: Any) -> bytes:
    if isinstance(data, str):
        return data.encode("latin1")
    if not isinstance(data, bytes | bytearray):
        raise TypeError(f"an array's data is a {type(data).__name__}")
    return bytes(data)


def _plain(value: Any) -> Any:
    """The stand-ins within a loaded object replaced by arrays; the one object of a 0-d object array is itself."""
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(item) for item in value)
    if not isinstance(value, _Array):
        return value
    order = "F" if value.fortran else "C"
    if not value.type.dtype.hasobject:
        return np.frombuffer(_bytes(value.data), value.type.dtype).reshape(value.shape, order=order)
    items = np.empty(len(value.data), object)
    for index, item in enumerate(value.data):
        items[index] = _plain(item)
    array = items.reshape(value.shape, order=order)
    return array.item() if array.shape == () else array


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _frombuffer,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): _no_bytes,  # how protocols before 3 write the empty ones
    ("collections", "OrderedDict"): dict,
}
