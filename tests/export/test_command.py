"""`cascadepose export`: saved results to other formats, whole and named, or one line."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cascadepose.cli import main
from cascadepose.export import FORMATS, is_result, load_result

ALL = [suffix[1:] for suffix in FORMATS]
OTHERS = [name for name in ALL if name not in ("json", "npz")]


@pytest.fixture(autouse=True)
def _needs_ezc3d():
    pytest.importorskip("ezc3d")


@pytest.fixture
def saved(make_walkers, tmp_path):
    """saved(people=..., ...): the folder of a saved result."""

    def make(**settings):
        make_walkers(**settings).save(tmp_path / "out")
        return tmp_path / "out"

    return make


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_every_format_is_what_the_result_itself_writes(make_walkers, tmp_path, capsys):
    result = make_walkers(frames=12)
    result.save(tmp_path / "direct", ALL)
    result.save(tmp_path / "walk.npz")
    assert main(["export", str(tmp_path / "walk.npz"), "--formats", "all", "--out", str(tmp_path / "new")]) == 0
    assert names(tmp_path / "new") == sorted(f"walk.{name}" for name in ALL)
    printed = capsys.readouterr().out.splitlines()
    assert printed == [str(tmp_path / "new" / f"walk.{name}") for name in ALL]
    for name in ("json", "csv", "bvh", "glb"):  # c3d states when it was made, trc its own name
        assert (tmp_path / "new" / f"walk.{name}").read_bytes() == (tmp_path / "direct" / f"poses.{name}").read_bytes()


def test_round_trip_of_json_and_npz(saved, tmp_path):
    """npz -> json -> npz -> json: the two JSON files are the same."""
    folder = saved(people=2, frames=8)
    steps = [("poses.npz", "json", "a"), ("a/poses.json", "npz", "b"), ("b/poses.npz", "json", "c")]
    for source, name, target in steps:
        place = folder / source if source == "poses.npz" else tmp_path / source
        assert main(["export", str(place), "--formats", name, "--out", str(tmp_path / target)]) == 0
    assert (tmp_path / "a/poses.json").read_text() == (tmp_path / "c/poses.json").read_text()
    one, other = load_result(folder), load_result(tmp_path / "b")
    np.testing.assert_allclose(one.tracks[1].poses3d.joints, other.tracks[1].poses3d.joints, atol=6e-5)


def test_beside_the_result_and_one_person(saved, capsys):
    folder = saved(people=2, frames=6)
    before = (folder / "poses.json").read_bytes()
    assert main(["export", str(folder), "--formats", "bvh,glb"]) == 0
    assert main(["export", str(folder / "poses.npz"), "--formats", "trc,json", "--track", "2"]) == 0
    new = ["poses-1.bvh", "poses-2.bvh", "poses-2.json", "poses-2.trc", "poses.glb"]
    assert names(folder) == [*new, "poses.json", "poses.npz"]
    assert (folder / "poses.json").read_bytes() == before  # not overwritten by that of one person
    assert [track.track_id for track in load_result(folder / "poses-2.json")] == [2]
    assert capsys.readouterr().err == ""


def test_nobody(saved, capsys):
    folder = saved(people=0)
    assert main(["export", str(folder), "--formats", "csv,bvh"]) == 0
    assert names(folder) == ["poses.csv", "poses.json", "poses.npz"]
    assert capsys.readouterr().err.startswith("note: nobody is in the result")


def test_missing_package_is_a_note_with_all_and_an_error_by_name(saved, capsys, monkeypatch):
    folder = saved(frames=3)
    monkeypatch.setitem(sys.modules, "ezc3d", None)
    assert main(["export", str(folder), "--formats", "all"]) == 0
    assert names(folder) == sorted(f"poses.{name}" for name in ALL if name != "c3d")
    assert "note: c3d is left out: C3D files are written by ezc3d" in capsys.readouterr().err
    assert main(["export", str(folder), "--formats", "c3d"]) == 2


def test_what_cannot_be_written_does_not_keep_the_rest_back(saved, capsys):
    folder = saved(frames=3)
    (folder / "poses.bvh").mkdir()
    assert main(["export", str(folder), "--formats", "bvh,trc,csv"]) == 2
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [str(folder / "poses.trc"), str(folder / "poses.csv")]
    assert captured.err == (
        f"error: {folder}/poses.bvh: cannot be written, a folder is in the way where a file is needed: choose another "
        f"name; written: {folder}/poses.trc, poses.csv\n"
    )
    assert names(folder) == ["poses.bvh", "poses.csv", "poses.json", "poses.npz", "poses.trc"]


def test_nearly_full_disk(saved, tiny_disk, capsys):
    """What fits is there, printed and named; of the rest there is nothing, and one line says why."""
    subprocess.run(["mount", "-o", "remount,size=64k", str(tiny_disk)], check=True)
    folder = saved(frames=20)
    assert main(["export", str(folder), "--formats", "all", "--out", str(tiny_disk / "new")]) == 2
    captured = capsys.readouterr()
    written = [Path(line).name for line in captured.out.splitlines()]
    assert 0 < len(written) < len(ALL) and names(tiny_disk / "new") == sorted(written)
    assert captured.err.startswith(f"error: {tiny_disk}/new/poses.") and captured.err.count("\n") == 1
    assert "cannot be written, the disk is full: free some space or choose another folder; written: " in captured.err
    assert len(load_result(tiny_disk / "new").tracks[0]) == 20


def test_one_line_for_what_does_not_fit(saved, make_walkers, tmp_path, capsys):
    folder = saved(frames=3)
    make_walkers(frames=3, lifted=False).save(tmp_path / "flat.json")
    (tmp_path / "other.json").write_text("[]")
    (tmp_path / "file").touch()
    damaged = folder / "cut.npz"
    damaged.write_bytes((folder / "poses.npz").read_bytes()[:500])
    for arguments, words in (
        ([folder, "--formats", "fbx"], "unknown format 'fbx'; use json, npz, csv, bvh"),
        ([folder, "--formats", "bvh", "--track", "7"], "there is no track 7; there are 1"),
        ([tmp_path / "flat.json", "--formats", "bvh"], "bvh holds 3D joints, and there are none"),
        ([tmp_path / "none", "--formats", "bvh"], "no such file; check the path"),
        ([tmp_path / "other.json", "--formats", "bvh"], "holds no poses of cascadepose"),
        ([damaged, "--formats", "bvh"], "cut.npz: no readable poses"),
        ([folder, "--formats", "bvh", "--out", tmp_path / "file"], "a file is in the way where a folder is needed"),
    ):
        assert main(["export", *map(str, arguments)]) == 2
        captured = capsys.readouterr()
        assert words in captured.err and captured.err.count("\n") == 1 and captured.out == "", captured
    assert names(folder) == ["cut.npz", "poses.json", "poses.npz"]


def test_our_own_results_are_told_apart(saved, tmp_path):
    folder = saved(frames=2)
    np.savez(tmp_path / "other.npz", keypoints=np.zeros((2, 17, 2)))
    (tmp_path / "other.json").write_text("[]")
    assert all(is_result(path) for path in (folder, folder / "poses.json", folder / "poses.npz"))
    assert not any(is_result(tmp_path / name) for name in ("other.npz", "other.json", "none.json", "none.npz", ""))
