"""What readers of other people's files have in common: whatever is odd in a file ends in one line that names it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from cascadepose.errors import InputError

__all__ = ["expects"]

P, R = ParamSpec("P"), TypeVar("R")
ODD = (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError)  # what a wrong type or shape raises


def expects(layout: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A reader, whose first argument is a path, that says which layout was expected where a file has another one."""

    def decorate(read: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(read)

        @functools.wraps(read)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            given = list(signature.bind(*args, **kwargs).arguments.values())
            path = given[0]
            try:
                return read(*args, **kwargs)
            except InputError as error:
                if any(str(value) in str(error) for value in given if isinstance(value, str | Path)):
                    raise
                raise InputError(f"{path}: {error}") from None
            except ODD as error:
                reason = " ".join(str(error).split()) or type(error).__name__
                raise InputError(f"{path}: is laid out in another way ({reason}); expected {layout}") from None

        return guarded

    return decorate
