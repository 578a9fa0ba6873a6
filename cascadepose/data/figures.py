"""People drawn from their joints: shaded capsules over a picture, so that frames have exact 3D truth.

A bone becomes a capsule with a radius in metres at each end, seen in perspective; of all capsules over a pixel the
nearest is seen, lit by one lamp. Crude, but limbs hide each other, bodies have volume, a front and a back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cascadepose.data.bodies import LEG, NAMES
from cascadepose.data.cameras import NEAR
from cascadepose.rotations import cross, normalize

_J = {name: index for index, name in enumerate(NAMES)}
SKIN, SHIRT, TROUSERS, HAIR, SHOES, EYES = range(6)

# Bones of a figure: from, to, radius in metres at each end, what covers it. Ends are joints or points of `_extras`.
CAPSULES = (
    ("left_hip", "left_knee", 0.082, 0.058, TROUSERS),
    ("right_hip", "right_knee", 0.082, 0.058, TROUSERS),
    ("left_knee", "left_ankle", 0.056, 0.04, TROUSERS),
    ("right_knee", "right_ankle", 0.056, 0.04, TROUSERS),
    ("left_ankle", "left_toe", 0.045, 0.035, SHOES),
    ("right_ankle", "right_toe", 0.045, 0.035, SHOES),
    ("left_hip", "right_hip", 0.1, 0.1, TROUSERS),
    ("pelvis", "spine", 0.125, 0.12, SHIRT),
    ("spine", "chest", 0.12, 0.125, SHIRT),
    ("left_waist", "left_armpit", 0.085, 0.085, SHIRT),
    ("right_waist", "right_armpit", 0.085, 0.085, SHIRT),
    ("left_shoulder", "right_shoulder", 0.062, 0.062, SHIRT),
    ("left_shoulder", "left_elbow", 0.05, 0.04, SHIRT),
    ("right_shoulder", "right_elbow", 0.05, 0.04, SHIRT),
    ("left_elbow", "left_wrist", 0.038, 0.028, SKIN),
    ("right_elbow", "right_wrist", 0.038, 0.028, SKIN),
    ("left_wrist", "left_hand", 0.035, 0.035, SKIN),
    ("right_wrist", "right_hand", 0.035, 0.035, SKIN),
    ("thorax", "middle_ear", 0.05, 0.05, SKIN),
    ("middle_ear", "crown", 0.085, 0.08, SKIN),
    ("back_of_head", "crown_back", 0.082, 0.08, HAIR),
    ("nose", "nose", 0.016, 0.016, SKIN),
    ("left_ear", "left_ear", 0.022, 0.022, SKIN),
    ("right_ear", "right_ear", 0.022, 0.022, SKIN),
    ("left_eye", "left_eye", 0.012, 0.012, EYES),
    ("right_eye", "right_eye", 0.012, 0.012, EYES),
)
RADII = np.array([capsule[2:4] for capsule in CAPSULES], np.float32)
COVER = np.array([capsule[4] for capsule in CAPSULES])


@dataclass(frozen=True)
class Look:
    """What a figure looks like: colours [6, 3] RGB in 0..255 by cover, radii [C, 2] as factors, lamp [3] (camera axes,
    unit length, towards the lamp), ambient: the share of light that comes from everywhere.
    """

    colors: np.ndarray
    factors: np.ndarray
    lamp: np.ndarray
    ambient: float


def random_look(rng: np.random.Generator) -> Look:
    """Clothes of any colour, skin and hair of human ones, stout or slim, a lamp from above."""
    colors = rng.uniform(10, 245, (6, 3))
    colors[SKIN] = np.array([235, 190, 160]) * rng.uniform(0.3, 1.05) * rng.uniform([0.95, 0.9, 0.85], [1, 1, 1])
    colors[HAIR] = np.array([120, 85, 55]) * rng.uniform(0.15, 1.7)
    colors[EYES] = rng.uniform(10, 50)
    if rng.random() < 0.25:  # bare arms or legs are SKIN's neighbours in colour
        colors[TROUSERS] = colors[SKIN] * 0.95
    factors = np.exp(rng.normal(0, 0.12)) * np.exp(rng.normal(0, 0.06, (len(CAPSULES), 1)))
    lamp = normalize(np.array([rng.normal(0, 0.6), -rng.uniform(0.3, 1.0), -rng.uniform(0.3, 1.0)]))
    return Look(colors.clip(0, 255), factors.astype(np.float32), lamp.astype(np.float32), rng.uniform(0.35, 0.6))


def capsule_ends(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Extended joints [T, 21, 3] (any frame, metres) -> ends of the capsules [T, C, 2, 3] and the body's scale."""
    legs = np.linalg.norm(points[:, [2, 3, 5, 6]] - points[:, [1, 2, 4, 5]], axis=-1).mean() * 2
    scale = float(legs / LEG)
    known = {name: points[:, index] for name, index in _J.items()} | _extras(points, scale)
    return np.stack([np.stack([known[a], known[b]], 1) for a, b, *_ in CAPSULES], 1), scale


def _extras(points: np.ndarray, scale: float) -> dict[str, np.ndarray]:
    """Points that no joint list has: toes, hands, sides of the trunk, parts of the head; each [T, 3]."""
    joint = {name: points[:, index] for name, index in _J.items()}
    up = normalize(joint["thorax"] - joint["pelvis"])
    forward = normalize(cross(joint["left_hip"] - joint["right_hip"], up))
    ear = (joint["left_ear"] + joint["right_ear"]) / 2
    face = normalize(joint["nose"] - ear)
    out = {"chest": joint["thorax"] - 0.1 * scale * up, "middle_ear": ear}
    out["crown"] = ear + 0.75 * (joint["head"] - ear)
    out["back_of_head"] = ear - 0.03 * scale * face
    out["crown_back"] = out["crown"] - 0.015 * scale * face + 0.01 * scale * up
    for side in ("left", "right"):
        shin = normalize(joint[f"{side}_ankle"] - joint[f"{side}_knee"])
        level = normalize(forward - 0.6 * (forward * shin).sum(-1, keepdims=True) * shin)
        out[f"{side}_toe"] = joint[f"{side}_ankle"] + scale * (0.17 * level + 0.04 * shin)
        arm = normalize(joint[f"{side}_wrist"] - joint[f"{side}_elbow"])
        out[f"{side}_hand"] = joint[f"{side}_wrist"] + 0.09 * scale * arm
        out[f"{side}_waist"] = 0.55 * joint[f"{side}_hip"] + 0.45 * joint["pelvis"] + 0.05 * scale * up
        out[f"{side}_armpit"] = 0.7 * joint[f"{side}_shoulder"] + 0.3 * joint["thorax"] - 0.07 * scale * up
    return out


def draw_figure(
    background: np.ndarray, ends: np.ndarray, focal: float, center: np.ndarray, scale: float, look: Look
) -> tuple[np.ndarray, np.ndarray]:
    """One figure over one picture.

    background uint8 [H, W, 3]; ends [C, 2, 3] of `capsule_ends` in camera axes, metres; focal and center [2] in pixels;
    scale of the body. Returns a new picture and the figure's box [4] xyxy in pixels, cut at the border.
    """
    depth = np.maximum(ends[..., 2], NEAR)
    pixels = ends[..., :2] / depth[..., None] * focal + center
    radii = RADII * look.factors * scale
    reach = (radii / depth * focal)[..., None]
    size = np.array(background.shape[1::-1], np.float32)
    low, high = (pixels - reach).min((0, 1)).clip(0, size), (pixels + reach).max((0, 1)).clip(0, size)
    left, top = np.floor(low).astype(int)
    right, bottom = np.ceil(high).astype(int)
    out, box = background.copy(), np.concatenate([low, high]).astype(np.float32)
    if right <= left or bottom <= top:
        return out, box
    x, y = np.meshgrid(np.arange(left, right) + 0.5, np.arange(top, bottom) + 0.5)
    grid = np.stack([x, y], -1).reshape(-1, 2).astype(np.float32)
    color, cover = _shade(grid, pixels.astype(np.float32), depth, radii, reach[..., 0].astype(np.float32), look)
    patch = out[top:bottom, left:right].reshape(-1, 3)
    mixed = patch * (1 - cover[:, None]) + color * cover[:, None]
    out[top:bottom, left:right] = mixed.clip(0, 255).astype(np.uint8).reshape(bottom - top, right - left, 3)
    return out, box


def _shade(
    grid: np.ndarray, pixels: np.ndarray, depth: np.ndarray, radii: np.ndarray, reach: np.ndarray, look: Look
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels [N, 2] -> colours [N, 3] of the nearest capsule and how much of each pixel is covered [N]."""
    start, along = pixels[:, 0], pixels[:, 1] - pixels[:, 0]
    offset = grid[:, None] - start  # [N, C, 2]
    length = (along * along).sum(-1).clip(min=1e-6)
    t = ((offset * along).sum(-1) / length).clip(0, 1)
    away = offset - t[..., None] * along

    def between(pair: np.ndarray) -> np.ndarray:
        return pair[:, 0] + t * (pair[:, 1] - pair[:, 0])

    radius = between(reach).clip(min=0.3)
    distance = np.sqrt((away * away).sum(-1))
    inside = (radius - distance + 0.5).clip(0, 1)
    height = np.sqrt((1 - (distance / radius) ** 2).clip(min=0))
    near = np.where(inside > 0, between(depth) - height * between(radii), np.inf)
    front = near.argmin(-1)
    row = np.arange(len(grid))
    normal = np.concatenate([away[row, front] / radius[row, front, None], -height[row, front, None]], -1)
    light = look.ambient + (1 - look.ambient) * (normal @ look.lamp).clip(min=0)
    return look.colors[COVER[front]] * light[:, None], inside.max(-1)
