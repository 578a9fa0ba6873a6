"""Counting identities: switches, IDF1, lists made by hand; and the tracker on a video with six people in turn."""

from pathlib import Path

import numpy as np
import pytest

from cascadepose.data.frames import FrameSource, open_source
from cascadepose.errors import InputError
from cascadepose.evaluation.tracking import Sightings, identity_scores, read_sightings, sightings_of
from cascadepose.loading import load

ONE_BY_ONE = Path(__file__).parent / "one_by_one.json"


def two_people(count=20):
    """Two who walk side by side, 100 px apart."""
    frames = np.repeat(np.arange(count), 2)
    points = np.stack([10.0 * frames, np.tile([100.0, 200.0], count)], -1)
    return Sightings(frames, np.tile([1, 2], count), points)


def test_right_ids_under_other_names():
    truth = two_people()
    scores = identity_scores(truth, Sightings(truth.frames, truth.ids * 7, truth.points + 5), 50)
    assert scores == {
        "people": 2, "ids": 2, "switches": 0, "sightings": 40, "misses": 0, "false": 0, "idf1": 1.0
    }  # fmt: skip


def test_exchanged_ids_are_two_switches():
    truth = two_people()
    ids = np.where(truth.frames < 15, truth.ids, 3 - truth.ids)
    scores = identity_scores(truth, Sightings(truth.frames, ids, truth.points), 50)
    assert scores["switches"] == 2 and scores["idf1"] == pytest.approx(0.75)


def test_a_new_id_after_a_gap_is_a_switch():
    truth = two_people()
    ids = np.where((truth.frames > 10) & (truth.ids == 1), 9, truth.ids)
    seen = (truth.frames < 8) | (truth.frames > 10) | (truth.ids == 2)
    found = Sightings(truth.frames[seen], ids[seen], truth.points[seen])
    scores = identity_scores(truth, found, 50)
    assert (scores["switches"], scores["misses"], scores["ids"]) == (1, 3, 3)
    assert scores["idf1"] == pytest.approx(2 * 29 / (40 + 37))


def test_a_match_is_kept_where_another_is_nearer():
    truth = two_people()
    moved = truth.points + np.where(truth.frames == 9, np.where(truth.ids == 1, 60, -60), 0)[:, None] * [0, 1]
    assert identity_scores(truth, Sightings(truth.frames, truth.ids, moved), 90)["switches"] == 0


def test_nobody():
    truth, nobody = two_people(), Sightings(np.zeros(0, int), np.zeros(0, int), np.zeros((0, 2)))
    assert identity_scores(truth, nobody, 50)["misses"] == 40
    assert identity_scores(nobody, truth, 50)["false"] == 40


def test_tracks_and_hand_made_lists(tmp_path):
    truth = read_sightings(ONE_BY_ONE)
    assert np.unique(truth.ids).tolist() == [1, 2, 3, 4, 5, 6]
    counts = np.unique(truth.frames, return_counts=True)[1]
    assert counts.max() == 1  # one by one
    assert len(truth.between(100, 109).frames) == 10
    assert len(sightings_of([]).frames) == 0
    (tmp_path / "bad.json").write_text("[1]")
    for path in (tmp_path / "bad.json", tmp_path / "missing.json"):
        with pytest.raises(InputError, match="who is where"):
            read_sightings(path)


class EverySecond(FrameSource):
    """Frames 430, 432, ... 528 of the video: one person goes, the next one comes."""

    name, fps = "one_by_one", 5.0

    def __init__(self, path):
        self._video = open_source(path)
        self.size = self._video.size

    def _images(self):
        for frame in self._video:
            if 430 <= frame.index < 530 and frame.index % 2 == 0:
                yield frame.timestamp, frame.image
            elif frame.index >= 530:
                return


@pytest.mark.slow
def test_one_goes_and_another_comes(shared):
    """Two people, two ids, no switch; on the first and last frames too little is seen of them."""
    result = load(lifter=None)(EverySecond(shared / "data/videos/one_by_one.mp4"), progress=False)
    found = sightings_of(result.tracks)
    found = Sightings(430 + 2 * found.frames, found.ids, found.points)
    truth = read_sightings(ONE_BY_ONE).between(430, 529)
    truth = Sightings(*(array[truth.frames % 2 == 0] for array in (truth.frames, truth.ids, truth.points)))
    scores = identity_scores(truth, found, reach=150)
    assert scores["people"] == 2 and scores["switches"] == 0
    assert scores["idf1"] > 0.8
