"""Where people are: roots in camera metres, standing feet, the floor, and what all of it is worth.

    result = place_people(result, make_camera(result.frame_size, fov=70), height=1.75)
    result.tracks[0].in_world(result.camera).joints     # [T, 17, 3] metres, y up, origin on the floor

The camera is taken to stand still.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from cascadepose.errors import InputError
from cascadepose.geometry import back_project
from cascadepose.skeletons import H36M17
from cascadepose.space.body import ADULT, check_height, stature
from cascadepose.space.contacts import FEET, find_contacts
from cascadepose.space.ground import Floor, fit_floor, lean, level_floor, on_floor, rough_up
from cascadepose.space.intrinsics import describe, make_camera
from cascadepose.space.trajectory import Sight, find_root
from cascadepose.space.uncertainty import FLOOR, OWN, joint_sigma
from cascadepose.types import Camera, Track, VideoResult

LIMBS_SPREAD = 0.025  # relative standard deviation of the size that lifted limbs show, where the true one is known
FOCAL_SPREAD = {"given": 0.0, "metadata": 0.05, "assumed": 0.25}  # relative, by Camera.origin
_VISIBLE = 0.1  # score from which an ankle is believed to stand

Heights = float | Mapping[int, float] | None


def place_people(
    result: VideoResult, camera: Camera | None = None, height: Heights = None, ground: bool = True
) -> VideoResult:
    """A result whose tracks have root, root_sigma, contacts and joints with sigma, and which has a camera.

    camera  intrinsics, and the world if it has one; None: the result's own if there is one, else an assumed one
    height  metres, of everybody or by track id: joints are scaled to it; others are adults of ordinary size
    ground  find the feet that stand, and the floor under them where the camera has no world

    Tracks that were not lifted, or whose joints are not those of H36M17, come back as they are, and so do those for
    which no finite place is found. What was assumed is in the notes, with the tracks that have no place and heights for
    tracks that are not there. Raises InputError for an impossible height.
    """
    if camera is None:
        camera = result.camera or make_camera(result.frame_size)
        if camera.world in ("fitted", "assumed"):
            camera = replace(camera, world="none")  # to be found anew
    chosen = [track for track in result.tracks if _placeable(track)]
    if not chosen:
        return result
    heights = _heights(result, height)
    result = replace(result, notes=_without(result.notes, "place: "))
    people, lost = [], []
    for track in chosen:
        try:
            people.append(_place(track, camera, heights.get(track.track_id)))
        except (InputError, np.linalg.LinAlgError) as error:  # nobody else's place is lost for it
            lost.append(f"place: track {track.track_id} has none: {error}")
    if not people:
        return replace(result, notes=(*result.notes, *lost))
    if ground:
        up = _up(camera, people)
        people = [replace(track, contacts=_contacts(track, up)) for track in people]
    by_id = {track.track_id: track for track in people}
    placed = [by_id.get(track.track_id, track) for track in result.tracks]
    notes = [describe(camera), _describe_size(people, heights), *lost]
    if isinstance(height, Mapping) and (missing := sorted(set(height) - set(heights))):
        notes.append(f"size: a height is given for track {', '.join(map(str, missing))}, which is not there")
    if camera.world == "none" and ground:
        floor = _floor(people)
        first = min(people, key=lambda track: (track.frame_index[0], track.track_id))
        camera = on_floor(camera, floor, first.root[0].astype(np.float64))
        notes.append(_describe_floor(floor))
    kept = _without(result.notes, "camera: ", "size: ", "ground: ")
    return replace(result, tracks=placed, camera=camera, notes=(*kept, *notes))


def sight_of(track: Track, camera: Camera) -> Sight:
    """What a lifted track says about its place: the joints that its 2D and its 3D skeleton both have."""
    pose = track.poses3d
    names = [name for name in pose.skeleton.names if name in track.skeleton.names]
    flat, space = ([skeleton.index(name) for name in names] for skeleton in (track.skeleton, pose.skeleton))
    pixels = track.keypoints[:, flat].astype(np.float64)
    rays = back_project(pixels, np.ones(pixels.shape[:2]), camera.intrinsics)[..., :2]
    sigma = np.maximum(track.sigma[:, flat].astype(np.float64), FLOOR) / camera.focal
    weights = track.scores[:, flat].astype(np.float64) * track.observed[:, None]
    return Sight(pose.joints[:, space].astype(np.float64), rays, sigma, OWN[space], weights, track.timestamp)


def _without(notes: tuple[str, ...], *beginnings: str) -> tuple[str, ...]:
    """Notes of an earlier placing are not said again."""
    return tuple(note for note in notes if not note.startswith(beginnings))


def _placeable(track: Track) -> bool:
    pose = track.poses3d
    return (
        pose is not None
        and pose.skeleton == H36M17
        and pose.frame == "root-relative"
        and bool((track.scores[track.observed] > 0).any())
    )


def _place(track: Track, camera: Camera, height: float | None) -> Track:
    """Scale, root, and standard deviations."""
    pose = track.poses3d
    if height is not None:
        pose = replace(pose, joints=pose.joints * (height / stature(pose.joints, track.observed)))
        track = replace(track, poses3d=pose)
    track = replace(track, contacts=None)
    root, covariance = find_root(sight_of(track, camera))
    size = LIMBS_SPREAD if height is not None else np.hypot(LIMBS_SPREAD, ADULT)
    variance = np.diagonal(covariance, axis1=1, axis2=2) + (size * root) ** 2
    variance[:, 2] += (FOCAL_SPREAD[camera.origin] * root[:, 2]) ** 2
    pose = replace(pose, sigma=joint_sigma(track, np.abs(root[:, 2]), camera))
    return replace(track, poses3d=pose, root=root, root_sigma=np.sqrt(variance))


def _up(camera: Camera, people: list[Track]) -> np.ndarray:
    if camera.world != "none":
        return camera.rotation[:, 1]
    return rough_up([lean(track.poses3d.joints) for track in people])


def _contacts(track: Track, up: np.ndarray) -> np.ndarray:
    ankles = track.in_camera().joints[:, FEET].astype(np.float64)
    names = [track.skeleton.index(H36M17.names[foot]) for foot in FEET]
    seen = (track.scores[:, names] > _VISIBLE) & track.observed[:, None]
    return find_contacts(ankles, up, track.timestamp, seen)


def _floor(people: list[Track]) -> Floor:
    """Fitted to every contact's middle, or that of a level camera."""
    stands, spread, postures = [], [], []
    for track in people:
        ankles = track.in_camera().joints[:, FEET].astype(np.float64)
        ends = track.contacts & ~np.pad(track.contacts, ((0, 1), (0, 0)))[1:]
        begins = track.contacts & ~np.pad(track.contacts, ((1, 0), (0, 0)))[:-1]
        (foot, first), (_, last) = np.nonzero(begins.T), np.nonzero(ends.T)
        middle = (first + last) // 2
        stands.append(ankles[middle, foot])
        spread.append(track.root_sigma[middle, 2].astype(np.float64))
        postures.append(lean(track.poses3d.joints.astype(np.float64)))
    floor = fit_floor(stands, spread, postures)
    if floor is None:
        every = np.concatenate([track.in_camera().joints[:, FEET].reshape(-1, 3) for track in people])
        floor = level_floor(every.astype(np.float64), rough_up(postures))
    return floor


def _heights(result: VideoResult, height: Heights) -> dict[int, float]:
    known = [track.track_id for track in result.tracks]
    if not isinstance(height, Mapping):
        return {} if height is None else dict.fromkeys(known, check_height(height))
    return {number: check_height(value) for number, value in height.items() if number in known}


def _describe_size(people: list[Track], heights: Mapping[int, float]) -> str:
    assumed = [str(track.track_id) for track in people if track.track_id not in heights]
    if not assumed:
        return "size: scaled to the height given"
    who = "everybody" if len(assumed) == len(people) else f"track {', '.join(assumed)}"
    return f"size: {who} is taken for an adult of ordinary size, which sets all metres; give the height if it is known"


def _describe_floor(floor: Floor) -> str:
    tilt = np.degrees(np.arcsin(np.clip(floor.up[2], -1, 1)))
    where = f"camera {floor.height:.2f} m above it, looking {abs(tilt):.0f} degrees {'down' if tilt < 0 else 'up'}"
    if floor.fitted:
        return f"ground: fitted to where feet stood, {where}"
    return f"ground: too few feet stood still to fit it; assumed under the lowest feet, {where}"
