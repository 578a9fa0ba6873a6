"""The page in a browser: it draws, moves, turns, switches people, explains joints, and says nothing on the console."""

from dataclasses import replace

import numpy as np
import pytest

from cascadepose.visualize.html import write_html
from cascadepose.visualize.small_pictures import small_pictures

COLORS = """(pane) => {
  const canvas = document.querySelector(`#${pane} canvas`);
  if (!canvas.width || !canvas.height || !canvas.clientWidth) return null;
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  const found = {left: 0, right: 0, unseen: 0, drawn: 0, x: 0};
  for (let i = 0; i < data.length; i += 4) {
    const near = (r, g, b) => Math.abs(data[i] - r) + Math.abs(data[i + 1] - g) + Math.abs(data[i + 2] - b) < 60;
    if (data[i + 3]) found.drawn++;
    if (near(255, 146, 48)) { found.left++; found.x += (i / 4) % canvas.width; }
    if (near(56, 182, 255)) found.right++;
    if (near(169, 176, 187)) found.unseen++;
  }
  found.x /= found.left || 1;
  return found;
}"""


@pytest.fixture
def open_page(browser, tmp_path):
    """open_page(result, pictures=None, **window): the page in the browser, drawn."""

    def make(result, pictures=None, **window):
        browser.open(write_html(result, tmp_path / "x.html", pictures).as_uri(), **window)
        browser.wait("document.documentElement.dataset.frame !== undefined")
        browser.settle()
        return browser

    return make


def colors(browser, pane: str) -> dict:
    browser.settle()
    return browser.evaluate(f"({COLORS})('{pane}')")


def image(browser, pane: str) -> str:
    browser.settle()
    return browser.evaluate(f"document.querySelector('#{pane} canvas').toDataURL()")


def seek(browser, frame: int) -> None:
    slider = "document.getElementById('time')"
    browser.evaluate(f"{slider}.value = {frame}, {slider}.dispatchEvent(new Event('input'))")
    browser.settle()


def walking(result):
    """The first person moves a metre to the right and waves; the others stand."""
    track = result.tracks[0]
    joints = track.poses3d.joints.copy()
    joints[:, 11:14, 1] -= np.linspace(0, 0.5, len(track))[:, None]
    keypoints = track.keypoints + np.linspace(0, 80, len(track))[:, None, None] * (1, 0)
    moved = replace(track, poses3d=replace(track.poses3d, joints=joints), keypoints=keypoints)
    return replace(result, tracks=[moved, *result.tracks[1:]])


def test_slider_keys_and_playing(make_result, grey_clip, open_page):
    result = walking(make_result([(0, 9), (5, 9)]))
    browser = open_page(result, small_pictures(result, grey_clip(10)))
    assert browser.errors == [] and browser.requests[1:] == [r for r in browser.requests[1:] if r.startswith("data:")]
    first = {pane: image(browser, pane) for pane in ("picture", "space")}
    for pane in first:
        assert colors(browser, pane)["left"] > 50 and colors(browser, pane)["right"] > 50
    seek(browser, 9)
    assert browser.evaluate("document.getElementById('clock').textContent") == "0.90 s · frame 9 / 9"
    later = {pane: image(browser, pane) for pane in first}
    assert all(first[pane] != later[pane] for pane in first)
    browser.key("Home")
    assert {pane: image(browser, pane) for pane in first} == first
    for key, frame in (("ArrowRight", "1"), ("End", "9"), ("ArrowLeft", "8")):
        browser.key(key)
        browser.settle()
        assert browser.evaluate("document.documentElement.dataset.frame") == frame
    browser.key("Home")
    browser.key(" ", " ")
    browser.wait("Number(document.documentElement.dataset.frame) >= 2", 20)
    assert browser.evaluate("document.getElementById('play').getAttribute('aria-label')") == "Pause"
    browser.key(" ", " ")
    assert browser.errors == []


def test_people_are_switched_off_and_grey_where_unseen(make_result, open_page):
    result = make_result([(0, 9)])
    result = replace(result, tracks=[replace(result.tracks[0], observed=np.arange(10) < 5)])
    browser = open_page(result)
    assert browser.evaluate("document.getElementById('picture').hidden")  # no pictures: the 3D view has the room
    seen = colors(browser, "space")
    seek(browser, 8)
    unseen = colors(browser, "space")
    assert seen["left"] > 100 > unseen["left"] and unseen["unseen"] > seen["unseen"] + 100
    seek(browser, 0)
    browser.evaluate("document.querySelector('.lane button').click()")
    assert colors(browser, "space")["left"] == 0
    browser.key("1")
    assert colors(browser, "space")["left"] == seen["left"]
    assert browser.errors == []


def test_turning_zooming_and_hovering(make_result, open_page):
    browser = open_page(make_result([(0, 9)]))
    at = browser.evaluate("(({x, y, width, height}) => [x + width / 2, y + height / 2])"
                          "(document.querySelector('#space canvas').getBoundingClientRect())")  # fmt: skip
    home = image(browser, "space")
    browser.mouse("mousePressed", *at, button="left", clickCount=1)
    browser.mouse("mouseMoved", at[0] + 90, at[1] + 10, button="left", buttons=1)
    browser.mouse("mouseReleased", at[0] + 90, at[1] + 10, button="left")
    turned = image(browser, "space")
    browser.mouse("mouseWheel", *at, deltaX=0, deltaY=-400)
    nearer = image(browser, "space")
    assert len({home, turned, nearer}) == 3
    browser.key("r", "r")
    assert image(browser, "space") == home
    for y in range(-200, 200, 8):  # the pelvis is somewhere below the middle
        browser.mouse("mouseMoved", at[0], at[1] + y)
        if not browser.evaluate("document.getElementById('tip').hidden"):
            break
    assert " · person 1" in browser.evaluate("document.getElementById('tip').textContent")
    assert browser.errors == []


def test_one_frame_nobody_and_2d_only(make_result, grey_clip, open_page):
    alone = make_result([(0, 0)], frames=1, fps=None)
    browser = open_page(alone, small_pictures(alone, grey_clip(1)[0]))
    assert browser.evaluate("document.getElementById('transport').hidden")
    assert colors(browser, "space")["left"] > 100 and colors(browser, "picture")["left"] > 50
    assert browser.errors == []
    nobody = make_result([], source="empty.mp4")
    browser = open_page(nobody)
    assert browser.evaluate("document.getElementById('space').hidden")
    assert browser.evaluate("document.getElementById('facts').textContent").startswith("no people · 10 frames")
    assert colors(browser, "picture")["drawn"] > 1000 and browser.errors == []
    flat = make_result([(0, 9)])
    browser = open_page(replace(flat, tracks=[replace(track, poses3d=None) for track in flat.tracks]))
    assert browser.evaluate("document.getElementById('space').hidden")
    assert colors(browser, "picture")["left"] > 50 and browser.errors == []
    assert browser.errors == [] and open_page(make_result([], frames=0)).errors == []


def test_narrow_windows_and_the_dark(make_result, grey_clip, open_page):
    result = make_result([(0, 9)] * 7)
    pictures = small_pictures(result, grey_clip(10))
    for window in ({"width": 390, "height": 800}, {"width": 1280, "height": 500, "dark": True}):
        browser = open_page(result, pictures, **window)
        assert colors(browser, "space")["left"] > 50 and colors(browser, "picture")["left"] > 20
        wide, high = browser.evaluate("[document.body.scrollWidth, document.body.scrollHeight]")
        assert wide <= window["width"] and high <= window["height"]
        assert browser.errors == []
    assert "rgb(19, 21, 25)" in browser.evaluate("getComputedStyle(document.body).backgroundColor")
