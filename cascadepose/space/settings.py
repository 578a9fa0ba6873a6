"""What a user can say about camera, people and floor, checked before anything takes long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cascadepose.errors import InputError
from cascadepose.space.body import check_height
from cascadepose.space.intrinsics import load_camera, make_camera, resized
from cascadepose.space.place import Heights, place_people
from cascadepose.types import Camera, VideoResult


@dataclass(frozen=True)
class SpaceSettings:
    """How people are placed in space.

    camera  a Camera, or the path of a file with one (see intrinsics.load_camera)
    focal   focal length in px instead; fov: field of view in degrees over the longer side instead
    height  of everybody or by track id, metres; None: adults of ordinary size
    ground  find the floor and the feet that stand on it
    Without camera, focal and fov, the intrinsics are those that the file states, or assumed. Raises InputError for
    settings that contradict each other or are impossible.
    """

    camera: Camera | str | Path | None = None
    focal: float | None = None
    fov: float | None = None
    height: Heights = None
    ground: bool = True

    def __post_init__(self) -> None:
        if self.camera is not None and (self.focal is not None or self.fov is not None):
            raise InputError("a camera and a focal length or field of view are given; give one of them")
        make_camera((2, 2), self.focal, self.fov)
        heights = self.height.values() if isinstance(self.height, Mapping) else [self.height]
        for height in heights:
            if height is not None:
                check_height(height)

    def camera_for(self, image_size: tuple[int, int], focal_35mm: float | None = None) -> Camera:
        """The camera of frames of this size (w, h), whose file states the focal length `focal_35mm` (mm), or nothing.

        Raises InputError where the camera's file is unreadable or was made for another aspect ratio.
        """
        if isinstance(self.camera, Camera):
            return resized(self.camera, image_size)
        if self.camera is not None:
            return load_camera(self.camera, image_size)
        return make_camera(image_size, self.focal, self.fov, focal_35mm)

    def place(self, result: VideoResult, camera: Camera | None = None) -> VideoResult:
        """`place_people` with these settings.

        camera  for this result; by default what the settings say, else the result's own, else an assumed one
        """
        told = self.camera is not None or self.focal is not None or self.fov is not None
        if camera is None and (told or result.camera is None):
            camera = self.camera_for(result.frame_size)
        return place_people(result, camera, self.height, self.ground)
