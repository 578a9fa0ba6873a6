"""The page shows the frames that it names, each in its place."""

import numpy as np
import pytest
from PIL import Image

from cascadepose.cli import main
from cascadepose.data.video_writer import open_video_writer
from cascadepose.errors import InputError
from cascadepose.export import save_result
from cascadepose.visualize.contact_sheet import contact_sheet

GAP, CAPTION = 10, 22


def grey_frames(count: int) -> list[np.ndarray]:
    """Frame t is of grey 10 t."""
    return [np.full((60, 80, 3), 10 * t, np.uint8) for t in range(count)]


def test_frames_at_even_distances(make_result, tmp_path):
    result = make_result([], frames=21, size=(80, 60))
    path = contact_sheet(result, tmp_path / "sheet.png", grey_frames(21), count=5, columns=3, width=160)
    page = np.asarray(Image.open(path))
    assert page.shape == (2 * (120 + CAPTION + GAP) + GAP, 3 * (160 + GAP) + GAP, 3)
    shown = [
        page[GAP + row * (120 + CAPTION + GAP) + 60, GAP + column * (160 + GAP) + 80, 0]
        for row in range(2)
        for column in range(3)
    ]
    assert shown == [0, 50, 100, 150, 200, page[0, 0, 0]]
    captions = page[GAP + 120 : GAP + 120 + CAPTION, GAP : GAP + 160]
    assert captions.max() > 200  # letters


def test_people_are_drawn(make_result, tmp_path):
    result = make_result([(0, 9)])
    blank = [np.full((240, 320, 3), 90, np.uint8)] * 10
    with_panel, without = (
        np.asarray(Image.open(contact_sheet(result, tmp_path / "s.png", blank, 2, panel=panel)))
        for panel in (True, False)
    )
    assert with_panel.shape[0] < without.shape[0]  # the strip of 3D views makes the pictures wider
    assert len(np.unique(without.reshape(-1, 3), axis=0)) > 20


def test_fewer_frames_than_wanted(make_result, tmp_path):
    result = make_result([], frames=3, size=(80, 60))
    page = Image.open(contact_sheet(result, tmp_path / "s.jpg", grey_frames(3), count=12, columns=4, width=80))
    assert page.size == (3 * (80 + GAP) + GAP, 60 + CAPTION + 2 * GAP)


def test_what_does_not_fit_is_named(make_result, tmp_path):
    result = make_result([], frames=5, size=(80, 60))
    for call, words in (
        (lambda: contact_sheet(result, tmp_path / "s.pdf", grey_frames(5)), "written as .png, .jpg or .webp"),
        (lambda: contact_sheet(result, tmp_path / "s.png", grey_frames(4)), "has fewer frames than the result"),
        (lambda: contact_sheet(result, tmp_path / "s.png"), "nowhere.mp4: no such file"),
        (lambda: contact_sheet(make_result([], frames=0), tmp_path / "s.png"), "no frame was processed"),
    ):
        with pytest.raises(InputError, match=words):
            call()
    assert not list(tmp_path.iterdir())


def test_command(make_result, tmp_path, capsys):
    with open_video_writer(tmp_path / "clip.mp4", 10) as video:
        for t in range(10):
            video.write(np.full((240, 320, 3), 20 * t, np.uint8), t / 10)
    save_result(make_result([(2, 9)], source=str(tmp_path / "clip.mp4")), tmp_path / "out")
    assert main(["sheet", str(tmp_path / "out"), "--frames", "4", "--columns", "2", "--width", "100"]) == 0
    page = tmp_path / "out" / "sheet.png"
    assert capsys.readouterr().out == f"{page}\n" and Image.open(page).size[0] == 2 * (100 + GAP) + GAP
    (tmp_path / "clip.mp4").unlink()
    assert main(["sheet", str(tmp_path / "out")]) == 2
    assert "clip.mp4: no such file" in capsys.readouterr().err
