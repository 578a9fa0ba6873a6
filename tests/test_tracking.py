"""Stable ids: crossings, absences, duplicates, flicker, first frames, very low frame rates."""

import numpy as np
import pytest

from cascadepose.similarity import pairwise_oks, similarity, suppress_duplicates
from cascadepose.tracking import TrackBuilder, Tracker
from cascadepose.types import Poses2D

FPS = 25.0


def run(frames: list[Poses2D], fps: float = FPS, **settings):
    """Track the frames; returns the tracks and the id of each pose in each frame (0: nobody's)."""
    tracker, builder, keys = Tracker(**settings), TrackBuilder(), []
    for index, poses in enumerate(frames):
        keys.append(tracker.update(index / fps, poses))
        builder.add(index, poses, keys[-1])
    tracker.finish()
    ids = [[tracker.ids.get(int(key), 0) for key in row] for row in keys]
    return builder.tracks(tracker.ids, np.arange(len(frames)) / fps), ids


def test_similarity_is_one_for_the_same_pose_and_zero_far_away(make_people):
    a = make_people([(100, 100, 150, 0), (400, 100, 150, 0)])
    np.testing.assert_allclose(similarity(a, a), np.eye(2), atol=1e-5)
    oks, evidence = pairwise_oks(a, a[0])
    assert oks.shape == evidence.shape == (2, 1) and evidence[0, 0] == pytest.approx(17 * 0.9)


def test_oks_agrees_with_cocos_definition(make_people, rng):
    truth = make_people([(100, 100, 150, 0)])
    moved = Poses2D(truth.keypoints + rng.normal(0, 4, (1, 17, 2)), truth.scores, truth.sigma, truth.boxes_xyxy, [1])
    box = truth.boxes_xyxy[0]
    squared = ((moved.keypoints - truth.keypoints)[0] ** 2).sum(-1)
    variance = (2 * np.array(truth.skeleton.sigmas)) ** 2
    expected = np.exp(-squared / variance / ((box[2] - box[0]) * (box[3] - box[1])) / 2).mean()
    assert pairwise_oks(truth, moved)[0][0, 0] == pytest.approx(expected, rel=1e-5)


def test_single_image_gives_its_people(make_people):
    tracks, ids = run([make_people([(100, 100, 150, 0), (300, 100, 150, 1)])])
    assert ids == [[1, 2]] and [len(track) for track in tracks] == [1, 1]


def test_nobody_at_all():
    assert run([Poses2D.empty()] * 3) == ([], [[]] * 3)


def test_two_people_who_cross_keep_their_ids(make_people):
    frames = [
        make_people([(100 + 8 * t, 200, 180, t / 3), (500 - 8 * t, 210, 170, t / 3 + 1)], noise=0.005)
        for t in range(50)
    ]
    swapped = [poses if t % 2 else poses[[1, 0]] for t, poses in enumerate(frames)]  # the order must not matter
    tracks, ids = run(swapped)
    assert [len(track) for track in tracks] == [50, 50]
    assert ids == [ids[0] if t % 2 == 0 else ids[0][::-1] for t in range(50)]


def test_gap_is_bridged_and_filled(make_people):
    frames = [make_people([(100 + 5 * t, 200, 180, 0)]) if not 10 <= t < 18 else Poses2D.empty() for t in range(30)]
    (track,), _ = run(frames)
    assert len(track) == 30 and track.frame_index[0] == 0
    np.testing.assert_array_equal(np.flatnonzero(~track.observed), np.arange(10, 18))
    assert (track.scores[10:18] == 0).all() and (track.box_scores[10:18] == 0).all() and track.scores[9, 0] > 0
    np.testing.assert_allclose(np.diff(track.keypoints[:, 0, 0]), 5, atol=1e-3)
    np.testing.assert_allclose(track.timestamp, np.arange(30) / FPS)


@pytest.mark.parametrize(("seconds", "same"), [(1.5, True), (4.0, False)])
def test_person_who_leaves_and_returns(make_people, seconds, same):
    away = int(seconds * FPS)
    frames = (
        [make_people([(300, 200, 180, 0)])] * 20 + [Poses2D.empty()] * away + [make_people([(330, 205, 185, 1)])] * 20
    )
    tracks, ids = run(frames)
    assert (ids[0] == ids[-1]) is same
    assert [len(track) for track in tracks] == ([40 + away] if same else [20, 20])


def test_another_person_elsewhere_or_of_other_size_is_somebody_new(make_people):
    for newcomer in ((900, 200, 180, 0), (330, 200, 60, 0)):
        frames = [make_people([(300, 200, 180, 0)])] * 20 + [Poses2D.empty()] * 20 + [make_people([newcomer])] * 20
        assert len(run(frames)[0]) == 2


def test_duplicates_of_one_person_are_dropped(make_people):
    one = make_people([(100, 100, 150, 0), (102, 101, 152, 0.1), (300, 100, 150, 0)])
    poses = Poses2D(one.keypoints, one.scores, one.sigma, one.boxes_xyxy, [0.6, 0.9, 0.8])
    assert suppress_duplicates(poses).tolist() == [1, 2]
    tracks, ids = run([poses] * 5)
    assert len(tracks) == 2 and ids[0][0] == 0


def test_part_of_a_person_in_a_box_of_its_own_is_dropped(make_people):
    whole = make_people([(100, 100, 150, 0), (300, 100, 150, 0)])
    boxes = np.concatenate([whole.boxes_xyxy, [[70, 25, 135, 90]]])
    rows = [np.concatenate([values, values[:1]]) for values in (whole.keypoints, whole.scores, whole.sigma)]
    rows[0][2] += (4, 6)
    rows[1][2, 7:] = 0.1
    poses = Poses2D(*rows, boxes, [0.6, 0.8, 0.9])
    assert suppress_duplicates(poses).tolist() == [1, 2]


def test_two_people_close_to_each_other_are_both_kept(make_people):
    assert len(suppress_duplicates(make_people([(100, 100, 150, 0), (140, 105, 150, 2)]))) == 2


def test_a_flicker_is_left_out_and_counted(make_people):
    person, both = [(100, 100, 150, 0)], [(100, 100, 150, 0), (400, 100, 90, 0)]
    tracker, builder = Tracker(), TrackBuilder()
    for index in range(30):
        poses = make_people(both if index == 10 else person)
        builder.add(index, poses, tracker.update(index / FPS, poses))
    tracker.finish()
    assert list(tracker.ids.values()) == [1] and builder.left_out(tracker.ids) == 1


def test_weak_boxes_carry_on_but_do_not_begin(make_people):
    strong, weak = make_people([(100, 100, 150, 0)], 0.8), make_people([(100, 100, 150, 0)], 0.3)
    assert run([weak] * 10, start_score=0.5)[0] == []
    (track,), _ = run([weak] * 3 + [strong] + [weak] * 6, start_score=0.5)
    assert len(track) == 7 and track.observed.all()


@pytest.mark.parametrize("fps", [0.1, 1, 5, 240])
def test_any_frame_rate(make_people, fps):
    step = min(200 / fps, 60)
    tracks, _ = run([make_people([(100 + step * t, 200, 180, t)]) for t in range(12)], fps)
    assert [len(track) for track in tracks] == [12]


def test_state_stays_small(make_people):
    tracker = Tracker()
    for t in range(600):
        tracker.update(t / FPS, make_people([(100 + (t // 100) * 700, 100, 150, 0)]))
    assert len(tracker._people) <= 2 and sorted(tracker.ids.values()) == [1, 2, 3, 4, 5, 6]


def test_somebody_who_only_flickers_is_left_out(make_people):
    person, both = [(100, 100, 150, 0)], [(100, 100, 150, 0), (400, 100, 90, 0)]
    tracks, _ = run([make_people(both if t % 5 == 0 else person) for t in range(40)])
    assert len(tracks) == 1


def test_a_second_box_on_somebody_takes_over_no_id(make_people):
    """A detector that now and then sees a person twice, shifted, and then only in the shifted place."""
    frames = []
    for t in range(60):
        steady, shifted = (100, 100, 150, 0), (118, 118, 150, 0)
        frames.append(make_people([steady, shifted] if t in (20, 24, 28) else [shifted] if t > 28 else [steady]))
    tracks, _ = run(frames)
    assert [len(track) for track in tracks] == [60]
