"""COCO-format person annotations as plain records, one an image; any number of files can be read side by side."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cascadepose.data.images import read_image
from cascadepose.errors import InputError
from cascadepose.files import read_json
from cascadepose.skeletons import COCO17, Skeleton

NO_JOINTS = Skeleton("no_joints", (), (), (), ())  # for what learns from boxes alone, whatever joints a file has


@dataclass(frozen=True)
class CocoSource:
    """One annotation file and what is particular about it.

    annotations: COCO keypoint json, or MPII's annot/train.json. images: the folder that file names are relative to.
    weight: how often its items are drawn, relative to the same number of items of another source.
    unlabelled_joints: joints that this set never annotates (by name): v = 0 says nothing about them.
    absence_known: False where v = 0 of the other joints does not mean "not to be seen" either.
    background: a folder of images without people, for the detector.
    skeleton: joint set of the file where it is not the one that is trained, by name or a file that declares it; joints
        go by their names, those that the file does not have are unlabelled. MPII's files have mpii16.
    truth: MPII's gt_valid.mat, to validate on MPII.
    boxes_known: False where boxes were put around the joints, so that their edges are not those of the people.
    """

    annotations: str
    images: str
    weight: float = 1.0
    unlabelled_joints: list[str] = field(default_factory=list)
    absence_known: bool = True
    background: str | None = None
    skeleton: str | None = None
    truth: str | None = None
    boxes_known: bool = True


@dataclass(frozen=True)
class CocoImage:
    """What is annotated in one image, in its pixels.

    boxes_xyxy [P, 4], keypoints [P, K, 3] (x, y, v as in COCO), crowds_xyxy [G, 4] regions of unlabelled people,
    complete: every person outside of the crowds has a box; labelled [K] bool: joints whose absence is known; rows [P]:
    the place of each person in the annotation file.
    """

    path: Path
    image_id: int
    width: int
    height: int
    boxes_xyxy: np.ndarray
    keypoints: np.ndarray
    crowds_xyxy: np.ndarray
    complete: bool
    labelled: np.ndarray
    rows: np.ndarray


def read_coco(source: CocoSource, skeleton: Skeleton = COCO17) -> list[CocoImage]:
    """Every image of a source, with its people; the file's joints are those of `skeleton`.

    Raises InputError for a missing or broken file, annotations without images, NaN in boxes or joints, another joint
    count.
    """
    content = read_json(source.annotations, "annotation file")
    if not isinstance(content, dict) or not {"images", "annotations"} <= content.keys():
        raise InputError(f'{source.annotations}: has no "images" and "annotations"; give a COCO person_keypoints file')
    people: dict[int, list[dict]] = {}
    for row, annotation in enumerate(content["annotations"]):
        people.setdefault(annotation["image_id"], []).append(annotation | {"row": row})
    labelled = known_absence(source, skeleton)
    records = [_record(image, people.get(image["id"], []), labelled, source, skeleton) for image in content["images"]]
    if source.background is not None:
        records += [_empty_record(path, skeleton) for path in sorted(Path(source.background).iterdir())]
    if not records or not people:
        raise InputError(f"{source.annotations}: has no annotated people; check that it is a person_keypoints file")
    check_images((record.path for record in records), source)
    return records


def known_absence(source: CocoSource, skeleton: Skeleton) -> np.ndarray:
    """Which joints [K] of the file, if they are not annotated, cannot be seen. Raises InputError for unknown names."""
    labelled = np.full(skeleton.num_joints, source.absence_known)
    if skeleton == NO_JOINTS:
        return labelled
    labelled[[skeleton.index(name) for name in source.unlabelled_joints]] = False
    return labelled


def check_images(paths: Iterable[Path], source: CocoSource) -> None:
    """Raises InputError that names the first image that is not there."""
    missing = next((path for path in paths if not path.exists()), None)
    if missing is not None:
        raise InputError(
            f"{missing}: named in {source.annotations} but missing; check the images folder {Path(source.images)}"
        )


def _record(
    image: dict, annotations: list[dict], labelled: np.ndarray, source: CocoSource, skeleton: Skeleton
) -> CocoImage:
    name, folder = source.annotations, Path(source.images)
    boxes = np.array([a["bbox"] for a in annotations], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    crowd = np.array([bool(a.get("iscrowd", 0)) for a in annotations], bool)
    crowd |= looks_like_crowd(boxes) & np.array([not a.get("crowd_known", True) for a in annotations], bool)
    blank = [0.0] * 3 * skeleton.num_joints
    flat = [(blank and a.get("keypoints")) or blank for a in annotations]
    if any(len(joints) != len(blank) for joints in flat):
        raise InputError(
            f"{name}: image {image['id']} has a person whose keypoints are not {skeleton.num_joints} x 3 numbers, the "
            f"joints of {skeleton.name}; name the joint set of the file as its source's `skeleton`"
        )
    keypoints = np.array(flat, np.float32).reshape(len(flat), skeleton.num_joints, 3)
    if not (np.isfinite(boxes).all() and np.isfinite(keypoints).all()):
        raise InputError(f"{name}: image {image['id']} has NaN or infinite boxes or keypoints; remove that annotation")
    real = ~crowd & (boxes[:, 2:] > boxes[:, :2]).all(1)
    return CocoImage(
        path=folder / image["file_name"],
        image_id=image["id"],
        width=image["width"],
        height=image["height"],
        boxes_xyxy=boxes[real],
        keypoints=keypoints[real],
        crowds_xyxy=boxes[crowd],
        complete=bool(image.get("boxes_complete", True)),
        labelled=labelled,
        rows=np.array([a["row"] for a in annotations], np.int64)[real],
    )


def looks_like_crowd(boxes_xyxy: np.ndarray) -> np.ndarray:
    """Boxes [P, 4] of one image -> [P] bool: holds the centres of three or more others, or is far wider than tall.

    For files that have lost COCO's `iscrowd` flag and say so with `crowd_known: false`.
    """
    center, size = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2, boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]
    held = ((center > boxes_xyxy[:, None, :2]) & (center < boxes_xyxy[:, None, 2:])).all(-1).sum(1) - 1
    return (held >= 3) | (size[:, 0] > 1.8 * size[:, 1])


def _empty_record(path: Path, skeleton: Skeleton) -> CocoImage:
    from PIL import Image

    with Image.open(path) as image:
        width, height = image.size
    nobody = np.zeros((0, skeleton.num_joints, 3), np.float32)
    empty, no_rows = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    labelled = np.ones(skeleton.num_joints, bool)
    return CocoImage(path, -1, width, height, empty, nobody, empty, True, labelled, no_rows)


class ImageStore:
    """Decoded images; with `cache`, each is decoded once and shared with forked worker processes."""

    def __init__(self, paths: list[Path], cache: bool, threads: int = 4):
        self._images: dict[Path, np.ndarray] = {}
        if cache:
            from concurrent.futures import ThreadPoolExecutor

            unique = sorted(set(paths))
            with ThreadPoolExecutor(threads) as pool:
                self._images = dict(zip(unique, pool.map(read_image, unique), strict=True))

    def __call__(self, path: Path) -> np.ndarray:
        """uint8 [H, W, 3] RGB; not to be written to."""
        image = self._images.get(path)
        return read_image(path) if image is None else image
