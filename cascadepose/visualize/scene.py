"""Everybody of a result in one 3D scene: where each stands, for views that can be turned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cascadepose.errors import InputError
from cascadepose.export.motion import place_joints, to_y_up
from cascadepose.types import Track, VideoResult
from cascadepose.visualize.plot3d import floor_height

_SPACING = 1.5  # m between people who are laid side by side
_GROUND = 0.05  # share of frames whose lowest joint may be below the ground of a scene without one


@dataclass(frozen=True)
class Figure:
    """One person of a scene: joints [T,J,3] metres, x right, y up, z towards the viewer, the ground at y = 0."""

    track: Track
    joints: np.ndarray

    @property
    def root(self) -> int:
        """The joint that the others hang on."""
        return self.track.poses3d.skeleton.parents.index(-1)


@dataclass(frozen=True)
class Scene:
    """Figures, and how they were put in their places.

    layout  "side by side": roots are not known, people stand in a row in the order they have in the picture, each on
            the ground in every frame; those who never meet may share a place. "in space": at their roots, with the
            middle of where they go at x = z = 0
    ground  "known" from the camera's world, or "assumed" at the feet
    radius  metres from the middle, to the sides and to the back, within which everybody stays
    height  metres of the highest joint above the ground
    """

    figures: tuple[Figure, ...]
    layout: str
    ground: str
    radius: float
    height: float


def build_scene(result: VideoResult) -> Scene:
    """The scene of a result; people without 3D joints are not in it. Raises InputError where nobody has any."""
    tracks = [track for track in result.tracks if track.poses3d is not None and len(track)]
    if not tracks:
        reason = "nobody was found" if not result.tracks else "it was made without a lifter"
        raise InputError(f"{result.source}: the result has no 3D joints to show ({reason}); infer with a lifter")
    frames = {_frame(track, result) for track in tracks}
    if frames in ({"camera"}, {"world"}):
        layout, ground = "in space", "known" if frames == {"world"} else "assumed"
        joints = _in_space(tracks, result)
    else:
        layout, ground, joints = "side by side", "assumed", _side_by_side(tracks)
    reach = max(float(np.abs(points[..., [0, 2]]).max()) for points in joints)
    figures = tuple(Figure(track, points.astype(np.float32)) for track, points in zip(tracks, joints, strict=True))
    return Scene(figures, layout, ground, reach, max(float(points[..., 1].max()) for points in joints))


def assign_slots(tracks: list[Track], limit: int | None = None) -> dict[int, int]:
    """A slot for each track_id, such that nobody shares one at the same time; people beyond `limit` slots get none."""
    free_from: list[int] = []
    slots = {}
    for track in sorted(tracks, key=lambda item: int(item.frame_index[0])):
        first, last = int(track.frame_index[0]), int(track.frame_index[-1])
        slot = next((number for number, frame in enumerate(free_from) if frame <= first), len(free_from))
        if limit is not None and slot >= limit:
            continue
        free_from[slot : slot + 1] = [last + 1]
        slots[track.track_id] = slot
    return slots


def _frame(track: Track, result: VideoResult) -> str:
    """The frame of `place_joints`: "root-relative" where the place of the root is not known."""
    if track.poses3d.frame != "root-relative" or track.root is None:
        return track.poses3d.frame
    return "world" if result.camera is not None and result.camera.world != "none" else "camera"


def _side_by_side(tracks: list[Track]) -> list[np.ndarray]:
    """Joints y up of each track, feet on the ground, in a row centred at x = 0."""
    slots = assign_slots(tracks)
    across = {
        slot: np.mean([t.boxes_xyxy[:, [0, 2]].mean() for t in tracks if slots[t.track_id] == slot])
        for slot in set(slots.values())
    }
    places = {slot: place for place, slot in enumerate(sorted(across, key=across.get))}
    middle, joints = (len(places) - 1) / 2, []
    for track in tracks:
        pose = track.poses3d
        root = pose.joints[:, [pose.skeleton.parents.index(-1)]]
        upright = to_y_up(pose.joints - root, pose.frame)
        upright[..., 1] += floor_height(-upright)[:, None]
        upright[..., 0] += (places[slots[track.track_id]] - middle) * _SPACING
        joints.append(upright)
    return joints


def _in_space(tracks: list[Track], result: VideoResult) -> list[np.ndarray]:
    """Joints y up of each track where they are, feet that stand kept still, the middle of all roots at x = z = 0."""
    joints = [place_joints(track, result.camera) for track in tracks]
    roots = np.concatenate([j[:, t.poses3d.skeleton.parents.index(-1)] for j, t in zip(joints, tracks, strict=True)])
    shift = -(roots.min(0) + roots.max(0)) / 2
    lowest = np.concatenate([points[..., 1].min(1) for points in joints])
    shift[1] = 0.0 if _frame(tracks[0], result) == "world" else -np.quantile(lowest, _GROUND)
    return [points + shift for points in joints]
