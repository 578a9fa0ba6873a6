"""Files that are whole or not there: everything the package writes goes to a temporary name first."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
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
    errno.EFBIG: "it would be larger than files may be here: raise the limit (ulimit -f) or choose another disk",
    errno.ENAMETOOLONG: "the name is too long: choose a shorter one",
}
_FULL = 1 << 16  # bytes free, below which a write that failed for no stated reason failed for want of space


class WriteError(InputError):
    """A file that cannot be written: `path`, and the `reason` with its remedy."""

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{path}: cannot be written, {reason}")
        self.path, self.reason = Path(path), reason


class PartlyWritten(InputError):
    """Some files could not be written, for the reasons `failed`; those `written` are whole."""

    def __init__(self, failed: Sequence[InputError], written: Sequence[Path]) -> None:
        kept = f"; written: {_listed(written)}" if written else ""
        super().__init__("; ".join(_grouped(failed)) + kept)
        self.failed, self.written = list(failed), list(written)


def write_error(path: str | Path, error: OSError) -> WriteError:
    """The one-line reason why `path` cannot be written, and what to do."""
    code = error.errno
    if code in (None, errno.EIO) and _is_full(Path(path).parent):
        code = errno.ENOSPC
    return WriteError(path, _REMEDIES.get(code, f"{error.strerror or error}: choose another folder"))


def write_each(jobs: Iterable[Callable[[], Iterable[Path]]]) -> list[Path]:
    """Run every job, each of which writes files and returns their paths, and return them all.

    A job that fails with InputError does not keep the others from running. Raises that error afterwards where it is the
    only one and nothing was written, else PartlyWritten.
    """
    written: list[Path] = []
    failed: list[InputError] = []
    for job in jobs:
        try:
            written += job()
        except PartlyWritten as error:
            failed += error.failed
            written += error.written
        except InputError as error:
            failed.append(error)
    if len(failed) == 1 and not written:
        raise failed[0]
    if failed:
        raise PartlyWritten(failed, written)
    return written


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
        with writing(path):
            yield temporary
            os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_paths(paths: Iterable[str | Path]) -> Iterator[list[Path]]:
    """Like `atomic_path` for files that belong together: all of them appear, or none. In the block, `writing` says
    which of them it is about.
    """
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(atomic_path(path)) for path in paths]


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Turn what the system says about a failed write of `path` into one line with the remedy. Raises InputError."""
    try:
        yield
    except OSError as error:
        raise write_error(path, error) from None


def _is_full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < _FULL
    except OSError:
        return False


def _grouped(failed: Sequence[InputError]) -> list[str]:
    """A line of text for each reason, with all files that it is the reason for."""
    groups: dict[str, list[Path]] = {}
    others = []
    for error in failed:
        if isinstance(error, WriteError):
            paths = groups.setdefault(error.reason, [])
            paths += [error.path] if error.path not in paths else []
        elif str(error) not in others:
            others.append(str(error))
    return [f"{_listed(paths)}: cannot be written, {reason}" for reason, paths in groups.items()] + others


def _listed(paths: Sequence[Path]) -> str:
    """Paths with commas between them, each folder said once."""
    names = []
    for path, last in zip(paths, [None, *paths], strict=False):
        names.append(path.name if last is not None and last.parent == path.parent else str(path))
    return ", ".join(names)
