"""Results as JSON: readable, rounded to 0.01 px and 0.1 mm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from cascadepose.export import schema
from cascadepose.files import atomic_path
from cascadepose.types import VideoResult

_LAID_OUT = 3  # levels of nesting that get a line for each entry; deeper ones stay on one line


def write(result: VideoResult, path: str | Path) -> list[Path]:
    """Write poses.json; see docs/schema.md.

    Raises InputError where the place cannot be written or a number is not finite.
    """
    schema.check_finite(result)
    tracks = [schema.track_header(track) | _rounded(schema.track_arrays(track)) for track in result.tracks]
    timestamps = np.round(result.timestamps, schema.DECIMALS["timestamp"]).tolist()
    content = schema.header(result) | {"timestamps": timestamps, "tracks": tracks}
    with atomic_path(path) as temporary:
        temporary.write_text(_dump(content) + "\n", encoding="utf-8")
    return [Path(path)]


def read(path: str | Path) -> VideoResult:
    """Read what `write` wrote. Raises InputError where it is damaged or none of ours."""
    path = Path(path)
    with schema.reading(path):
        content = schema.check_format(path, json.loads(path.read_text(encoding="utf-8")))
        described = content.get("skeletons")
        tracks = [schema.build_track(track, track.__getitem__, described) for track in content["tracks"]]
        return schema.build_result(content, content["timestamps"], tracks)


def _rounded(arrays: dict[str, np.ndarray]) -> dict[str, list]:
    decimals = schema.DECIMALS
    return {
        name: (np.round(array.astype(np.float64), decimals[name]) if name in decimals else array).tolist()
        for name, array in arrays.items()
    }


def _dump(value: Any, depth: int = 0) -> str:
    """JSON with a line for each entry of the outer levels."""
    pad = "\n" + " " * (depth + 1)
    if isinstance(value, dict) and value and depth < _LAID_OUT:
        rows = (f"{json.dumps(str(key))}: {_dump(item, depth + 1)}" for key, item in value.items())
        return "{" + pad + f",{pad}".join(rows) + pad[:-1] + "}"
    if isinstance(value, list) and value and isinstance(value[0], dict) and depth < _LAID_OUT:
        return "[" + pad + f",{pad}".join(_dump(item, depth + 1) for item in value) + pad[:-1] + "]"
    return json.dumps(value, allow_nan=False, ensure_ascii=False)
