"""The page holds the numbers of the result, is one file, and keeps what was there if it cannot be written."""

import base64
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from cascadepose.cli import main
from cascadepose.data.video_writer import open_video_writer
from cascadepose.errors import InputError
from cascadepose.export import save_result
from cascadepose.visualize.html import write_html
from cascadepose.visualize.scene import build_scene
from cascadepose.visualize.small_pictures import small_pictures


def content(path) -> dict:
    """What the page reads, from outside."""
    return json.loads(re.search(r'<script type="application/json" id="content">(.*?)</script>', path.read_text())[1])


def numbers(text: str, dtype: str, *shape: int) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype).reshape(shape)


def unpacked(packed: dict, *shape: int) -> np.ndarray:
    return numbers(packed["data"], "<i2", *shape) * packed["unit"]


def test_numbers_come_back(make_result, tmp_path):
    result = make_result([(0, 9), (3, 7)])
    hidden = replace(result.tracks[1], observed=np.array([1, 0, 1, 1, 1], bool))
    result = replace(result, tracks=[result.tracks[0], hidden], timestamps=result.timestamps + 5)
    page = content(write_html(result, tmp_path / "x.html"))
    np.testing.assert_allclose(numbers(page["times"], "<f4", 10), np.arange(10) / 10, atol=1e-6)
    figures = build_scene(result).figures
    for person, track, figure in zip(page["people"], result.tracks, figures, strict=True):
        count = len(track)
        assert (person["id"], person["first"], person["count"]) == (track.track_id, track.frame_index[0], count)
        np.testing.assert_array_equal(numbers(person["observed"], "u1", count), track.observed)
        np.testing.assert_allclose(numbers(person["scores"], "u1", count, 17) / 255, track.scores, atol=0.002)
        np.testing.assert_allclose(unpacked(person["keypoints"], count, 17, 2), track.keypoints, atol=0.01)
        np.testing.assert_allclose(unpacked(person["joints"], count, 17, 3), figure.joints, atol=1e-4)
        assert page["skeletons"][person["body"]]["names"][1] == "right hip"
    assert page["pictures"] is None and page["scene"]["layout"] == "side by side"


def test_pictures_are_embedded(make_result, grey_clip, tmp_path):
    result = make_result([(0, 9)])
    pictures = small_pictures(result, grey_clip(10), width=160, budget=4000)
    page = content(write_html(result, tmp_path / "x.html", pictures))
    assert [base64.b64decode(file) for file in page["pictures"]["files"]] == pictures.files
    assert page["pictures"]["frames"] == pictures.frames
    assert pictures.step > 1 and f"a picture of one frame in {pictures.step}" in page["notes"]


def test_one_file_without_network_or_folders(make_result, tmp_path):
    source = "/home/me/secret/<b>&dance</script>.mp4"
    path = write_html(make_result([(0, 9)], source=source, notes=(f"{source} is odd",)), tmp_path / "x.html")
    text = path.read_text()
    assert "secret" not in text and text.count("</script>") == 2 and "{{" not in text
    assert not re.search(r"(src|href)\s*=\s*(?![\"']?data:)|https?://|@import|url\(", text.split("<script")[0])
    assert "default-src 'none'" in text
    assert content(path)["source"] == "script>.mp4" and content(path)["notes"] == ["script>.mp4 is odd"]


def test_a_minute_stays_small(make_result, tmp_path):
    minute = make_result([(0, 1799)], frames=1800, fps=30.0)
    assert write_html(minute, tmp_path / "x.html").stat().st_size < 600_000


def test_by_suffix_and_format(make_result, grey_clip, tmp_path):
    result = make_result([(0, 9)])
    assert result.save(tmp_path / "x.html") == [tmp_path / "x.html"]
    assert any("no pictures: nowhere.mp4: no such file" in note for note in content(tmp_path / "x.html")["notes"])
    with open_video_writer(tmp_path / "clip.mp4", 10) as video:
        for t, frame in enumerate(grey_clip(10)):
            video.write(frame, t / 10)
    result = replace(result, source=str(tmp_path / "clip.mp4"))
    assert [path.name for path in save_result(result, tmp_path / "out", ["npz", "html"])] == ["poses.npz", "poses.html"]
    assert len(content(tmp_path / "out" / "poses.html")["pictures"]["files"]) == 10
    assert main(["view", str(tmp_path / "out"), "--html", str(tmp_path / "sent.html"), "--width", "100"]) == 0
    assert content(tmp_path / "sent.html")["notes"] == ["pictures: 100 \u00d7 75"]


def test_command_says_what_is_missing(make_result, tmp_path, capsys):
    save_result(make_result([(0, 9)]), tmp_path / "out")
    page = tmp_path / "x.html"
    assert main(["view", str(tmp_path / "out"), "--html", str(page)]) == 0  # without pictures, and it says so
    said = capsys.readouterr()
    assert said.out == f"{page}\n" and "nowhere.mp4: no such file" in said.err and "--video FILE" in said.err
    page.unlink()
    for arguments, words in (
        ([str(tmp_path / "nothing")], "nothing: no such file"),
        ([str(tmp_path / "out"), "--video", "gone.mp4"], "gone.mp4: no such file"),
    ):
        assert main(["view", *arguments, "--html", str(page)]) == 2
        error = capsys.readouterr().err
        assert words in error and error.count("\n") == 1
    assert not page.exists()


def test_what_was_there_stays(make_result, tmp_path):
    path = write_html(make_result([(0, 9)]), tmp_path / "x.html")
    before, broken = path.read_bytes(), make_result([(0, 9)])
    broken.tracks[0].keypoints[0] = np.nan
    with pytest.raises(InputError, match="NaN"):
        write_html(broken, path)
    assert path.read_bytes() == before and [item.name for item in tmp_path.iterdir()] == ["x.html"]
