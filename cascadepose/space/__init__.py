"""Where people are: camera, root trajectory, floor, standing feet, and how sure all of it is. See docs/space.md."""

from cascadepose.space.intrinsics import load_camera, make_camera
from cascadepose.space.place import place_people
from cascadepose.space.settings import SpaceSettings

__all__ = ["SpaceSettings", "load_camera", "make_camera", "place_people"]
