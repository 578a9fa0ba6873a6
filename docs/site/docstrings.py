"""For mkdocstrings: the package's docstrings are plain text; lists in them become lists of Markdown.

A line such as `name: what it is` or `name  what it is`, and what is indented below it, is an item.
"""

import re
from typing import Any

from griffe import Extension, Object

ITEM = re.compile(r"^(?P<name>[\w\"]+(?:,\s?[\w\"]+)*)(?P<gap>: |\s{2,})(?=\S)")
CODE = re.compile(r"^(\s{4,}\S|```)")


def to_markdown(text: str) -> str:
    """Items of a docstring as a list, indented code as it is."""
    lines: list[str] = []
    inside = False
    for line in text.splitlines():
        found = ITEM.match(line)
        if found and (found["gap"] != ": " or found["name"].islower()):
            lines += [""] * (not inside)
            name = ", ".join(f"`{part.strip()}`" for part in found["name"].split(","))
            lines.append(f"* {name}: {line[found.end() :]}")
            inside = True
        elif inside and line.startswith(" ") and line.strip():
            lines.append(f"    {line.strip()}")
        else:
            lines += [""] * (inside and bool(line.strip()))
            lines.append(line)
            inside = False
    return "\n".join(lines)


class Lists(Extension):
    """Rewrites every docstring."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Called for each module, class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = to_markdown(obj.docstring.value)
