"""What a notebook shows is small, whole HTML and says who was seen."""

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
from PIL import Image

from cascadepose.data.video_writer import open_video_writer
from cascadepose.visualize.notebook import best_frame


class Checker(HTMLParser):
    """Elements in order, and that each is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.elements = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append(tag)
        if tag not in ("br", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_picture_and_table(make_result, grey_clip, tmp_path):
    with open_video_writer(tmp_path / "clip.mp4", 10) as video:
        for t, frame in enumerate(grey_clip(10)):
            video.write(frame, t / 10)
    result = make_result([(0, 9), (4, 9)], source=str(tmp_path / "clip.mp4"), notes=("a < b",))
    text = result._repr_html_()
    elements = Checker(text).elements
    assert elements.count("img") == 1 and elements.count("tr") == 3
    assert "clip.mp4</b>: 2 people, 10 frames at 10 a second" in text and str(tmp_path) not in text
    assert 'title="frame 4"' in text and "4 to 9" in text and "root-relative" in text and "a &lt; b" in text
    image = Image.open(io.BytesIO(base64.b64decode(re.search(r"base64,([^\"]+)", text)[1])))
    assert max(image.size) == 560 or image.size[0] < 560
    assert len(text) < 60_000 and np.asarray(image).std() > 1


def test_the_frame_in_which_people_are_seen_best(make_result):
    assert best_frame(make_result([(0, 9), (3, 6), (5, 9)])) == 5
    assert best_frame(make_result([])) == 0
    hidden = make_result([(0, 9)])
    (track,) = hidden.tracks
    assert best_frame(replace(hidden, tracks=[replace(track, observed=np.arange(10) > 6)])) == 7
    better = track.scores.copy()
    better[8] += 0.05
    assert best_frame(replace(hidden, tracks=[replace(track, scores=better)])) == 8


def test_without_frames_and_without_people(make_result):
    text = make_result([(0, 9)] * 12)._repr_html_()
    assert "no picture: nowhere.mp4: no such file" in text and "and 4 more" in text
    assert Checker(text).elements.count("tr") == 10
    alone = make_result([(0, 0)], frames=1, fps=None)
    flat = replace(alone, tracks=[replace(alone.tracks[0], poses3d=None)])
    assert "1 person, 1 frame<" in flat._repr_html_() and ">none<" in flat._repr_html_()
    nobody = make_result([], frames=0)._repr_html_()
    assert "no people, 0 frames" in nobody and "table" not in Checker(nobody).elements
