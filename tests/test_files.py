"""Files are whole or not there."""

import errno

import pytest

from cascadepose.errors import InputError
from cascadepose.files import atomic_path, make_folder


def test_file_appears_when_the_block_ends_well(tmp_path):
    target = tmp_path / "deep" / "name.json"
    with atomic_path(target) as temporary:
        temporary.write_text("new")
        assert not target.exists() and temporary.suffix == ".json"
    assert target.read_text() == "new" and [path.name for path in target.parent.iterdir()] == ["name.json"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_old_file_stays_when_the_block_fails(tmp_path, error):
    target = tmp_path / "name.json"
    target.write_text("old")
    with pytest.raises(error), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise error
    assert target.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(("number", "words"), [(errno.ENOSPC, "disk is full"), (errno.EACCES, "no permission")])
def test_errors_of_the_system_get_a_remedy(tmp_path, number, words):
    with (
        pytest.raises(InputError, match=f"name.json: cannot be written, .*{words}"),
        atomic_path(tmp_path / "name.json"),
    ):
        raise OSError(number, "as the system says it")
    assert not list(tmp_path.iterdir())


def test_folder_in_place_of_a_file_and_file_in_place_of_a_folder(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="a folder is in the way"), atomic_path(tmp_path / "folder") as temporary:
        temporary.write_text("x")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="a file is in the way"):
        make_folder(tmp_path / "file")
    assert make_folder(tmp_path / "a" / "b").is_dir()
