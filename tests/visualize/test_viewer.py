"""The page that is served: what it shows, that it moves, and one line for each thing that can be wrong."""

import io
import socket
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cascadepose.cli import main
from cascadepose.errors import InputError
from cascadepose.export import save_result
from cascadepose.rotations import quaternion_to_matrix
from cascadepose.visualize import viewer_figure
from cascadepose.visualize.small_pictures import small_pictures


@pytest.fixture
def make_viewer():
    """make_viewer(result, pictures=None, port=0): a viewer that is closed after the test."""
    pytest.importorskip("viser")
    from cascadepose.visualize.viewer import Viewer

    opened = []

    def make(*arguments, port: int = 0):
        opened.append(Viewer(*arguments, port=port))
        return opened[-1]

    yield make
    for viewer in opened:
        viewer.close()


@pytest.fixture
def taken_port():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


def test_rods_lie_along_limbs():
    rng = np.random.default_rng(0)
    limbs = rng.normal(size=(20, 2, 3))
    limbs[0, 1], limbs[1, 1] = limbs[0, 0] + (0, 0, 2), limbs[1, 0] - (0, 0, 2)  # along z and against it
    turns, middles = viewer_figure._turns(limbs)
    lengths = np.linalg.norm(limbs[:, 1] - limbs[:, 0], axis=-1)
    ends = middles + quaternion_to_matrix(turns)[..., 2] * lengths[:, None] / 2
    np.testing.assert_allclose(ends, limbs[:, 1], atol=1e-5)


@pytest.mark.parametrize("make", [viewer_figure._rod, viewer_figure._ball])
def test_surfaces_are_seen_from_outside(make):
    vertices, faces = make()
    corners = vertices[faces].astype(float)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    outward = (normals * corners.mean(1)).sum(-1)
    assert (outward >= -1e-12).all() and (outward > 0).sum() > 30


def test_figures_follow_the_slider(make_result, grey_clip, make_viewer):
    result = make_result([(0, 9), (4, 9)])
    viewer = make_viewer(result, small_pictures(result, grey_clip(10)))
    assert viewer.address.startswith("http://localhost:") and viewer.server.get_host() == "127.0.0.1"
    first, second = viewer._figures
    assert first._node.visible and not second._node.visible and viewer._time.value == 0
    dark = viewer._picture.image.mean()
    viewer.show(7)
    assert second._node.visible and viewer._time.value == 7 and viewer._clock.content == "0.70 s"
    assert viewer._picture.image.mean() > dark + 50
    np.testing.assert_allclose(second._balls.batched_positions, second.figure.joints[3])
    viewer._switches[2].value = False
    viewer.show(7)
    assert not second._node.visible


def test_playing_goes_round(make_result, make_viewer):
    result = make_result([(0, 9)])
    viewer = make_viewer(replace(result, timestamps=np.arange(10) / 100))
    viewer.show(8)
    viewer.play()
    seen, end = {8}, time.monotonic() + 30
    while not {9, 0} <= seen and time.monotonic() < end:
        viewer.advance()
        seen.add(viewer._time.value)
        time.sleep(0.002)
    assert 0 in seen
    viewer.play(False)
    frame = viewer._time.value
    time.sleep(0.05)
    viewer.advance()
    assert viewer._time.value == frame


def test_one_frame_has_no_slider(make_result, make_viewer):
    viewer = make_viewer(make_result([(0, 0)], frames=1, fps=None))
    viewer.play()
    viewer.advance()
    assert viewer._time is None and viewer._figures[0]._node.visible


def test_what_is_wrong_is_one_line(make_result, tmp_path, capsys, taken_port):
    pytest.importorskip("viser")
    save_result(make_result([(0, 9)]), tmp_path / "out")
    flat = make_result([(0, 9)])
    flat = replace(flat, tracks=[replace(track, poses3d=None) for track in flat.tracks])
    save_result(flat, tmp_path / "flat")
    save_result(make_result([]), tmp_path / "nobody")
    for arguments, words in (
        (["nothing"], "nothing: no such file"),
        (["flat"], "no 3D joints to show (it was made without a lifter)"),
        (["nobody"], "no 3D joints to show (nobody was found)"),
        (["out", "--port", str(taken_port)], f"port {taken_port} of this machine is taken"),
        (["out", "--port", "99999"], "port 99999 of this machine is taken or not allowed"),
        (["out", "--port", "0", "--video", "gone.mp4"], "gone.mp4: no such file"),
    ):
        assert main(["view", str(tmp_path / arguments[0]), *arguments[1:], "--no-browser"]) == 2
        error = capsys.readouterr().err
        assert words in error and error.count("\n") == 1


def test_missing_package_names_the_extra(make_result, tmp_path, capsys, monkeypatch):
    save_result(make_result([(0, 9)]), tmp_path / "out")
    monkeypatch.setitem(sys.modules, "viser", None)
    assert main(["view", str(tmp_path / "out")]) == 2
    assert "pip install 'cascadepose[view]'" in capsys.readouterr().err
    with pytest.raises(InputError, match="--html"):
        from cascadepose.visualize import viewer

        viewer.require()


def test_command_serves_until_it_is_interrupted(make_result, tmp_path, capsys, monkeypatch):
    pytest.importorskip("viser")
    save_result(make_result([(0, 9)]), tmp_path / "out")
    opened = []

    def after_a_while(seconds):
        host, port = opened[0].removeprefix("http://").split(":")
        socket.create_connection((host, int(port)), 30).close()
        raise KeyboardInterrupt

    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("cascadepose.visualize.viewer.time.sleep", after_a_while)
    assert main(["view", str(tmp_path / "out"), "--port", "0"]) == 0
    said = capsys.readouterr()
    assert said.out == f"{opened[0]} (Ctrl-C ends it)\n" and "no pictures: nowhere.mp4" in said.err


def orange(png: bytes) -> int:
    """Pixels of the colour of left limbs, in light and shade."""
    picture = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    red, green, blue = np.moveaxis(picture, -1, 0)
    return int(((red > 150) & (red > green + 40) & (green > blue + 20)).sum())


def test_page_in_a_browser(make_result, make_viewer, browser):
    result = make_result([(0, 4)])
    viewer = make_viewer(result)
    browser.open(viewer.address, 900, 600)
    browser.wait("document.querySelector('canvas') && document.body.innerText.includes('Speed')")
    end = time.monotonic() + 90
    while (drawn := orange(browser.picture())) < 300 and time.monotonic() < end:
        time.sleep(0.3)
    assert drawn >= 300
    assert "nowhere.mp4" in browser.evaluate("document.body.innerText")
    browser.evaluate("document.querySelector('[role=slider]').focus()")
    browser.key("ArrowRight")
    while viewer._time.value != 1 and time.monotonic() < end:
        time.sleep(0.05)
    browser.wait("document.body.innerText.includes('0.10 s')")
    viewer.show(9)  # nobody there
    while (left := orange(browser.picture())) > drawn / 4 and time.monotonic() < end:
        time.sleep(0.3)
    assert left <= drawn / 4
    assert browser.errors == []
    assert all(address.startswith((viewer.address, "data:", "blob:")) for address in browser.requests)
