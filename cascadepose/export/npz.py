"""Results as NumPy archives: exact, compressed, readable without this package (no pickled objects)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from cascadepose.export import schema
from cascadepose.files import atomic_path
from cascadepose.types import VideoResult


def write(result: VideoResult, path: str | Path) -> list[Path]:
    """Write poses.npz: `header` (JSON text), `timestamps`, and arrays named track_ID/NAME; see docs/schema.md.

    Raises InputError where the place cannot be written or a number is not finite.
    """
    schema.check_finite(result)
    head = schema.header(result) | {"tracks": [schema.track_header(track) for track in result.tracks]}
    arrays = {"header": np.array(json.dumps(head, allow_nan=False)), "timestamps": result.timestamps}
    for track in result.tracks:
        for name, array in schema.track_arrays(track).items():
            arrays[f"track_{track.track_id}/{name}"] = array
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)
    return [Path(path)]


def read(path: str | Path) -> VideoResult:
    """Read what `write` wrote. Raises InputError where it is damaged or none of ours."""
    path = Path(path)
    with schema.reading(path), np.load(path, allow_pickle=False) as archive:
        head = json.loads(str(archive["header"])) if "header" in getattr(archive, "files", ()) else None
        schema.check_format(path, head)
        described = head.get("skeletons")
        tracks = []
        for track in head["tracks"]:
            prefix = f"track_{track['track_id']}"
            tracks.append(schema.build_track(track, lambda name, prefix=prefix: archive[f"{prefix}/{name}"], described))
        return schema.build_result(head, archive["timestamps"], tracks)
