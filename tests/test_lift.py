"""2D of other programs to 3D: every format, every gap, and one line for what does not fit."""

import json
import subprocess
from functools import partial

import numpy as np
import pytest

from cascadepose import lift
from cascadepose.cli import main
from cascadepose.data.video_writer import open_video_writer
from cascadepose.errors import InputError
from cascadepose.export import load_result
from cascadepose.skeletons import BODY25, COCO17, H36M17, HALPE26, HUMANEVA15, OPENPOSE18

SIZE = (640, 480)
CAMERA = {"size": SIZE, "fps": 25}


@pytest.fixture(autouse=True)
def small_lifter(monkeypatch):
    """Lifters are small and untrained, whatever their name; returns the names asked for."""
    import torch

    from cascadepose.models.lifters.dstformer import DSTformer

    asked = []

    def load_lifter(name, device=None, flip_test=True):
        asked.append(name)
        torch.manual_seed(0)
        model = DSTformer(dim=16, depth=1, num_heads=2, dim_rep=16, maxlen=9).eval()
        return model, {"name": str(name), "flip_test": flip_test}

    monkeypatch.setattr(lift, "load_lifter", load_lifter)
    return asked


@pytest.fixture
def walkers(foreign, make_people):
    return partial(foreign.walkers, make_people)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """An .mp4 of 8 frames at 20 a second."""
    path = tmp_path_factory.mktemp("video") / "dance.mp4"
    with open_video_writer(path, 20) as writer:
        for t in range(8):
            writer.write(np.full((SIZE[1], SIZE[0], 3), 20 * t, np.uint8), t / 20)
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("format", "skeleton"),
    [
        ("alphapose", COCO17),
        ("alphapose", HALPE26),
        ("openpose", BODY25),
        ("openpose", OPENPOSE18),
        ("mmpose", COCO17),
        ("coco", COCO17),
        ("rtmlib", HALPE26),
        ("npz", COCO17),
        ("csv", COCO17),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_every_format(format, skeleton, foreign, walkers, tmp_path):
    """Joint sets that hold COCO's are lifted as COCO's: the answer is that for the same people in COCO-17."""
    result = lift.lift_file(getattr(foreign, format)(tmp_path, walkers(skeleton)), **CAMERA)
    (tmp_path / "coco").mkdir()
    expected = lift.lift_file(foreign.npz(tmp_path / "coco", walkers()), **CAMERA)
    assert len(result.tracks) == 2 and result.frame_size == SIZE and result.fps == 25
    np.testing.assert_allclose(result.timestamps, np.arange(8) / 25)
    for track, other in zip(result.tracks, expected.tracks, strict=True):
        assert track.skeleton is skeleton and track.observed.all() and len(track) == 8
        assert track.poses3d.skeleton is H36M17
        np.testing.assert_array_equal(track.poses3d.measured, other.poses3d.measured)
        nearest = min(np.abs(track.poses3d.joints - one.poses3d.joints).max() for one in expected.tracks)
        assert nearest < 1e-3
    assert result.weights["lifter"]["name"] == "dstformer-small"
    assert result.weights["keypoints"]["joints"] == skeleton.name
    result.save(tmp_path / "out")
    assert load_result(tmp_path / "out" / "poses.json").tracks[0].skeleton is skeleton


def test_joints_by_name_go_to_the_lifter_as_they_are(rng, tmp_path):
    """Human3.6M's joints cannot be made COCO's: the lifter sees them without a detour, all of them measured."""
    np.savez(tmp_path / "x.npz", keypoints=rng.uniform(100, 300, (5, 17, 2)))
    (track,) = lift.lift_file(tmp_path / "x.npz", joints="h36m17", **CAMERA).tracks
    (other,) = lift.lift_file(tmp_path / "x.npz", **CAMERA).tracks
    assert track.skeleton is H36M17 and track.poses3d.measured.all()
    assert not other.poses3d.measured.all()
    assert np.abs(track.poses3d.joints - other.poses3d.joints).max() > 1e-3


def test_joints_are_smoothed_and_keypoints_are_not(foreign, walkers, rng, tmp_path):
    frames = [(k + rng.normal(0, 4, k.shape), s) for k, s in walkers(frames=40)]
    path = foreign.npz(tmp_path, frames)
    rough, calm = (lift.lift_file(path, smooth=method, **CAMERA).tracks[0] for method in ("none", "butterworth"))
    np.testing.assert_array_equal(rough.keypoints, calm.keypoints)
    assert np.isin(rough.keypoints, np.stack([k for k, _ in frames]).astype(np.float32)).all()
    shake, less = (np.abs(np.diff(track.poses3d.joints, 2, axis=0)).mean() for track in (rough, calm))
    assert less < 0.5 * shake
    with pytest.raises(InputError, match="unknown smoothing 'more'"):
        lift.lift_file(path, smooth="more", **CAMERA)


def test_missing_frames_and_joints_stay(foreign, walkers, tmp_path):
    """Frame 3 lists nobody, in frame 5 all joints of one person are NaN, in frame 6 one joint of another."""
    path = foreign.alphapose(tmp_path, walkers())
    entries = [entry for entry in json.loads(path.read_text()) if entry["image_id"] != "3.jpg"]
    for entry in entries:
        if entry["image_id"] == "5.jpg" and entry["idx"] == [5.0]:
            entry["keypoints"] = [float("nan")] * 51
        if entry["image_id"] == "6.jpg" and entry["idx"] == [6.0]:
            entry["keypoints"][27:30] = [float("nan")] * 3
    path.write_text(json.dumps(entries))
    one, other = lift.lift_file(path, **CAMERA).tracks
    assert (one.track_id, other.track_id) == (5, 6)
    assert (~one.observed).nonzero()[0].tolist() == [3, 5]
    assert (~other.observed).nonzero()[0].tolist() == [3]
    assert other.scores[6, 9] == 0 and other.scores[6, 8] > 0
    assert len(one) == len(one.poses3d) == 8 and np.isfinite(one.poses3d.joints).all()


def test_times_and_size_of_the_video(foreign, walkers, video, tmp_path):
    result = lift.lift_file(foreign.openpose(tmp_path, walkers(BODY25, 6)), video=video)
    assert result.num_frames == 8 and result.fps == 20 and result.source == str(video)
    np.testing.assert_allclose(result.tracks[0].timestamp, np.arange(6) / 20, atol=1e-4)


def test_lens_that_the_picture_states(foreign, walkers, tmp_path):
    from PIL import Image

    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 50  # FocalLengthIn35mmFilm
    Image.fromarray(np.zeros((480, 640, 3), np.uint8)).save(tmp_path / "photo.jpg", exif=exif)
    result = lift.lift_file(foreign.mmpose(tmp_path, walkers(), "image"), video=tmp_path / "photo.jpg")
    assert result.camera.origin == "metadata"
    assert result.camera.focal[0] == pytest.approx(50 * 800 / np.hypot(36, 24))


def test_frames_that_count_from_one(foreign, walkers, video, tmp_path):
    path = foreign.coco(tmp_path, walkers())
    entries = [entry | {"image_id": entry["image_id"] + 1} for entry in json.loads(path.read_text())]
    path.write_text(json.dumps(entries))
    with pytest.raises(InputError, match=r"speaks of frame 8, but .*dance.mp4 has 8, .*\(--first-frame 1\)"):
        lift.read_poses(path, video=video)
    assert lift.read_poses(path, video=video, first_frame=1).tracks[0].frame_index.tolist() == list(range(8))
    with pytest.raises(InputError, match="has a frame 1, before the first one, 2"):
        lift.read_poses(path, first_frame=2, **CAMERA)


@pytest.mark.parametrize("name", ["poses.json", "poses.npz", ""])
def test_our_own_results_are_lifted_again(name, foreign, walkers, small_lifter, tmp_path):
    first = lift.lift_file(foreign.rtmlib(tmp_path, walkers()), **CAMERA)
    first.save(tmp_path / "out")
    again = lift.lift_file(tmp_path / "out" / name, "another", flip_test=False)
    assert small_lifter == ["dstformer-small", "another"]
    assert again.weights["lifter"] == {"name": "another", "flip_test": False}
    assert again.weights["keypoints"] == first.weights["keypoints"]
    np.testing.assert_allclose(again.timestamps, first.timestamps)
    for old, new in zip(first.tracks, again.tracks, strict=True):
        np.testing.assert_allclose(new.keypoints, old.keypoints, atol=0.006)
        assert len(new.poses3d) == 8
    flat = lift.lift_file(tmp_path / "out" / name, None)
    assert all(track.poses3d is None for track in flat.tracks) and "lifter" not in flat.weights


def test_people_in_space_are_placed_anew(foreign, walkers, tmp_path):
    """Roots that belong to the joints of another lifter are not kept."""
    from dataclasses import replace

    from cascadepose.space import make_camera, place_people

    first = lift.lift_file(foreign.rtmlib(tmp_path, walkers()), **CAMERA)
    placed = place_people(first, make_camera(SIZE, fov=60))
    tracks = [replace(track, root=track.root + 5) for track in placed.tracks]
    (path,) = replace(placed, tracks=tracks).save(tmp_path / "x.npz")
    for old, new in zip(placed.tracks, lift.lift_file(path).tracks, strict=True):
        np.testing.assert_allclose(new.root, old.root, atol=1e-3)
    flat = lift.lift_file(path, None)
    assert flat.camera is not None and flat.tracks[0].root is None


def test_nobody_is_no_error(foreign, walkers, tmp_path):
    nobody = [(np.zeros((0, 17, 2)), np.zeros((0, 17)))] * 4
    result = lift.lift_file(foreign.rtmlib(tmp_path, nobody), **CAMERA)
    assert result.num_frames == 4 and result.tracks == () and result.notes == ("nobody is in the file",)


def test_flickers_are_noted(foreign, walkers, tmp_path):
    """A third person in one frame only is left out, and a note says so; ids of the file are always believed."""
    path = foreign.coco(tmp_path, walkers())
    entries = json.loads(path.read_text())
    moved = np.array(entries[6]["keypoints"]) + np.tile([100, 200, 0], 17)
    path.write_text(json.dumps([*entries, entries[6] | {"keypoints": moved.tolist()}]))
    result = lift.read_poses(path, **CAMERA)
    assert len(result.tracks) == 2 and result.notes[0].startswith("1 sighting left out")


def test_one_image(foreign, walkers, tmp_path):
    from PIL import Image

    path = foreign.mmpose(tmp_path, walkers(), "image")
    result = lift.lift_file(path, size=SIZE)
    assert result.fps is None and result.num_frames == 1 and len(result.tracks) == 2
    Image.fromarray(np.zeros((480, 640, 3), np.uint8)).save(tmp_path / "photo.png")
    assert main(["lift", str(path), "--video", str(tmp_path / "photo.png"), "--out", str(tmp_path / "out")]) == 0
    assert names(tmp_path / "out") == ["overlay.png", "poses.json", "poses.npz"]


def test_command(foreign, walkers, video, tmp_path, capsys):
    path = foreign.alphapose(tmp_path, walkers())
    arguments = ["--video", str(video), "--out", str(tmp_path / "out"), "--formats", "json,csv,bvh"]
    assert main(["lift", str(path), *arguments]) == 0
    assert names(tmp_path / "out") == ["overlay.mp4", "poses-5.bvh", "poses-6.bvh", "poses.csv", "poses.json"]
    printed = capsys.readouterr().out
    assert "2 people in 8 frames" in printed and "id 5: frames 0-7, seen in 8" in printed
    assert all(f"\n{stage} " in printed for stage in ("read", "lift", "write", "draw"))
    assert main(["lift", str(path), "--size", "640x480", "--fps", "25", "--lifter", "none", "--quiet",
                 "--out", str(tmp_path / "flat")]) == 0  # fmt: skip
    assert names(tmp_path / "flat") == ["poses.json", "poses.npz"]
    assert capsys.readouterr() == ("", "")


def test_disk_too_small_for_the_overlay(foreign, walkers, video, tiny_disk, tmp_path, capsys):
    subprocess.run(["mount", "-o", "remount,size=24k", str(tiny_disk)], check=True)
    path, out = foreign.alphapose(tmp_path, walkers()), str(tiny_disk)
    assert main(["lift", str(path), "--video", str(video), "--out", out, "--formats", "npz,html", "--quiet"]) == 2
    assert names(tiny_disk) == ["poses.npz"]
    assert capsys.readouterr().err == (
        f"error: {out}/poses.html, overlay.mp4: cannot be written, the disk is full: free some space or choose another "
        f"folder; written: {out}/poses.npz\n"
    )


def test_what_does_not_fit_is_one_line(foreign, walkers, video, tmp_path, capsys, monkeypatch):
    frames = walkers(frames=12)
    monkeypatch.chdir(tmp_path)
    path, dance = foreign.coco(tmp_path, frames), str(video)
    foreign.npz(tmp_path, [(k / 640, s) for k, s in frames])
    odd = [(k[:, :15], s[:, :15]) for k, s in frames]
    foreign.alphapose(tmp_path, odd)
    np.savez("humaneva.npz", keypoints=np.full((4, HUMANEVA15.num_joints, 2), 200.0) + np.arange(15)[:, None])
    (tmp_path / "nothing.json").touch()
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "header.csv").write_text("frame,joint,x,y\n")
    (tmp_path / "empty").mkdir()
    lift.lift_file(path, **CAMERA).save("own.json")
    camera = ["--size", "640x480", "--fps", "25"]
    for arguments, words in (
        (["results.json", "--fps", "25"], "results.json: does not state the size of the frames; give it (--size"),
        (["results.json", "--size", "640x480"], "results.json: does not state the frame rate; give it (--fps"),
        (["results.json", "--size", "64x48", "--fps", "25"], "most joints lie outside of 64x48"),
        (["results.json", "--video", dance], f"speaks of frame 11, but {dance} has 8"),
        (["results.json", "--video", dance, "--size", "64x48"], "its frames are 640x480 not 64x48"),
        (["results.json", "--joints", "smpl", *camera], "no joint set is named 'smpl': known: coco17"),
        (["results.json", "--joints", "halpe26", *camera], "17 joints, but halpe26 has 26"),
        (["results.json", "--from", "yolo", *camera], "unknown format 'yolo'; use one of: cascadepose, alphapose"),
        (["results.json", "--from", "openpose", *camera], "results.json: is no frame of OpenPose"),
        (["results.json", "--lifter", "none", "--formats", "bvh", *camera], "bvh holds 3D joints"),
        (["keypoints.npz", *camera], "which are no pixels; multiply by the frame size"),
        (["alphapose-results.json", *camera], "15 joints, known are lists of 17, 18, 25, 26"),
        (
            ["humaneva.npz", "--joints", "humaneva15", *camera],
            "sees coco17 or h36m17 joints, and humaneva15 has",
        ),
        (["nothing.json", *camera], "nothing.json: no valid JSON"),
        (["list.json", *camera], "list.json: is of no format known here; name one"),
        (["header.csv", *camera], "header.csv: has no row with x and y"),
        (["empty", *camera], "empty: holds no .json files"),
        (["missing.json", *camera], "missing.json: no such file or folder; check the path"),
        (["own.json", "--size", "64x48"], "own.json: states its own frame size, (640, 480), not (64, 48)"),
        (["own.json", "--from", "alphapose", *camera], "own.json: is no AlphaPose result"),
        (["results.json", *camera, "--out", "list.json"], "list.json: cannot be written, a file is in the way"),
    ):
        assert main(["lift", *arguments, *([] if "--out" in arguments else ["--out", "new"])]) == 2, arguments
        captured = capsys.readouterr()
        assert words in captured.err and captured.err.count("\n") == 1, (arguments, captured.err)
        assert captured.out == "" and not list(tmp_path.glob("new/*")), arguments


def test_examples_of_the_documentation(foreign, walkers, video, repository, tmp_path, monkeypatch, capsys):
    """Every block of docs/lift.md, in its order, in a folder with the files that other programs left."""
    import re
    import shlex
    import shutil

    from PIL import Image

    monkeypatch.chdir(tmp_path)
    frames = walkers()
    shutil.copy(video, "dance.mp4")
    foreign.alphapose(tmp_path, frames)
    foreign.openpose(tmp_path, walkers(BODY25), name="openpose_json")
    foreign.coco(tmp_path, frames).rename("coco_results.json")
    foreign.coco_annotations(tmp_path, frames)
    foreign.csv(tmp_path, frames)
    (tmp_path / "predictions").mkdir()
    for kind, name in (("image", "photo"), ("video", "dance")):
        foreign.mmpose(tmp_path / "predictions", frames, kind).rename(f"predictions/{name}.json")
    Image.fromarray(np.zeros((480, 640, 3), np.uint8)).save("photo.jpg")
    keypoints, scores = (np.stack(parts) for parts in zip(*frames, strict=True))
    given = {"answers": frames, "keypoints": keypoints, "scores": scores}
    blocks = re.findall(r"```(bash|python)\n(.*?)```", (repository / "docs/lift.md").read_text("utf-8"), re.DOTALL)
    commands = 0
    for language, text in blocks:
        if language == "python":
            exec(text, dict(given))
            continue
        for line in text.strip().splitlines():
            program, *arguments = shlex.split(line)
            assert program == "cascadepose" and main(arguments) == 0, (line, capsys.readouterr().err)
            commands += 1
    assert commands == 13 and names(tmp_path / "photo") == ["overlay.png", "poses.json", "poses.npz"]
    assert names(tmp_path / "flat") == ["poses.csv"] and (tmp_path / "out" / "overlay.mp4").exists()


def test_wrong_options_exit_2():
    for arguments in (["lift"], ["lift", "x", "--size", "640"], ["lift", "x", "--size", "0x5"], ["export", "out"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2
