"""What a 2D stage gets wrong, measured: what `data/noise.py` draws the errors from that lifters are trained on.

    tools/measure_errors.py --images DIR --annotations FILE --weights prtr-mobilenetv2-small --out errors.json

Errors are relative to the person's size, the root of the box's area.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np

from cascadepose.errors import InputError
from cascadepose.files import read_json
from cascadepose.skeletons import COCO17

MEASURED = Path(__file__).with_name("errors_prtr_small.json")
FAR = 4.0  # standard deviations beyond which an error is no longer one of a joint that was found
ERROR_BINS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)  # lower ends, in standard deviations of the joint
RANKS = tuple(np.linspace(0.05, 0.95, 10).round(2).tolist())  # of the scores that are kept of each bin
MIN_PEOPLE = 30  # to measure anything from


@dataclass(frozen=True)
class ErrorModel:
    """Errors of one 2D stage on COCO-17 joints.

    spread          [17] standard deviation of each coordinate of joints that were found
    outlier_rate    [17] share of joints that lie beyond FAR of these, and were not swapped
    outlier_spread  [17] mean distance of those
    swap_rate       [17] share of joints that lie where the same joint of the other side is
    scores          [len(ERROR_BINS), len(RANKS)] the scores of these ranks, for errors from each bin's lower end on
    source          what it was measured on
    """

    spread: tuple[float, ...]
    outlier_rate: tuple[float, ...]
    outlier_spread: tuple[float, ...]
    swap_rate: tuple[float, ...]
    scores: tuple[tuple[float, ...], ...]
    source: str = ""

    def save(self, path: str | Path) -> None:
        """Write it as JSON."""
        from cascadepose.files import atomic_path

        with atomic_path(path) as temporary:
            Path(temporary).write_text(json.dumps(asdict(self), indent=1) + "\n")


@cache
def read_error_model(path: str | Path = MEASURED) -> ErrorModel:
    """The error model of a file; without a name that of the packaged 2D stage. Raises InputError."""
    content = read_json(path, "error model")
    try:
        scores = tuple(tuple(map(float, row)) for row in content["scores"])
        columns = {
            name: tuple(map(float, content[name])) for name in ("spread", "outlier_rate", "outlier_spread", "swap_rate")
        }
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{path}: holds no error model; write one with tools/measure_errors.py") from None
    if any(len(column) != COCO17.num_joints for column in columns.values()) or np.shape(scores) != (
        len(ERROR_BINS),
        len(RANKS),
    ):
        raise InputError(f"{path}: is an error model of other joints; write one with tools/measure_errors.py")
    return ErrorModel(**columns, scores=scores, source=str(content.get("source", "")))


def measure(
    keypoints: np.ndarray,
    scores: np.ndarray,
    truth: np.ndarray,
    visible: np.ndarray,
    sizes: np.ndarray,
    source: str = "",
) -> ErrorModel:
    """The error model of keypoints [P, 17, 2] px with scores [P, 17] where the truth is [P, 17, 2] px.

    visible [P, 17] bool: joints that have a truth; sizes [P]: root of each person's box area in px.
    Raises InputError for fewer than MIN_PEOPLE people.
    """
    if len(keypoints) < MIN_PEOPLE:
        raise InputError(f"{len(keypoints)} people are too few to measure errors from; give at least {MIN_PEOPLE}")
    error = (keypoints - truth) / sizes[:, None, None]
    distance = np.linalg.norm(error, axis=-1)
    swapped = _swapped(keypoints, truth, visible, sizes)
    rows = []
    for joint in range(COCO17.num_joints):
        seen = visible[:, joint]
        plain = seen & ~swapped[:, joint]
        spread = _robust_spread(error[plain, joint])
        far = plain & (distance[:, joint] > FAR * spread)
        far_by = distance[far, joint].mean() if far.any() else FAR * spread
        rows.append((spread, far.sum() / max(seen.sum(), 1), far_by, swapped[seen, joint].mean() if seen.any() else 0))
    columns = np.array(rows, np.float64).T.round(4).tolist()
    relative = (distance / np.array(columns[0]))[visible]
    table = _scores_by_error(relative, scores[visible]).round(3).tolist()
    return ErrorModel(*(tuple(column) for column in columns), tuple(tuple(row) for row in table), source)


def _robust_spread(error: np.ndarray) -> float:
    """Standard deviation of a coordinate of errors [n, 2] without what the few far ones add."""
    return float(1.4826 * np.median(np.abs(error))) if len(error) else 0.0


def _swapped(keypoints: np.ndarray, truth: np.ndarray, visible: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Joints [P, 17] that lie near the same joint of the other side and far from their own, where these are apart."""
    other = list(COCO17.flip_index)
    apart = np.linalg.norm(truth - truth[:, other], axis=-1)
    to_other = np.linalg.norm(keypoints - truth[:, other], axis=-1)
    clear = visible & visible[:, other] & (apart > 0.06 * sizes[:, None])
    return clear & (to_other < 0.4 * apart)


def _scores_by_error(relative: np.ndarray, scores: np.ndarray) -> np.ndarray:
    bins = np.digitize(relative, ERROR_BINS) - 1
    table = np.zeros((len(ERROR_BINS), len(RANKS)))
    for number in range(len(ERROR_BINS)):
        inside = scores[bins == number]
        table[number] = np.quantile(inside, RANKS) if len(inside) else table[max(number - 1, 0)]
    return table
