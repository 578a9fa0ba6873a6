"""Where a camera's focal length comes from: given, stated by the file, or assumed, in this order."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cascadepose.errors import InputError
from cascadepose.files import read_json
from cascadepose.types import Camera

ASSUMED_FOV = 60.0  # degrees over the longer side: between telephones (65 to 70) and normal lenses (40 to 50)
FILM_DIAGONAL = math.hypot(36.0, 24.0)  # mm, of the film that "35 mm equivalent" focal lengths refer to
_ASPECT_SLACK = 0.02  # by which share the sides of a calibration and of a video may differ in proportion
_NAMES = "focal (or matrix, camera_matrix, fx and fy), center, image_size, distortion, rotation and translation"


def make_camera(
    image_size: tuple[int, int],
    focal: float | tuple[float, float] | None = None,
    fov: float | None = None,
    focal_35mm: float | None = None,
) -> Camera:
    """A centred camera without distortion for images of `image_size` (w, h) px, from the first of these that is known.

    focal       px, one number or (fx, fy)
    fov         degrees over the longer side of the image
    focal_35mm  mm, the equivalent for 36 x 24 mm film as EXIF states it: lenses with the same angle over the diagonal
    With none of them ASSUMED_FOV over the longer side; `Camera.origin` says which it was. Raises InputError for a focal
    length that is not above zero, an angle outside 1 to 179 degrees, or both of them.
    """
    width, height = image_size
    if focal is not None and fov is not None:
        raise InputError("a focal length and a field of view are given; give one of them")
    if focal is not None:
        lengths, origin = np.broadcast_to(np.asarray(focal, np.float64), 2), "given"
        if not (np.isfinite(lengths).all() and (lengths > 0).all()):
            raise InputError(f"focal length {focal} px is not above zero; give pixels of the original frame")
    elif fov is not None:
        lengths, origin = np.full(2, focal_from_fov(fov, image_size)), "given"
    elif focal_35mm:
        lengths, origin = np.full(2, focal_35mm * math.hypot(width, height) / FILM_DIAGONAL), "metadata"
    else:
        lengths, origin = np.full(2, focal_from_fov(ASSUMED_FOV, image_size)), "assumed"
    return Camera(lengths, (width / 2, height / 2), image_size, origin=origin)


def focal_from_fov(fov: float, image_size: tuple[int, int]) -> float:
    """Degrees over the longer side -> focal length in px. Raises InputError outside 1 to 179 degrees."""
    if not 1 <= fov <= 179:
        raise InputError(f"field of view {fov} is not between 1 and 179 degrees; give the angle over the longer side")
    return max(image_size) / 2 / math.tan(math.radians(fov) / 2)


def fov_from_focal(focal: float, image_size: tuple[int, int]) -> float:
    """Inverse of `focal_from_fov`."""
    return 2 * math.degrees(math.atan(max(image_size) / 2 / focal))


def describe(camera: Camera) -> str:
    """One line for the notes of a result: the focal length, the angle that it means, and where it comes from."""
    focal, angle = camera.focal.mean(), fov_from_focal(camera.focal.mean(), camera.image_size)
    facts = f"focal length {focal:.0f} px ({angle:.0f} degrees over the longer side)"
    if camera.origin == "assumed":
        return f"camera: {facts} is assumed, and distances from the camera grow with it; give the focal length or angle"
    return f"camera: {facts}, {'as the file states it' if camera.origin == 'metadata' else 'given'}"


def load_camera(path: str | Path, image_size: tuple[int, int] | None = None) -> Camera:
    """A camera from a JSON or YAML file, scaled to frames of `image_size` (w, h) where it was calibrated at another.

    Keys: focal (a number or [fx, fy], px) or fx and fy or matrix (3x3; OpenCV's camera_matrix as well); center [cx, cy]
    or cx and cy (default: the middle); image_size [w, h] or image_width and image_height; distortion
    [k1, k2, k3, p1, p2] or OpenCV's distortion_coefficients [k1, k2, p1, p2, k3]; rotation (3x3) and translation (m) of
    world points (y up, origin on the ground) into the camera frame.
    Raises InputError where the file is unreadable, misses the focal length, or was made for another aspect ratio.
    """
    content = _read(Path(path))
    try:
        camera = _from_content(content, image_size)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise InputError(f"{path}: is no camera ({error}); expected {_NAMES}") from None
    return camera if image_size is None else resized(camera, image_size, str(path))


def resized(camera: Camera, image_size: tuple[int, int], name: str = "camera") -> Camera:
    """The camera for the same view scaled to `image_size` (w, h). Raises InputError for another aspect ratio."""
    old, new = np.asarray(camera.image_size, np.float64), np.asarray(image_size, np.float64)
    factors = new / old
    if abs(factors[0] / factors[1] - 1) > _ASPECT_SLACK:
        raise InputError(
            f"{name}: was made for {old[0]:.0f}x{old[1]:.0f} frames, these are {new[0]:.0f}x{new[1]:.0f}, which is "
            "another aspect ratio; calibrate with frames of this shape"
        )
    size = tuple(int(side) for side in image_size)
    return replace(camera, focal=camera.focal * factors, center=camera.center * factors, image_size=size)


def _read(path: Path) -> dict[str, Any]:
    if path.suffix.lower() in (".yaml", ".yml"):
        import yaml

        try:
            lines = path.read_text(encoding="utf-8").splitlines()
            text = "\n".join(line for line in lines if not line.startswith("%YAML"))  # OpenCV's is not YAML's
            content = yaml.safe_load(text.replace("!!opencv-matrix", ""))
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror or error}); check the path") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"{path}: no valid YAML ({reason}); the file is damaged, copy it again") from None
    else:
        content = read_json(path, "camera file")
    if not isinstance(content, dict):
        raise InputError(f"{path}: is no camera; expected {_NAMES}")
    return content


def _from_content(content: dict[str, Any], image_size: tuple[int, int] | None) -> Camera:
    def pair(whole: str, first: str, second: str) -> Any:
        if whole in content:
            return content[whole]
        return (content[first], content[second]) if first in content and second in content else None

    size = pair("image_size", "image_width", "image_height") or image_size
    if size is None:
        raise InputError("does not say for which image_size it is; add image_size: [width, height]")
    focal, center = pair("focal", "fx", "fy"), pair("center", "cx", "cy")
    for name in ("matrix", "camera_matrix"):
        if name in content:
            m = _matrix(content[name], (3, 3))
            focal, center = (m[0, 0], m[1, 1]), (m[0, 2], m[1, 2])
    if focal is None:
        raise InputError(f"does not state the focal length; expected {_NAMES}")
    camera = make_camera(tuple(int(side) for side in size), focal)
    distortion = np.zeros(5)
    if "distortion" in content:
        distortion = _matrix(content["distortion"], (5,))
    elif "distortion_coefficients" in content:
        k1, k2, p1, p2, *rest = _matrix(content["distortion_coefficients"], (-1,))
        distortion = np.array([k1, k2, rest[0] if rest else 0.0, p1, p2])
        if len(rest) > 1 and np.any(rest[1:]):
            raise InputError("has more than five distortion coefficients; calibrate with k1, k2, p1, p2, k3 only")
    moved = {}
    if "rotation" in content and "translation" in content:
        rotation, translation = _matrix(content["rotation"], (3, 3)), _matrix(content["translation"], (3,))
        if not (np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3) and np.linalg.det(rotation) > 0):
            raise InputError("its rotation is no rotation matrix; give the one of world points into the camera frame")
        moved = {"rotation": rotation, "translation": translation, "world": "given"}
    return replace(camera, center=camera.center if center is None else center, distortion=distortion, **moved)


def _matrix(value: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers of a list, or of OpenCV's {rows, cols, data}."""
    return np.asarray(value["data"] if isinstance(value, dict) else value, np.float64).reshape(shape)
