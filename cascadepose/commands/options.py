"""What the commands share: exit statuses and the values that options take."""

from __future__ import annotations

import argparse

BAD_INPUT, STOPPED = 2, 130


def names(text: str) -> list[str]:
    """Names with commas between them."""
    found = [name for part in text.split(",") if (name := part.strip().lower().lstrip("."))]
    if not found:
        raise argparse.ArgumentTypeError("no names given")
    return found


def count(text: str) -> int:
    """A whole number above zero."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not above zero")
    return number


def rate(text: str) -> float:
    """Frames a second."""
    number = float(text)
    if not 0 < number < 1e5:
        raise argparse.ArgumentTypeError(f"{text} is no frame rate")
    return number
