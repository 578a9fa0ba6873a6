import numpy as np
import torch

from cascadepose.boxes import cxcywh_to_xyxy
from cascadepose.data.augmentation import CropAugmentation
from cascadepose.data.crops import PersonCrops
from cascadepose.data.detected import around_nobody, as_detected, overlap

SIZE = 200, 100  # width, height
PEOPLE = np.array([[10, 10, 40, 90], [30, 12, 62, 88], [120, 40, 140, 80]], np.float32)


def test_detected_boxes_lie_in_the_image_and_belong_to_whom_they_overlap_most(rng):
    owners, overlaps = [], []
    for _ in range(300):
        box, person = as_detected(PEOPLE, 0, SIZE, rng)
        assert (box[:2] >= 0).all() and (box[2:] <= SIZE).all() and (box[2:] > box[:2]).all()
        assert overlap(box, PEOPLE).argmax() == person
        owners.append(person)
        overlaps.append(overlap(box, PEOPLE).max())
    assert owners.count(0) > 200 and owners.count(2) == 0  # the next person's now and then, never one further off
    assert min(overlaps) > 0.3 and 0.55 < np.median(overlaps) < 0.85


def test_nobody_is_where_no_person_and_no_crowd_is(rng):
    crowd = np.array([[150, 0, 200, 100]], np.float32)
    boxes = [around_nobody(PEOPLE, crowd, SIZE, rng) for _ in range(100)]
    found = [box for box in boxes if box is not None]
    assert len(found) > 50
    for box in found:
        assert (box[:2] >= 0).all() and (box[2:] <= SIZE).all()
        assert overlap(box, PEOPLE).max() < 0.25
        inside = (np.minimum(box[2:], crowd[0, 2:]) - np.maximum(box[:2], crowd[0, :2])).clip(min=0).prod()
        assert inside < 0.5 * (box[2:] - box[:2]).prod()
    everywhere = np.array([[0, 0, *SIZE]], np.float32)
    assert around_nobody(PEOPLE, everywhere, SIZE, rng) is None


def painted(coco_people, **options) -> PersonCrops:
    """Crops of a picture in which the second person is a green rectangle."""
    data = PersonCrops([coco_people], (64, 48), augmentation=CropAugmentation(color=0.0, **options))
    record = data.people[0][0]
    image = np.zeros((record.height, record.width, 3), np.uint8)
    x0, y0, x1, y1 = record.boxes_xyxy[1].round().astype(int)
    image[y0:y1, x0:x1, 1] = 255
    data.images._images[record.path] = image
    return data


def test_detected_boxes_may_leave_more_room_than_annotated_ones(coco_people):
    """The same item, cropped twice as widely, shows the person half as large; an annotated box is cropped as before."""
    boxes = {}
    for room in (1.5, 3.0):
        data = PersonCrops([coco_people], (64, 48), 1.1, room, augmentation=CropAugmentation(color=0.0, detected=1.0))
        boxes[room] = torch.stack([data[(0, seed)]["box"] for seed in range(16)])
        box = np.array([10.0, 20.0, 46.0, 68.0])
        assert np.allclose(data.region(box)[1], [1.1 * 36, 1.1 * 48])
        assert np.allclose(data.region(box, detected=True)[1], [room * 36, room * 48])
    corners = cxcywh_to_xyxy(boxes[1.5])
    whole = ((corners > 0) & (corners < 1)).all(1)  # not cut by the crop
    assert whole.sum() > 3
    torch.testing.assert_close(boxes[1.5][whole, 2:], 2 * boxes[3.0][whole, 2:])


def test_the_box_of_a_crop_is_around_the_person(coco_people):
    data, seen = painted(coco_people, detected=1.0), 0
    second = next(i for i, (image, person) in enumerate(data.people) if person == 1 and image is data.people[0][0])
    for seed in range(20):
        item = data[(second, seed)]
        assert item["box_known"] and not item["nobody"]
        rows, columns = np.nonzero(item["image"][1].numpy() > 127)
        center, sides = item["box"][:2].numpy(), item["box"][2:].numpy()
        found = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / [48, 64, 48, 64]
        if np.abs(np.concatenate([center - sides / 2, center + sides / 2]) - found).max() < 0.04:
            seen += 1  # the others are crops that belong to the first person
    assert seen > 12


def test_a_turned_crop_and_half_a_body_have_no_known_box(coco_people):
    turned = painted(coco_people, rotation=40.0, half_body=0.0)
    known = [bool(turned[(0, seed)]["box_known"]) for seed in range(40)]
    assert 8 < sum(known) < 28  # two fifths are upright
    assert turned[0]["box_known"]


def test_crops_of_nobody_say_nothing_of_joints(coco_people):
    data = painted(coco_people, nobody=1.0)
    items = [data[(0, seed)] for seed in range(30)]
    empty = [item for item in items if item["nobody"]]
    assert empty
    for item in empty:
        assert not item["visible"].any() and not item["labelled"].any() and not item["box_known"]


def test_people_without_joints_are_drawn_as_rarely_as_asked(coco_people, tmp_path):
    import json
    from dataclasses import replace
    from pathlib import Path

    content = json.loads(Path(coco_people.annotations).read_text())
    content["annotations"][0] |= {"keypoints": [0.0] * 51, "num_keypoints": 0}
    path = tmp_path / "jointless.json"
    path.write_text(json.dumps(content))
    source = replace(coco_people, annotations=str(path))
    without = PersonCrops([source], (64, 48))
    data = PersonCrops([source], (64, 48), boxes_only=0.25)
    assert len(data) == len(without) + 1 and sorted(data.sample_weights) == [0.25] + [1.0] * len(without)
    jointless = int(np.argmin(data.sample_weights))
    assert data[jointless]["box_known"] and not data[jointless]["labelled"].any()
