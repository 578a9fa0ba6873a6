"""Files that are whole or not there: everything the package writes goes to a temporary name first."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cascadepose.errors import InputError

_REMEDIES = {
    errno.ENOSPC: "the disk is full: free some space or choose another folder",
    errno.EDQUOT: "the disk quota is used up: free some space or choose another folder",
    errno.EROFS: "the file system is read-only: choose another folder",
    errno.EACCES: "no permission to write there: choose another folder",
    errno.EPERM: "no permission to write there: choose another folder",
    errno.ENOTDIR: "a file is in the way where a folder is needed: choose another name",
    errno.EEXIST: "a file is in the way where a folder is needed: choose another name",
    errno.EISDIR: "a folder is in the way where a file is needed: choose another name",
}


def write_error(path: str | Path, error: OSError) -> InputError:
    """The one-line reason why `path` cannot be written, and what to do."""
    reason = _REMEDIES.get(error.errno, f"{error.strerror or error}: choose another folder")
    return InputError(f"{path}: cannot be written, {reason}")


def read_json(path: str | Path, what: str = "file") -> Any:
    """The content of a JSON file; `what` it is, for the message. Raises InputError."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such {what}; check the path") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except ValueError as error:
        raise InputError(f"{path}: no valid JSON ({error}); the file is damaged or cut off, copy it again") from None


def make_folder(path: str | Path) -> Path:
    """Create the folder if needed and make sure that files can be created in it. Raises InputError."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path, prefix=".cascadepose-"):
            pass
    except OSError as error:
        raise write_error(path, error) from None
    return path


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary name beside `path` with the same suffix; it takes the place of `path` when the block ends well,
    else it is removed.

    Raises InputError when the folder cannot be made or written, or the disk is full.
    """
    path = Path(path)
    make_folder(path.parent)
    temporary = path.with_name(f".{path.stem}.partial-{os.getpid()}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise write_error(path, error) from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
