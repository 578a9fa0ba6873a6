"""How a result shows itself in a notebook: a picture and a short table, small enough to be saved with the notes."""

from __future__ import annotations

import base64
import io
from html import escape
from itertools import islice
from pathlib import Path

import numpy as np

from cascadepose.errors import InputError
from cascadepose.types import Track, VideoResult
from cascadepose.visualize.overlay import OverlayPainter, reopen_source
from cascadepose.visualize.style import person_color

_WIDTH, _ROWS = 560, 8  # px of the picture, people in the table
_READ = 300  # frames that are looked at, so that long videos answer soon


def to_html(result: VideoResult) -> str:
    """The frame in which people are seen best, drawn as in the overlay, over a table of the people.

    Without the picture where the frames cannot be read again, the reason under the table.
    """
    people = f"{len(result.tracks) or 'no'} {'person' if len(result.tracks) == 1 else 'people'}"
    frames = f"{result.num_frames} frame{'s' if result.num_frames != 1 else ''}"
    rate = f" at {result.fps:.4g} a second" if result.fps else ""
    head = f"<b>{escape(Path(result.source).name)}</b>: {people}, {frames}{rate}"
    picture, notes = "", [*result.notes, result.incomplete]
    try:
        picture = _picture(result)
    except InputError as error:
        notes.append(f"no picture: {error}")
    below = "".join(f'<div style="opacity:.7">{escape(note)}</div>' for note in notes if note)
    return f'<div style="max-width:{_WIDTH}px">{head}{picture}{_table(result)}{below}</div>'


def _picture(result: VideoResult) -> str:
    from PIL import Image

    wanted = best_frame(result)
    frame = next(islice(reopen_source(result), wanted, None), None)
    if frame is None:
        raise InputError(f"{result.source}: has fewer frames than the result ({result.num_frames})")
    image = Image.fromarray(OverlayPainter(result).paint(wanted, frame.image))
    image.thumbnail((_WIDTH, _WIDTH))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    data = base64.b64encode(file.getvalue()).decode()
    return f'<br><img alt="frame {wanted}" title="frame {wanted}" src="data:image/jpeg;base64,{data}">'


def best_frame(result: VideoResult) -> int:
    """The frame in which the scores of all joints add up to the most, looking at the beginning of the video only.

    Raises InputError where no frame was processed.
    """
    count = min(result.num_frames, _READ)
    if not count:
        raise InputError(f"{result.source}: no frame was processed")
    seen = np.zeros(count)
    for track in result.tracks:
        rows = track.observed & (track.frame_index < count)
        np.add.at(seen, track.frame_index[rows], track.scores[rows].sum(-1))
    return int(seen.argmax())


def _table(result: VideoResult) -> str:
    if not result.tracks:
        return ""
    names = ("id", "frames", "seen", "score", "3D")
    rows = ["".join(f"<th>{name}</th>" for name in names)]
    rows += [_row(track) for track in result.tracks[:_ROWS]]
    more = len(result.tracks) - _ROWS
    rows += [f'<td colspan="{len(names)}">and {more} more</td>'] if more > 0 else []
    return "<table>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>"


def _row(track: Track) -> str:
    seen = int(track.observed.sum())
    score = f"{track.scores[track.observed].mean():.2f}" if seen else ""
    span = f"{track.frame_index[0]} to {track.frame_index[-1]}" if len(track) else ""
    plate = f"background:rgb{person_color(track.track_id)};color:#14161a;padding:0 .5em;border-radius:.3em"
    cells = (f'<span style="{plate}">{track.track_id}</span>', span, seen, score, _space(track))
    return "".join(f"<td>{cell}</td>" for cell in cells)


def _space(track: Track) -> str:
    return track.poses3d.frame + (", placed" if track.root is not None else "") if track.poses3d else "none"
