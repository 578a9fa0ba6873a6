"""A small COCO set with the irregularities of a real one."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def coco_dataset(tmp_path, rng):
    """Seven images of three sizes; image 7 has nobody, one person has no joints, one annotation is a crowd."""
    images, people = [], []
    for image_id in range(1, 8):
        width, height = ((96, 64), (64, 96), (80, 80))[image_id % 3]
        Image.new("RGB", (width, height), (image_id, 0, 0)).save(tmp_path / f"{image_id}.png")
        images.append({"id": image_id, "file_name": f"{image_id}.png", "width": width, "height": height})
        for _ in range(image_id % 3 + 1 if image_id < 7 else 0):
            triples = np.full((17, 3), 2.0)
            triples[:, :2] = rng.uniform(2, 60, (17, 2))
            people.append(
                {"id": len(people), "image_id": image_id, "category_id": 1, "iscrowd": 0, "bbox": [2, 2, 58, 58],
                 "area": 2000, "keypoints": triples.ravel().tolist(), "num_keypoints": 17}
            )  # fmt: skip
    people[1]["iscrowd"] = 1
    people[2].update(num_keypoints=0, keypoints=[0] * 51)
    return tmp_path, {"images": images, "annotations": people, "categories": [{"id": 1, "name": "person"}]}
