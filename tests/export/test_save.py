"""Which files are made, and what becomes of bad input: one line, and nothing half-written."""

import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from cascadepose.errors import InputError
from cascadepose.export import FORMATS, check_formats, load_result, save_result
from cascadepose.files import PartlyWritten

ALL = [suffix[1:] for suffix in FORMATS]
NEED_3D = ["bvh", "trc", "c3d", "glb"]


@pytest.fixture(autouse=True)
def _needs_ezc3d():
    pytest.importorskip("ezc3d")


def listing(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def one_line(caught) -> str:
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_formats_of_a_folder(make_walkers, tmp_path):
    result = make_walkers(frames=4)
    paths = result.save(tmp_path / "all", formats=ALL)
    assert listing(tmp_path / "all") == sorted(path.name for path in paths) == sorted(f"poses.{name}" for name in ALL)
    assert [path.name for path in result.save(tmp_path / "two", ["csv", "bvh", "csv"])] == ["poses.csv", "poses.bvh"]
    assert [path.name for path in result.save(tmp_path / "usual")] == ["poses.json", "poses.npz"]
    np.testing.assert_array_equal(load_result(tmp_path / "all").tracks[0].keypoints, result.tracks[0].keypoints)


def test_several_people_get_a_file_each(make_walkers, tmp_path):
    result = make_walkers(people=2, frames=4)
    result.save(tmp_path, formats=NEED_3D)
    expected = [f"poses-{person}.{name}" for person in (1, 2) for name in ("bvh", "trc", "c3d")] + ["poses.glb"]
    assert listing(tmp_path) == sorted(expected)
    assert [path.name for path in result.save(tmp_path / "x" / "dance.trc")] == ["dance-1.trc", "dance-2.trc"]


def test_nobody_found(make_walkers, tmp_path):
    nobody = make_walkers(people=0)
    nobody.save(tmp_path / "out", formats=ALL)
    assert listing(tmp_path / "out") == ["poses.csv", "poses.html", "poses.json", "poses.npz"]
    with pytest.raises(InputError, match="nobody was found"):
        nobody.save(tmp_path / "x.bvh")


@pytest.mark.parametrize("name", NEED_3D)
def test_without_3d(make_walkers, tmp_path, name):
    flat = make_walkers(frames=4, lifted=False)
    for call in (lambda: flat.save(tmp_path / f"x.{name}"), lambda: flat.save(tmp_path / "out", ["json", name])):
        with pytest.raises(InputError, match="without a lifter") as caught:
            call()
        one_line(caught)
    assert listing(tmp_path) == []


def test_unknown_and_contradicting_formats(make_walkers, tmp_path):
    result = make_walkers(frames=2)
    for call, words in (
        (lambda: result.save(tmp_path / "out", ["fbx"]), "unknown format 'fbx'; use json, npz, csv"),
        (lambda: result.save(tmp_path / "x.fbx"), "unknown format '.fbx'"),
        (lambda: result.save(tmp_path / "x.csv", ["bvh"]), "names a file"),
    ):
        with pytest.raises(InputError, match=words):
            call()
    assert listing(tmp_path) == []


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_is_refused_before_anything_is_written(make_walkers, tmp_path, name, value):
    result = make_walkers(frames=4)
    result.tracks[0].poses3d.joints[2, 5, 1] = value
    with pytest.raises(InputError, match="1 values in the joints of track 1 are NaN or infinite") as caught:
        result.save(tmp_path / "out" / f"x.{name}")
    one_line(caught)
    assert listing(tmp_path) == []


@pytest.mark.parametrize("name", ALL)
def test_unwritable_folder(make_walkers, tmp_path, name):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot be written, a file is in the way") as caught:
        make_walkers(frames=4).save(tmp_path / "file" / f"x.{name}")
    one_line(caught)
    assert listing(tmp_path) == ["file"]


@pytest.fixture
def forbidden(make_walkers, tmp_path):
    """A folder in which this process may not write; root becomes nobody for a while."""
    make_walkers(frames=2).save(tmp_path / "first", ALL)  # nobody may not import what is not there yet
    root = os.geteuid() == 0
    folder = Path(tempfile.mkdtemp(dir=None if root else tmp_path))  # nobody may not look into root's tmp_path
    folder.chmod(0o555)
    if root:
        os.seteuid(65534)
    yield folder
    if root:
        os.seteuid(0)
    folder.rmdir()


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="users are those of POSIX")
def test_folder_without_permission(make_walkers, forbidden):
    result = make_walkers(frames=2)
    for name in ALL:
        with pytest.raises(InputError, match="no permission to write there: choose another folder") as caught:
            result.save(forbidden / f"x.{name}")
        one_line(caught)
    with pytest.raises(InputError) as caught:
        result.save(forbidden, ALL)
    words = f"{forbidden}: cannot be written, no permission to write there: choose another folder"
    assert one_line(caught) == words  # once, not for every format
    assert listing(forbidden) == []


def test_full_disk(make_walkers, tiny_disk):
    result = make_walkers(people=1, frames=60)
    (tiny_disk / "old.txt").write_text("kept")
    for name in ALL:
        with pytest.raises(InputError, match="the disk is full: free some space") as caught:
            result.save(tiny_disk / f"x.{name}")
        assert one_line(caught).startswith(str(tiny_disk / f"x.{name}"))
        assert listing(tiny_disk) == ["old.txt"], name


def test_what_fits_on_the_disk_is_kept(make_walkers, tiny_disk, readers):
    """Room for some formats only: they are whole, named, and nothing of the others is there."""
    subprocess.run(["mount", "-o", "remount,size=48k", str(tiny_disk)], check=True)
    result = make_walkers(people=2, frames=20)
    with pytest.raises(PartlyWritten, match=r"cannot be written, the disk is full: .*; written: ") as caught:
        result.save(tiny_disk, ["csv", "bvh", "npz", "c3d", "trc"])
    written, message = caught.value.written, one_line(caught)
    assert 0 < len(written) < 8 and listing(tiny_disk) == sorted(path.name for path in written)
    assert message.endswith(", ".join([str(written[0]), *(path.name for path in written[1:])]))
    assert all(str(path) in message or path.name in message for error in caught.value.failed for path in [error.path])
    for name in ("bvh", "c3d", "trc"):
        assert sum(path.suffix == f".{name}" for path in written) in (0, 2)  # both people or nobody
    for path in written:
        readings = {".npz": load_result, ".csv": readers.read_csv, ".bvh": readers.read_bvh, ".trc": readers.read_trc}
        (readings | {".c3d": readers.read_c3d})[path.suffix](path)


def test_size_limit_of_files(make_walkers, tmp_path):
    """The same where nothing can be mounted: the system refuses to let files grow."""
    resource = pytest.importorskip("resource")
    limits, result = resource.getrlimit(resource.RLIMIT_FSIZE), make_walkers(frames=60)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6000, limits[1]))
    try:
        for name in ALL:
            with pytest.raises(InputError, match="cannot be written, ") as caught:
                result.save(tmp_path / f"x.{name}")
            assert name == "c3d" or "larger than files may be here" in one_line(caught)
            assert listing(tmp_path) == [], name
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))
        with pytest.raises(PartlyWritten, match=r"/poses.bvh: .* larger .*; written: .*/poses.json, poses.csv$"):
            make_walkers(frames=1).save(tmp_path, ["json", "csv", "bvh"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert listing(tmp_path) == ["poses.csv", "poses.json"]


def test_read_only_disk(make_walkers, tiny_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    for name in ALL:
        with pytest.raises(InputError, match="the file system is read-only") as caught:
            make_walkers(frames=2).save(tiny_disk / f"x.{name}")
        one_line(caught)


def test_full_disk_that_only_python_tells(make_walkers, tmp_path, monkeypatch):
    """The same where nothing can be mounted: every write of Python fails, and ezc3d cuts its file off silently."""
    import ezc3d

    def full(*arguments, **more):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def cut_off(content, path, **more):
        whole(content, path, **more)
        os.truncate(path, 4096)

    def full_for_writing(path, mode="r", *arguments, **more):
        return full() if "w" in mode else opened(path, mode, *arguments, **more)

    whole, opened = ezc3d.c3d.write, Path.open
    monkeypatch.setattr(ezc3d.c3d, "write", cut_off)
    for target in ("numpy.savetxt", "numpy.savez_compressed", "pathlib.Path.write_text", "pathlib.Path.write_bytes"):
        monkeypatch.setattr(target, full)
    monkeypatch.setattr("pathlib.Path.open", full_for_writing)
    result = make_walkers()
    (tmp_path / "out").mkdir()
    for name in ALL:
        with pytest.raises(InputError, match="cannot be written") as caught:
            result.save(tmp_path / "out" / f"x.{name}")
        one_line(caught)
        assert listing(tmp_path / "out") == [], name


def test_an_old_file_survives_a_failure(make_walkers, tmp_path, monkeypatch):
    (path,) = make_walkers(frames=3).save(tmp_path / "x.bvh")
    before = path.read_bytes()
    monkeypatch.setattr("numpy.savetxt", lambda *a, **k: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    with pytest.raises(InputError, match="disk is full"):
        make_walkers(frames=9).save(path)
    assert path.read_bytes() == before and listing(tmp_path) == ["x.bvh"]


def test_second_person_fails(make_walkers, tmp_path, monkeypatch):
    """The files of several people belong together: with the second one failing, the first is not left either."""
    (tmp_path / "poses-2.trc").mkdir()
    calls, whole = [], np.savetxt

    def second_is_full(*arguments, **more):
        calls.append(arguments)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "full")
        whole(*arguments, **more)

    monkeypatch.setattr("numpy.savetxt", second_is_full)
    with pytest.raises(PartlyWritten) as caught:
        make_walkers(people=2, frames=3).save(tmp_path, ["bvh", "json", "trc"])
    assert one_line(caught) == (
        f"{tmp_path}/poses-2.bvh: cannot be written, the disk is full: free some space or choose another folder; "
        f"{tmp_path}/poses-2.trc: cannot be written, a folder is in the way where a file is needed: choose another "
        f"name; written: {tmp_path}/poses.json"
    )
    assert "poses-1.bvh" not in listing(tmp_path)


@pytest.mark.parametrize("fps", [None, 25.0], ids=["image", "video"])
def test_one_frame_in_every_format(make_walkers, tmp_path, readers, fps):
    result = make_walkers(frames=1, fps=fps)
    result.save(tmp_path, ["all"])
    assert listing(tmp_path) == sorted(f"poses.{name}" for name in ALL)
    joints = result.tracks[0].poses3d.joints * (1, -1, -1)
    assert len(load_result(tmp_path).tracks[0]) == 1 and load_result(tmp_path / "poses.json").fps == fps
    bvh, trc, c3d = (getattr(readers, f"read_{name}")(tmp_path / f"poses.{name}") for name in ("bvh", "trc", "c3d"))
    assert bvh.places.shape[0] == 1 and bvh.seconds == pytest.approx(1 / (fps or 30), abs=1e-6)
    np.testing.assert_allclose(trc.joints, joints, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(c3d.points[0, 3]), 1000 * np.linalg.norm(joints[0, 3]), rtol=1e-5)
    assert readers.read_glb(tmp_path / "poses.glb").places.shape[0] == 1
    assert {row["frame"] for row in readers.read_csv(tmp_path / "poses.csv")} == {3.0}


def test_all_formats(make_walkers, tmp_path, monkeypatch):
    assert check_formats(["all"]) == ALL
    assert check_formats(["csv", "all"], lifted=False) == [name for name in ALL if name not in NEED_3D]
    save_result(make_walkers(frames=2, lifted=False), tmp_path, ["all"], stem="walk")
    assert listing(tmp_path) == sorted(f"walk.{name}" for name in ALL if name not in NEED_3D)
    monkeypatch.setitem(sys.modules, "ezc3d", None)
    assert check_formats(["all"]) == [name for name in ALL if name != "c3d"]


def test_missing_package_names_the_extra(make_walkers, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ezc3d", None)
    for call in (
        lambda: check_formats(["c3d"]),
        lambda: make_walkers(frames=2).save(tmp_path / "x.c3d"),
        lambda: make_walkers(frames=2).save(tmp_path / "out", ["json", "c3d"]),
    ):
        with pytest.raises(InputError, match=r"pip install 'cascadepose\[c3d\]'"):
            call()
    assert listing(tmp_path) == []
