"""Two people walking, written as other programs write their 2D results: `NAME(folder, frames) -> path`.

`frames` is a list of (keypoints [P, K, 2] px, scores [P, K]), one entry a frame.
"""

import json
from pathlib import Path

import numpy as np

from cascadepose.skeletons import COCO17


def walkers(make_people, skeleton=COCO17, frames=8):
    """Two people who pass through a frame of 640x480, in the joints of a skeleton; what COCO lacks lies mid-body."""
    found = []
    for t in range(frames):
        coco = make_people([(100 + 4 * t, 200, 160, t / 3), (420 - 5 * t, 220, 180, t / 2)])
        names = {name: coco.keypoints[:, i] for i, name in enumerate(COCO17.names)}
        middle = coco.keypoints.mean(1)
        keypoints = np.stack([names.get(name, middle) for name in skeleton.names], 1)
        found.append((keypoints, np.full(keypoints.shape[:2], 0.8, np.float32)))
    return found


def triples(keypoints, scores):
    return np.concatenate([keypoints, scores[..., None]], -1).reshape(-1).round(3).tolist()


def xywh(keypoints):
    low, high = keypoints.min(0) - 10, keypoints.max(0) + 10
    return [*low.tolist(), *(high - low).tolist()]


def alphapose(folder: Path, frames, tracked=True) -> Path:
    entries = [
        {"image_id": f"{t}.jpg", "category_id": 1, "keypoints": triples(k, s), "score": 2.9, "box": xywh(k)}
        | ({"idx": [float(person + 5)]} if tracked else {})
        for t, (keypoints, scores) in enumerate(frames)
        for person, (k, s) in enumerate(zip(keypoints, scores, strict=True))
    ]
    return _json(folder / "alphapose-results.json", entries)


def openpose(folder: Path, frames, key="pose_keypoints_2d", name="openpose") -> Path:
    folder = folder / name
    folder.mkdir()
    for t, (keypoints, scores) in enumerate(frames):
        people = [{"person_id": [-1], key: triples(k, s), "face_keypoints_2d": []}
                  for k, s in zip(keypoints, scores, strict=True)]  # fmt: skip
        _json(folder / f"walk_{t:012d}_keypoints.json", {"version": 1.3, "people": people})
    return folder


def mmpose(folder: Path, frames, kind="video") -> Path:
    instances = [
        [
            {"keypoints": k.tolist(), "keypoint_scores": s.tolist(), "bbox": [[*k.min(0).tolist(), *k.max(0).tolist()]],
             "bbox_score": 0.7}
            for k, s in zip(keypoints, scores, strict=True)
        ]
        for keypoints, scores in frames
    ]  # fmt: skip
    rows = [{"frame_id": t + (kind == "demo"), "instances": people} for t, people in enumerate(instances)]
    content = {
        "demo": {"meta_info": {"dataset_name": "coco"}, "instance_info": rows},
        "video": rows,
        "image": instances[0],
    }
    return _json(folder / "mmpose.json", content[kind])


def coco(folder: Path, frames) -> Path:
    entries = [
        {"image_id": t, "category_id": 1, "keypoints": triples(k, s), "score": 0.5}
        for t, (keypoints, scores) in enumerate(frames)
        for k, s in zip(keypoints, scores, strict=True)
    ]
    return _json(folder / "results.json", entries)


def coco_annotations(folder: Path, frames, names=COCO17.names, size=(640, 480)) -> Path:
    """As annotation tools and PoseTrack write them: visibility instead of scores, and ids that are not in order."""
    images = [{"id": 900 - t, "file_name": f"frame_{t:04d}.jpg", "width": size[0], "height": size[1]}
              for t in range(len(frames))]  # fmt: skip
    annotations = [
        {
            "id": 10 * t + who,
            "image_id": 900 - t,
            "category_id": 1,
            "keypoints": triples(k, 2 * (s > 0)),
            "track_id": who,
        }
        | {"bbox": xywh(k), "iscrowd": 0}
        for t, (keypoints, scores) in enumerate(frames)
        for who, (k, s) in enumerate(zip(keypoints, scores, strict=True))
    ]
    categories = [{"id": 1, "name": "person", "keypoints": list(names)}]
    return _json(folder / "annotations.json", {"images": images, "annotations": annotations, "categories": categories})


def rtmlib(folder: Path, frames) -> Path:
    return _json(folder / "rtmlib.json", [{"keypoints": k.tolist(), "scores": s.tolist()} for k, s in frames])


def npz(folder: Path, frames, **more) -> Path:
    keypoints, scores = (np.stack(parts) for parts in zip(*frames, strict=True))
    np.savez(folder / "keypoints.npz", keypoints=keypoints, scores=scores, **more)
    return folder / "keypoints.npz"


def csv(folder: Path, frames, people=True, names=COCO17.names) -> Path:
    lines = ["frame," + "person," * people + "joint,x,y,score"]
    for t, (keypoints, scores) in enumerate(frames):
        for who, (points, marks) in enumerate(zip(keypoints, scores, strict=True)):
            for joint, ((x, y), mark) in enumerate(zip(points, marks, strict=True)):
                cells = [t, *([who] if people else []), names[joint] if names else joint, x, y, mark]
                lines.append(",".join(map(str, cells)))
    (folder / "keypoints.csv").write_text("\n".join(lines))
    return folder / "keypoints.csv"


def _json(path: Path, content) -> Path:
    path.write_text(json.dumps(content))
    return path
