"""Small pictures stay within their budget and keep even distances."""

import io

import numpy as np
import pytest
from PIL import Image

from cascadepose.errors import InputError
from cascadepose.visualize.small_pictures import pictures_or_reason, small_pictures


def open_all(pictures) -> list[np.ndarray]:
    return [np.asarray(Image.open(io.BytesIO(file))) for file in pictures.files]


def test_every_frame_where_it_fits(make_result, grey_clip):
    frames, seen = grey_clip(10), []
    pictures = small_pictures(make_result([]), frames, width=160, progress=seen.append)
    assert pictures.step == 1 and pictures.frames == list(range(10)) and pictures.size == (160, 120)
    assert sum(seen) == 10
    for picture, frame in zip(open_all(pictures), frames, strict=True):
        assert picture.shape == (120, 160, 3)
        assert abs(picture.mean() - frame.mean()) < 2


def test_budget(make_result, grey_clip):
    result, frames = make_result([]), grey_clip(10)
    whole = small_pictures(result, frames).num_bytes
    for budget, step in ((whole // 2 + 10, 2), (whole // 3, 4), (1, 16)):
        pictures = small_pictures(result, frames, budget=budget)
        assert pictures.step == step and pictures.frames == list(range(0, 10, step))
        assert pictures.num_bytes <= max(budget, whole // 10 + 50)


def test_painted_and_never_enlarged(make_result, grey_clip):
    def paint(index, image):
        return np.full_like(image, 255 if index % 2 else 0)

    pictures = small_pictures(make_result([]), grey_clip(10), width=4000, paint=paint)
    assert pictures.size == (320, 240)
    assert [round(picture.mean()) for picture in open_all(pictures)] == [0, 255] * 5


def test_what_cannot_be_read(make_result, grey_clip):
    for result, source, words in (
        (make_result([]), grey_clip(9), "fewer frames than the result"),
        (make_result([]), grey_clip(10, (100, 80)), "of different size"),
        (make_result([]), None, "nowhere.mp4: no such file"),
        (make_result([], frames=0), None, "no frame was processed"),
    ):
        with pytest.raises(InputError, match=words):
            small_pictures(result, source)
        pictures, reason = pictures_or_reason(result, source=source)
        assert pictures is None and reason.startswith("no pictures: ")
