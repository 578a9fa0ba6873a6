"""Feet that stand stay where they are: legs of constant length that reach from the hips to fixed places on the ground.

Contacts say when a foot stands (space/contacts.py). While it does, the ankle is held where it was on average; between
contacts the correction fades from one to the next. Knees follow by the law of cosines in the plane in which they were
bent; where a foot is out of reach, the body follows smoothly.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from cascadepose.rotations import cross, normalize
from cascadepose.skeletons import H36M17
from cascadepose.space.ground import ANKLE

_LEFT, _RIGHT = ([H36M17.index(f"{side}_{name}") for name in ("hip", "knee", "ankle")] for side in ("left", "right"))
_HIPS, _KNEES, _ANKLES = (list(pair) for pair in zip(_LEFT, _RIGHT, strict=True))
_FADE = 0.4  # s after which nothing is left of a correction
_REACH = 0.999  # of the length of a straight leg
_EASE = 0.12  # s, standard deviation of the filter over the body's own correction
_ROUNDS = 8
_STEP = 0.08  # m; a foot that stands so close to the height of the floor stands on it
_FORWARD = 0.02  # m by which a straight knee is taken to be bent


def lock_feet(
    joints: np.ndarray, contacts: np.ndarray, times: np.ndarray, observed: np.ndarray, floor: float | None = None
) -> np.ndarray:
    """H36M17 joints [T, 17, 3] in a frame that does not move, y up -> the same with standing feet fixed.

    contacts  [T, 2] bool, left and right foot
    times     [T] ascending seconds;  observed  [T] bool, frames that limb lengths are taken from
    floor     height of the floor, if known: feet stand on it unless they are clearly higher or lower, and do not sink
              into it
    Hips, thighs and shanks get their median lengths. Other joints keep their places relative to the pelvis.
    """
    legs, lengths = _constant_legs(joints, observed)
    ankles = legs[:, 2]
    targets = _targets(ankles, contacts, times, floor)
    rate = 1 / np.median(np.diff(times)) if len(times) > 1 else 1.0
    shift = _body_shift(legs[:, 0], targets, contacts, _REACH * lengths[1:].sum(0), _EASE * rate)
    hips, knees = legs[:, 0] + shift[:, None], legs[:, 1] + shift[:, None]
    left = joints[:, _LEFT[0]] - joints[:, _RIGHT[0]]
    forward = normalize(cross(left, joints[:, H36M17.index("thorax")] - joints[:, 0]))
    knees, ankles = _bend(hips, knees, targets, lengths[1], lengths[2], forward)
    out = joints + shift[:, None]
    out[:, _HIPS], out[:, _KNEES], out[:, _ANKLES] = hips, knees, ankles
    return out


def drift(ankles: np.ndarray, contacts: np.ndarray) -> float:
    """Root mean square distance (m) of ankles [T, 2, 3] from where each stands on average during its contacts [T, 2].

    NaN where no foot stands.
    """
    places = _anchors(ankles, contacts)
    return float(np.sqrt((((ankles - places) ** 2).sum(-1))[contacts].mean())) if contacts.any() else float("nan")


def _anchors(ankles: np.ndarray, contacts: np.ndarray) -> np.ndarray:
    """The mean of each contact at all of its frames [T, 2, 3]; zero elsewhere."""
    begins = contacts & ~np.pad(contacts, ((1, 0), (0, 0)))[:-1]
    number = begins.cumsum(0) + len(contacts) * np.arange(2)  # of the contact, a number of its own for either foot
    index = number[contacts]
    count = np.bincount(index)
    sums = np.stack([np.bincount(index, ankles[contacts][:, axis]) for axis in range(3)], -1)
    places = np.zeros_like(ankles)
    places[contacts] = (sums / np.maximum(count, 1)[:, None])[index]
    return places


def _constant_legs(joints: np.ndarray, observed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hips, knees and ankles [T, 3, 2, 3] of legs with median lengths, and these lengths [3, 2] (m)."""
    chain = np.stack([joints[:, [0, 0]], joints[:, _HIPS], joints[:, _KNEES], joints[:, _ANKLES]], 1)
    bones = np.diff(chain, axis=1)
    seen = bones[observed] if observed.any() else bones
    lengths = np.median(np.linalg.norm(seen, axis=-1), axis=0)
    return joints[:, None, [0, 0]] + np.cumsum(normalize(bones) * lengths[..., None], 1), lengths


def _targets(ankles: np.ndarray, contacts: np.ndarray, times: np.ndarray, floor: float | None) -> np.ndarray:
    """Where the ankles should be [T, 2, 3]."""
    places = _anchors(ankles, contacts)
    if floor is not None:
        near = np.abs(places[..., 1] - floor - ANKLE) < _STEP
        places[..., 1] = np.where(near, floor + ANKLE, places[..., 1])
    correction = _faded(np.where(contacts[..., None], places - ankles, 0), contacts, times)
    targets = np.where(contacts[..., None], places, ankles + correction)
    if floor is not None:
        low = np.minimum(floor + ANKLE, np.where(contacts, places[..., 1], np.inf))
        targets[..., 1] = np.maximum(targets[..., 1], low)
    return targets


def _faded(values: np.ndarray, known: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Values [T, 2, 3] where known [T, 2]; elsewhere those before and after, each as far as it lasts."""
    count = len(times)
    index, foot = np.arange(count)[:, None], np.arange(2)
    before = np.maximum.accumulate(np.where(known, index, -1), axis=0)
    after = np.minimum.accumulate(np.where(known, index, count)[::-1], axis=0)[::-1]
    gap = np.where(
        (before >= 0) & (after < count), times[np.minimum(after, count - 1)] - times[np.maximum(before, 0)], _FADE
    )
    lasts = np.clip(gap, 1e-6, _FADE)
    out = np.zeros_like(values)
    for end, there in ((before, before >= 0), (after, after < count)):
        end = np.clip(end, 0, count - 1)
        left = np.clip(1 - np.abs(times[:, None] - times[end]) / lasts, 0, 1)
        out += (there * left**2 * (3 - 2 * left))[..., None] * values[end, foot]
    return np.where(known[..., None], values, out)


def _body_shift(
    hips: np.ndarray, targets: np.ndarray, contacts: np.ndarray, reach: np.ndarray, frames: float
) -> np.ndarray:
    """By how much the body [T, 3] must follow so that legs of length `reach` [2] get to where their feet stand."""
    shift = np.zeros((len(hips), 3))
    for turn in range(_ROUNDS):
        way = targets - hips - shift[:, None]
        far = np.linalg.norm(way, axis=-1)
        lacking = np.maximum(far - reach, 0) * contacts
        pull = (way / np.maximum(far, 1e-9)[..., None] * lacking[..., None])[np.arange(len(hips)), lacking.argmax(1)]
        shift += pull if turn >= _ROUNDS // 2 else gaussian_filter1d(pull, max(frames, 1e-3), axis=0, mode="nearest")
    return shift


def _bend(
    hips: np.ndarray, knees: np.ndarray, targets: np.ndarray, thigh: np.ndarray, shank: np.ndarray, forward: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Knees and ankles [T, 2, 3] of legs from the hips to the targets, or as near to them as they reach."""
    way = targets - hips
    length = np.linalg.norm(way, axis=-1)
    along = way / np.maximum(length, 1e-9)[..., None]
    length = np.clip(length, np.abs(thigh - shank) + 1e-4, _REACH * (thigh + shank))
    side = knees - hips + _FORWARD * forward[:, None]
    side = normalize(side - (side * along).sum(-1, keepdims=True) * along)
    x = (thigh**2 - shank**2 + length**2) / (2 * length)
    y = np.sqrt(np.maximum(thigh**2 - x**2, 0))
    return hips + x[..., None] * along + y[..., None] * side, hips + length[..., None] * along
