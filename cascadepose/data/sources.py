"""Annotated people of any source in the joints that are wanted: COCO keypoint files, MPII's json, any joint set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from cascadepose.data.coco import NO_JOINTS, CocoImage, CocoSource, check_images, known_absence, read_coco
from cascadepose.data.mpii import read_mpii
from cascadepose.errors import InputError
from cascadepose.skeletons import COCO17, MPII16, Skeleton, find_skeleton

__all__ = ["is_mpii", "read_source"]


def read_source(source: CocoSource, skeleton: Skeleton = COCO17) -> list[CocoImage]:
    """Every image of a source, with its people and the joints of `skeleton`.

    Joints of a file that has another set (`source.skeleton`) go by their names; joints that the file does not have are
    not annotated, and their absence is not known. Raises InputError as the readers do, for a joint set that is not
    known, and for one that shares no joint with `skeleton`.
    """
    if is_mpii(source.annotations):
        own, images = MPII16, _read_mpii_images(source)
    else:
        own = skeleton if source.skeleton is None or skeleton == NO_JOINTS else find_skeleton(source.skeleton)
        images = read_coco(source, own)
    if own.names == skeleton.names:
        return images
    place = np.array([own.names.index(name) if name in own.names else -1 for name in skeleton.names], np.int64)
    if skeleton != NO_JOINTS and (place < 0).all():
        raise InputError(
            f"{source.annotations}: its joints ({own.name}) share no name with those of {skeleton.name}; rename them "
            "in one of the two"
        )
    return [_renamed(image, place) for image in images]


def is_mpii(path: str | Path) -> bool:
    """Whether an annotation file is one of MPII's, a JSON list; False where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(64).lstrip().startswith("[")
    except OSError:
        return False


def _renamed(image: CocoImage, place: np.ndarray) -> CocoImage:
    """The image with joints [K'] taken from these places, nothing where the place is -1."""
    keypoints = np.where((place >= 0)[None, :, None], image.keypoints[:, place], 0).astype(np.float32)
    return replace(image, keypoints=keypoints, labelled=image.labelled[place] & (place >= 0))


def _read_mpii_images(source: CocoSource) -> list[CocoImage]:
    """MPII's people by image; boxes are squares 200 scale high, as its crops have them before they are enlarged.

    Which other people an image shows is not annotated.
    """
    people, folder = read_mpii(source.annotations), Path(source.images)
    check_images((folder / name for name in dict.fromkeys(people.images)), source)
    boxes, labelled = people.boxes_xyxy(enlarge=1.0).astype(np.float32), known_absence(source, MPII16)
    joints = np.concatenate([people.keypoints, 2 * people.visible[..., None]], -1).astype(np.float32)
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(people.images):
        rows.setdefault(name, []).append(row)
    images, nobody = [], np.zeros((0, 4), np.float32)
    for number, (name, found) in enumerate(rows.items()):
        with Image.open(folder / name) as image:  # reads the header only
            width, height = image.size
        index = np.array(found)
        sizes = (folder / name, number, width, height)
        images.append(CocoImage(*sizes, boxes[index], joints[index], nobody, False, labelled, index))
    return images
