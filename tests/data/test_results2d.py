"""2D results of other programs: each format as the program writes it, to people and tracks; and every other layout."""

import json
from functools import partial

import numpy as np
import pytest

from cascadepose.data.results2d import FORMATS, convert_tracks, read_people
from cascadepose.data.results2d.arrays import from_frames
from cascadepose.errors import InputError
from cascadepose.skeletons import BODY25, COCO17, H36M17, HALPE26, OPENPOSE18, POSETRACK17, SKELETONS
from cascadepose.types import Track

FRAMES = 8


@pytest.fixture
def walkers(foreign, make_people):
    """walkers(skeleton): for each frame two people, keypoints [2, K, 2] px and scores [2, K]."""
    return partial(foreign.walkers, make_people)


def check(people, frames, skeleton, atol=2e-3):
    assert people.skeleton is skeleton
    assert people.num_frames == len(frames)
    poses = people.poses()
    assert list(poses) == list(range(len(frames)))
    for found, (keypoints, scores) in zip(poses.values(), frames, strict=True):
        np.testing.assert_allclose(found.keypoints, keypoints, atol=atol)
        np.testing.assert_allclose(found.scores, scores, atol=1e-6)
        assert (found.box_scores <= 1).all()
        assert (found.boxes_xyxy[:, None, :2] <= keypoints + atol).all()
    tracks = people.tracks(fps=25)
    assert len(tracks) == 2
    assert all(isinstance(track, Track) and len(track) == len(frames) for track in tracks)
    for track in tracks:  # everybody keeps to one side
        assert np.ptp(track.keypoints[:, :, 0].mean(1)) < 60
        assert track.timestamp[1] == pytest.approx(0.04)
    return tracks


@pytest.mark.parametrize("tracked", [True, False], ids=["ids", "no ids"])
@pytest.mark.parametrize("skeleton", [COCO17, HALPE26], ids=lambda s: s.name)
def test_alphapose(foreign, skeleton, tracked, walkers, tmp_path):
    frames = walkers(skeleton)
    tracks = check(read_people(foreign.alphapose(tmp_path, frames, tracked)), frames, skeleton)
    assert [track.track_id for track in tracks] == ([5, 6] if tracked else [1, 2])
    converted = convert_tracks(tracks, COCO17)
    np.testing.assert_allclose(converted[0].keypoints, tracks[0].keypoints[:, :17], atol=1e-4)


def test_alphapose_of_the_whole_body(foreign, walkers, tmp_path):
    """136 joints: the body comes first."""
    frames = walkers(HALPE26)
    longer = [(np.pad(k, ((0, 0), (0, 110), (0, 0))), np.pad(s, ((0, 0), (0, 110)))) for k, s in frames]
    check(read_people(foreign.alphapose(tmp_path, longer, False)), frames, HALPE26)


def test_alphapose_skips_frames_without_people(foreign, walkers, tmp_path):
    """Frames 3 and 4 are not in the file: they are there in the tracks, not observed."""
    path = foreign.alphapose(tmp_path, walkers(frames=9), True)
    entries = [entry for entry in json.loads(path.read_text()) if entry["image_id"] not in ("3.jpg", "4.jpg")]
    path.write_text(json.dumps(entries))
    for track in read_people(path).tracks():
        assert len(track) == 9
        assert (~track.observed).nonzero()[0].tolist() == [3, 4]
        assert (track.scores[3:5] == 0).all()


@pytest.mark.parametrize("skeleton", [BODY25, OPENPOSE18, HALPE26], ids=lambda s: s.name)
def test_openpose(foreign, skeleton, walkers, tmp_path):
    frames = walkers(skeleton)
    key = "pose_keypoints" if skeleton is OPENPOSE18 else "pose_keypoints_2d"
    tracks = check(read_people(foreign.openpose(tmp_path, frames, key)), frames, skeleton)
    coco = convert_tracks(tracks, COCO17)
    expected = walkers(COCO17)
    sides = sorted(range(2), key=lambda i: coco[i].keypoints[0, :, 0].mean())
    for person, side in enumerate(sides):
        np.testing.assert_allclose(coco[side].keypoints[5], expected[5][0][person], atol=2e-3)
    assert convert_tracks(tracks, H36M17)[0].skeleton is H36M17


def test_joints_that_were_not_found_are_interpolated(foreign, walkers, tmp_path):
    """OpenPose writes 0, 0, 0 for them: no pose is drawn to the corner of the image."""
    folder = foreign.openpose(tmp_path, walkers(BODY25))
    for t in (2, 3):
        file = folder / f"walk_{t:012d}_keypoints.json"
        content = json.loads(file.read_text())
        for person in content["people"]:
            person["pose_keypoints_2d"][12:15] = [0, 0, 0]  # the right wrist
        file.write_text(json.dumps(content))
    people = read_people(folder)
    found = people.poses()[2]
    assert (found.boxes_xyxy[:, :2] > 10).all()
    track = people.tracks()[0]
    assert track.observed.all()
    assert (track.scores[2:4, 4] == 0).all()
    expected = np.interp([2, 3], [1, 4], [track.keypoints[1, 4, 0], track.keypoints[4, 4, 0]])
    np.testing.assert_allclose(track.keypoints[2:4, 4, 0], expected, atol=1e-3)


@pytest.mark.parametrize("kind", ["video", "demo"])
def test_mmpose_videos(foreign, kind, walkers, tmp_path):
    frames = walkers()
    people = read_people(foreign.mmpose(tmp_path, frames, kind))
    check(people, frames, COCO17, atol=1e-4)
    assert people.poses()[0].box_scores == pytest.approx([0.7, 0.7])


def test_mmpose_image(foreign, walkers, tmp_path):
    people = read_people(foreign.mmpose(tmp_path, walkers(), "image"))
    assert people.num_frames == 1
    assert len(people.tracks(min_hits=1)) == 2


def test_coco_results(foreign, walkers, tmp_path):
    frames = walkers()
    check(read_people(foreign.coco(tmp_path, frames)), frames, COCO17)


def test_coco_results_of_images_far_apart(foreign, walkers, tmp_path):
    """Numbers of COCO's images are no frame numbers; reading stays quick."""
    keypoints, scores = walkers()[0]
    entries = [{"image_id": i, "category_id": 1, "keypoints": foreign.triples(keypoints[0], scores[0]), "score": 1.0}
               for i in (139, 285, 581781)]  # fmt: skip
    (tmp_path / "results.json").write_text(json.dumps(entries))
    people = read_people(tmp_path / "results.json")
    assert list(people.poses()) == [139, 285, 581781]
    assert [len(track) for track in people.tracks()] == [1]  # of the last image: nobody stays long enough to be doubted


def test_coco_annotations(foreign, walkers, tmp_path):
    """Frames by the names of the images, size from the file, ids kept; no crowds, none without joints."""
    frames = walkers()
    path = foreign.coco_annotations(tmp_path, frames)
    content = json.loads(path.read_text())
    content["annotations"] += [content["annotations"][0] | {"iscrowd": 1}, {"image_id": 900, "bbox": [1, 2, 3, 4]}]
    path.write_text(json.dumps(content))
    people = read_people(path)
    assert people.size == (640, 480)
    assert [track.track_id for track in check(people, [(k, np.ones_like(s)) for k, s in frames], COCO17)] == [1, 2]
    for image in content["images"]:
        image["file_name"] = "x.jpg"  # then the ids say the order, here the other way round
    path.write_text(json.dumps(content))
    np.testing.assert_allclose(read_people(path).poses()[0].keypoints, frames[-1][0], atol=2e-3)
    content["images"][0]["width"] = 64
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="has images of 2 sizes"):
        read_people(path)


def test_posetrack(foreign, walkers, tmp_path):
    names = ["nose", "head_bottom", "head_top", *POSETRACK17.names[3:]]
    people = read_people(foreign.coco_annotations(tmp_path, walkers(POSETRACK17), names))
    assert people.skeleton is POSETRACK17 and len(people.tracks(25)) == 2


def test_rtmlib(foreign, walkers, tmp_path):
    frames = walkers(HALPE26)
    check(read_people(foreign.rtmlib(tmp_path, frames)), frames, HALPE26, atol=1e-4)
    check(from_frames(frames), frames, HALPE26, atol=1e-4)
    with_gap = from_frames([*frames[:4], ([], []), *frames[5:]])
    assert sorted(with_gap.poses()) == [0, 1, 2, 3, 5, 6, 7]


@pytest.mark.parametrize("beside", [True, False], ids=["scores beside", "score third"])
def test_npz(beside, walkers, tmp_path):
    frames = walkers()
    keypoints, scores = (np.stack(parts) for parts in zip(*frames, strict=True))
    if beside:
        np.savez(tmp_path / "x.npz", keypoints=keypoints, scores=scores, fps=25)
    else:
        np.savez(tmp_path / "x.npz", keypoints=np.concatenate([keypoints, scores[..., None]], -1))
    people = read_people(tmp_path / "x.npz")
    check(people, frames, COCO17, atol=1e-4)
    assert people.fps == (25 if beside else None)


def test_npz_of_one_person_in_other_joints(rng, tmp_path):
    keypoints = rng.uniform(0, 900, (6, 17, 2)).astype(np.float32)
    keypoints[3] = np.nan  # nobody
    np.savez(tmp_path / "x.npz", keypoints=keypoints)
    (track,) = read_people(tmp_path / "x.npz", skeleton="h36m17").tracks()
    assert track.skeleton is H36M17
    assert track.observed.tolist() == [True] * 3 + [False] + [True] * 2


def test_custom_videos_of_videopose3d(rng, tmp_path):
    keypoints = rng.uniform(0, 900, (6, 17, 2)).astype(np.float32)
    metadata = {"layout_name": "coco", "num_joints": 17, "video_metadata": {"a.mp4": {"w": 1920, "h": 1080}}}
    np.savez(tmp_path / "data_2d_custom_x.npz", positions_2d={"a.mp4": {"custom": [keypoints]}}, metadata=metadata)
    (track,) = read_people(tmp_path / "data_2d_custom_x.npz").tracks()
    np.testing.assert_array_equal(track.keypoints, keypoints)
    np.savez(tmp_path / "two.npz", positions_2d={"a": {}, "b": {}}, metadata=metadata)
    with pytest.raises(InputError, match="holds 2 videos"):
        read_people(tmp_path / "two.npz")


@pytest.mark.parametrize("named", [True, False], ids=["names", "numbers"])
@pytest.mark.parametrize("people", [True, False], ids=["ids", "no ids"])
def test_csv(foreign, named, people, walkers, tmp_path):
    frames = walkers()
    if not people:
        frames = [(k[:1], s[:1]) for k, s in frames]
    found = read_people(foreign.csv(tmp_path, frames, people, COCO17.names if named else None))
    if people:
        check(found, frames, COCO17, atol=1e-3)
    else:
        assert len(found.tracks()) == 1


def test_our_own_table(walkers, tmp_path):
    """The CSV that this package writes is one of those it reads."""
    from cascadepose.types import VideoResult

    frames = walkers()
    tracks = from_frames(frames).tracks(fps=25)
    VideoResult(tracks, (640, 480), 25.0, np.arange(FRAMES) / 25, "x").save(tmp_path / "x.csv")
    again = read_people(tmp_path / "x.csv").tracks(fps=25)
    for ours, theirs in zip(tracks, again, strict=True):
        assert ours.track_id == theirs.track_id
        np.testing.assert_allclose(ours.keypoints, theirs.keypoints, atol=0.006)
        np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-4)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "content", ["{}", "[]", "[1, 2]", '{"people": 3}', "frame,x\n1,2\n", "nonsense", '[{"keypoints": 1}]']
)
def test_other_layouts_are_one_clear_line(format, content, tmp_path):
    path = tmp_path / ("x.csv" if format == "csv" else "x.npz" if format == "npz" else "x.json")
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        read_people(path, format)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_messages_name_the_remedy(foreign, walkers, tmp_path, rng):
    frames = walkers()
    path = foreign.alphapose(tmp_path, [(k[:, :15], s[:, :15]) for k, s in frames], False)
    with pytest.raises(InputError, match=r"15 joints, known are lists of 17, .*name the skeleton \(--joints\): coco"):
        read_people(path)
    with pytest.raises(InputError, match="no joint set is named 'smpl'"):
        read_people(path, skeleton="smpl")
    with pytest.raises(InputError, match="unknown format 'yolo'; use one of: alphapose"):
        read_people(path, "yolo")
    with pytest.raises(InputError, match="of no format known here"):
        (tmp_path / "x.json").write_text('{"a": 1}')
        read_people(tmp_path / "x.json")
    with pytest.raises(InputError, match="holds no"):
        (tmp_path / "empty").mkdir()
        read_people(tmp_path / "empty")
    with pytest.raises(InputError, match="same person twice"):
        entries = json.loads(foreign.alphapose(tmp_path, frames, True).read_text())
        path.write_text(json.dumps([entry | {"idx": 1} for entry in entries]))
        read_people(path).tracks()
    with pytest.raises(InputError, match="only be told apart by ids"):
        from_frames([(rng.random((2, 17, 2)), np.ones((2, 17)))], SKELETONS["h36m17"]).tracks()
