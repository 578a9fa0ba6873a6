"""The command line from outside: files, exit status, one line for what is wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cascadepose import loading, pipeline
from cascadepose.cli import main
from cascadepose.data.video_writer import open_video_writer
from cascadepose.export import load_result

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture
def fake_models(monkeypatch, make_people):
    """`load` gives a pipeline that sees one person walking through every frame; returns the arguments it was given."""
    from cascadepose.models.lifters.dstformer import DSTformer

    class Walker:
        timings = {"detect": 0.0, "keypoints": 0.0}
        done, stop_at = 0, None

        def predict(self, frames, detect_every=1):
            if self.stop_at is not None and self.done >= self.stop_at:
                raise KeyboardInterrupt
            first, self.done = self.done, self.done + len(frames)
            return [make_people([(40 + t, 60, 80, t / 3)]) for t in range(first, self.done)]

    walker = Walker()

    def load(weights, lifter, device, threshold, batch_size, flip_test, **settings):
        walker.given = (weights, lifter, device, threshold, batch_size, flip_test)
        model = None if lifter is None else DSTformer(dim=16, depth=1, num_heads=2, dim_rep=16, maxlen=9).eval()
        return pipeline.Pipeline(walker, model, batch_size=batch_size or 8)

    monkeypatch.setattr(loading, "load", load)
    return walker


@pytest.fixture
def clip(tmp_path):
    noise = np.random.default_rng(0)
    with open_video_writer(tmp_path / "clip.mp4", 20) as video:
        for index in range(24):
            video.write(noise.integers(0, 255, (120, 160, 3), dtype=np.uint8), index / 20)
    return tmp_path / "clip.mp4"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_video_to_overlay_and_numbers(fake_models, clip, tmp_path, capsys):
    out = tmp_path / "new" / "out"
    assert main(["infer", str(clip), "--out", str(out), "--threshold", "0.4", "--batch-size", "5"]) == 0
    assert names(out) == ["overlay.mp4", "poses.json", "poses.npz"]
    assert fake_models.given == (None, "dstformer-small", None, 0.4, 5, None)
    content = json.loads((out / "poses.json").read_text())
    assert content["num_frames"] == 24 and len(content["tracks"]) == 1 and len(content["tracks"][0]["joints"]) == 24
    printed = capsys.readouterr().out
    assert "1 person in 24 frames" in printed and str(out / "overlay.mp4") in printed
    for stage in ("decode", "detect", "keypoints", "track", "lift", "draw", "write"):
        assert f"\n{stage} " in printed


def test_image_to_png(fake_models, tmp_path, capsys):
    Image.fromarray(np.zeros((120, 160), np.uint8)).save(tmp_path / "grey.png")
    assert main(["infer", str(tmp_path / "grey.png"), "--out", str(tmp_path / "out"), "--quiet"]) == 0
    assert names(tmp_path / "out") == ["overlay.png", "poses.json", "poses.npz"]
    assert capsys.readouterr() == ("", "")


def test_rgba_image_and_folder(fake_models, tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for index in range(4):
        Image.fromarray(np.full((120, 160, 4), 40 * index, np.uint8)).save(folder / f"{index}.png")
    out = tmp_path / "out"
    assert main(["infer", str(folder), "--fps", "10", "--out", str(out), "--quiet", "--lifter", "none"]) == 0
    assert load_result(out).fps == 10 and load_result(out).tracks[0].poses3d is None
    assert "overlay.mp4" in names(out)


def test_no_overlay_and_max_frames(fake_models, clip, tmp_path):
    out = tmp_path / "out"
    assert main(["infer", str(clip), "--out", str(out), "--no-overlay", "--max-frames", "6", "--quiet"]) == 0
    assert names(out) == ["poses.json", "poses.npz"] and load_result(out).num_frames == 6


def test_formats(fake_models, clip, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["infer", str(clip), "--out", str(out), "--no-overlay", "--formats", "npz, csv,.BVH,trc,glb"]) == 0
    assert names(out) == ["poses.bvh", "poses.csv", "poses.glb", "poses.npz", "poses.trc"]
    printed = capsys.readouterr().out
    assert all(f"{out / name}\n" in printed for name in names(out))


def test_file_that_cannot_be_written_does_not_keep_the_rest_back(fake_models, clip, tmp_path, capsys):
    out = tmp_path / "out"
    (out / "poses.npz").mkdir(parents=True)
    assert main(["infer", str(clip), "--out", str(out), "--max-frames", "4"]) == 2
    assert (out / "overlay.mp4").is_file() and (out / "poses.json").is_file()
    captured = capsys.readouterr()
    assert f"{out / 'poses.json'}\n{out / 'overlay.mp4'}\n" in captured.out
    assert captured.err.splitlines()[-1] == (
        f"error: {out}/poses.npz: cannot be written, a folder is in the way where a file is needed: choose another "
        f"name; written: {out}/poses.json, overlay.mp4"
    )


def test_joints_that_cannot_be_lifted_are_written_in_2d(fake_models, clip, tmp_path, monkeypatch, capsys):
    """Formats of 3D joints were asked for, and there are none: the others are written, a note says so."""
    monkeypatch.setattr(loading, "load", lambda *arguments, **settings: pipeline.Pipeline(fake_models))
    out = tmp_path / "out"
    arguments = ["--formats", "json,bvh,glb", "--max-frames", "4", "--no-overlay", "--quiet"]
    assert main(["infer", str(clip), "--out", str(out), *arguments]) == 0
    assert names(out) == ["poses.json"]
    assert capsys.readouterr().err == "note: the result has no 3D joints, so there is no bvh, glb\n"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--formats", "json,fbx"], "unknown format 'fbx'; use json, npz, csv, bvh, trc, c3d, glb"),
        (["--formats", "csv,bvh", "--lifter", "none"], "bvh holds 3D joints, and there are none without a lifter"),
    ],
)
def test_formats_are_checked_first(fake_models, clip, tmp_path, capsys, more, words):
    assert main(["infer", str(clip), "--out", str(tmp_path / "out"), *more]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"error: {words}") and captured.err.count("\n") == 1
    assert fake_models.done == 0 and not (tmp_path / "out").exists()


def test_truncated_video_writes_what_there_is_and_exits_2(fake_models, clip, tmp_path, capsys):
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    out = tmp_path / "out"
    assert main(["infer", str(cut), "--out", str(out), "--quiet"]) == 2
    assert names(out) == ["overlay.mp4", "poses.json", "poses.npz"]
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and "cut.mp4: is cut off after" in message
    result = load_result(out)
    assert 5 < result.num_frames < 24 and "cut off" in result.incomplete


def test_folder_whose_images_change_size_exits_2_with_results(fake_models, tmp_path, capsys):
    folder = tmp_path / "frames"
    folder.mkdir()
    for index in range(4):
        Image.fromarray(np.zeros((120, 160 + 20 * (index == 3), 3), np.uint8)).save(folder / f"{index}.png")
    assert main(["infer", str(folder), "--out", str(tmp_path / "out"), "--quiet"]) == 2
    assert load_result(tmp_path / "out").num_frames == 3 and "overlay.mp4" in names(tmp_path / "out")
    message = capsys.readouterr().err
    assert "160x120 to 180x120 at frame 3" in message and "--photos" in message and message.count("\n") == 1


@pytest.fixture
def album(tmp_path):
    """Photographs of different sizes, two of one name, one broken, the first of all."""
    folder = tmp_path / "album"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"no picture")
    for index, name in enumerate(("dog.png", "dog.jpg", "walk.png")):
        Image.fromarray(np.zeros((120, 160 + 20 * index, 3), np.uint8)).save(folder / name)
    return folder


def test_photos_are_taken_one_by_one(fake_models, album, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["infer", str(album), "--photos", "--out", str(out), "--formats", "json"]) == 2
    assert names(out) == ["dog.jpg", "dog.png", "walk"]
    for index, name in enumerate(("dog.png", "dog.jpg", "walk")):
        assert names(out / name) == ["overlay.png", "poses.json"]
        result = load_result(out / name)
        assert result.frame_size == (160 + 20 * index, 120) and len(result.tracks) == 1 and result.num_frames == 1
    printed = capsys.readouterr()
    assert "3 people in 3 photos" in printed.out
    assert f"\nerror: {album}/a.jpg: is no image" in printed.err


def test_photos_until_interrupted(fake_models, album, tmp_path, capsys):
    fake_models.stop_at = 2
    assert main(["infer", str(album), "--photos", "--out", str(tmp_path / "out"), "--quiet"]) == 130
    assert "interrupted after 2 of 4 photos" in capsys.readouterr().err
    assert load_result(tmp_path / "out" / "dog.png").num_frames == 1


def test_photos_until_interrupted_within_an_animation(fake_models, tmp_path, capsys):
    folder = tmp_path / "album"
    folder.mkdir()
    first, *others = (Image.fromarray(np.full((120, 160, 3), 60 * index, np.uint8)) for index in range(4))
    first.save(folder / "a.gif", save_all=True, append_images=others)
    first.save(folder / "b.png")
    fake_models.stop_at = 2
    options = ["--photos", "--out", str(tmp_path / "out"), "--batch-size", "2", "--quiet"]
    assert main(["infer", str(folder), *options]) == 130
    assert names(tmp_path / "out") == ["a"] and load_result(tmp_path / "out" / "a").num_frames == 2
    assert "interrupted after 0 of 2 photos" in capsys.readouterr().err


def test_photos_want_a_folder(fake_models, clip, tmp_path, capsys):
    assert main(["infer", str(clip), "--photos", "--out", str(tmp_path / "out")]) == 2
    assert "is no folder of images" in capsys.readouterr().err


def test_interruption_writes_and_exits_130(fake_models, clip, tmp_path, capsys):
    fake_models.stop_at = 16
    out = tmp_path / "out"
    assert main(["infer", str(clip), "--out", str(out), "--quiet"]) == 130
    assert names(out) == ["overlay.mp4", "poses.json", "poses.npz"] and load_result(out).num_frames == 16
    assert "interrupted after 16 frames" in capsys.readouterr().err


def test_interruption_before_the_first_frame(fake_models, clip, tmp_path, capsys):
    fake_models.stop_at = 0
    assert main(["infer", str(clip), "--out", str(tmp_path / "out"), "--quiet"]) == 130
    assert names(tmp_path / "out") == [] and "interrupted before" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.mp4"], "missing.mp4: no such file or folder"),
        (["empty.mp4"], "0 bytes"),
        (["nothing"], "holds no images"),
        (["text.mp4"], "cannot be read as a video"),
        (["clip.mp4", "--weights", "prtr-resnet99"], "no weights are named 'prtr-resnet99'"),
        (["clip.mp4", "--out", "empty.mp4/out"], "a file is in the way"),
        (["clip.mp4", "--device", "abacus"], "device 'abacus' cannot be used"),
        (["webcam:77"], "camera"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(clip, tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    Path("empty.mp4").touch()
    Path("text.mp4").write_text("not a video" * 50)
    Path("nothing").mkdir()
    assert main(["infer", *arguments]) == 2
    captured = capsys.readouterr()
    assert words in captured.err and captured.err.startswith("error: ") and captured.err.count("\n") == 1
    assert captured.out == ""


def test_wrong_arguments_exit_2(capsys):
    for arguments in (
        [],
        ["infer"],
        ["infer", "x", "--batch-size", "0"],
        ["infer", "x", "--fps", "nan"],
        ["infer", "x", "--formats", ","],
        ["dance"],
    ):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_help_does_not_load_the_models():
    code = "import sys, cascadepose.cli as c\ntry: c.main(['infer', '--help'])\nfinally: print(sorted(sys.modules))"
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert "--threshold" in done.stdout and "exit status" in done.stdout
    assert "'torch'" not in done.stdout and "'numpy'" not in done.stdout


def test_smoothing_methods_are_those_of_the_library():
    from cascadepose.commands.options import SMOOTHING
    from cascadepose.smoothing import CUTOFF, METHODS

    assert SMOOTHING == METHODS and CUTOFF == 5  # as --help says


def test_tool_is_the_same_function(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, str(REPOSITORY / "tools/infer_video.py"), "missing.mp4", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 2 and done.stderr == "error: missing.mp4: no such file or folder; check the path\n"
