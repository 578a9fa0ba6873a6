"""Cameras: given, stated by files, assumed; and files of cameras, good and bad."""

import argparse
import json

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cascadepose.commands.space_options import add_space, space_settings
from cascadepose.data.frames import open_source
from cascadepose.data.lens import photo_focal_35mm, video_focal_35mm
from cascadepose.errors import InputError
from cascadepose.space import SpaceSettings, load_camera, make_camera
from cascadepose.space.intrinsics import ASSUMED_FOV, describe, focal_from_fov, fov_from_focal

SIZE = (1280, 720)
SEEN = {"image_size": [640, 360], "distortion": [0.1, 0.2, 0.5, 0.3, 0.4]}


@settings(max_examples=20, deadline=None)
@given(st.floats(2, 170), st.integers(16, 4000), st.integers(16, 4000))
def test_fov_and_focal_length_are_inverses(fov, width, height):
    assert fov_from_focal(focal_from_fov(fov, (width, height)), (width, height)) == pytest.approx(fov)


def test_where_the_focal_length_comes_from():
    assert make_camera(SIZE, focal=900).origin == "given" and make_camera(SIZE, focal=(900, 910)).focal[1] == 910
    assert make_camera(SIZE, fov=90).focal == pytest.approx([640, 640])
    stated = make_camera((3600, 2400), focal_35mm=50)
    assert stated.origin == "metadata" and stated.focal == pytest.approx([5000, 5000])  # 100 px a mm of the film
    turned = make_camera((2400, 3600), focal_35mm=50)
    assert turned.focal == pytest.approx(stated.focal)
    assumed = make_camera(SIZE)
    assert assumed.origin == "assumed" and fov_from_focal(assumed.focal[0], SIZE) == pytest.approx(ASSUMED_FOV)
    assert (
        "assumed" in describe(assumed) and "states" in describe(stated) and "given" in describe(make_camera(SIZE, 900))
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"focal": 0}, "not above zero"),
        ({"focal": float("nan")}, "not above zero"),
        ({"fov": 180}, "not between 1 and 179"),
        ({"focal": 900, "fov": 60}, "give one of them"),
        ({"camera": "cam.json", "fov": 60}, "give one of them"),
        ({"height": 17}, "no person's"),
        ({"height": {1: 1.7, 2: -1}}, "no person's"),
    ],
)
def test_impossible_settings_are_refused_at_once(arguments, words):
    with pytest.raises(InputError, match=words):
        SpaceSettings(**arguments)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(SEEN | {"focal": 500, "center": [330, 170]}),
        json.dumps(SEEN | {"fx": 500, "fy": 500, "cx": 330, "cy": 170}),
        "%YAML:1.0\n---\nimage_width: 640\nimage_height: 360\ncamera_matrix: !!opencv-matrix\n   rows: 3\n   cols: 3\n"
        "   dt: d\n   data: [500., 0., 330., 0., 500., 170., 0., 0., 1.]\ndistortion_coefficients: !!opencv-matrix\n"
        "   rows: 1\n   cols: 5\n   dt: d\n   data: [0.1, 0.2, 0.3, 0.4, 0.5]\n",
    ],
    ids=["json", "names", "opencv"],
)
def test_camera_files_are_read_and_scaled(tmp_path, text):
    path = tmp_path / ("cam.yaml" if text.startswith("%") else "cam.json")
    path.write_text(text)
    camera = load_camera(path, SIZE)
    assert camera.focal == pytest.approx([1000, 1000]) and camera.center == pytest.approx([660, 340])
    assert camera.distortion == pytest.approx([0.1, 0.2, 0.5, 0.3, 0.4]) and camera.origin == "given"
    assert camera.image_size == SIZE and camera.world == "none"


def test_camera_file_with_a_world(tmp_path, rng):
    path = tmp_path / "cam.json"
    rotation = [[1, 0, 0], [0, -1, 0], [0, 0, -1]]
    path.write_text(json.dumps({"focal": 800, "rotation": rotation, "translation": [0, 1.5, 4]}))
    camera, points = load_camera(path, SIZE), rng.standard_normal((5, 3))
    assert camera.world == "given"
    assert camera.to_world(camera.to_camera(points)) == pytest.approx(points)
    assert camera.to_camera(np.zeros(3)) == pytest.approx([0, 1.5, 4])  # the origin lies below the camera's height


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "no valid JSON"),
        ("[]", "is no camera"),
        ('{"center": [1, 2]}', "does not state the focal length"),
        ('{"focal": -3}', "not above zero"),
        ('{"focal": "long"}', "is no camera"),
        ('{"focal": 900, "image_size": [720, 1280]}', "another aspect ratio"),
        ('{"focal": 900, "rotation": [[1,0,0],[0,2,0],[0,0,1]], "translation": [0,0,0]}', "no rotation matrix"),
        ('{"focal": 900, "distortion": [1]}', "is no camera"),
    ],
)
def test_bad_camera_files_are_named(tmp_path, text, words):
    path = tmp_path / "cam.json"
    path.write_text(text)
    with pytest.raises(InputError, match=words) as error:
        load_camera(path, SIZE)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_missing_camera_file(tmp_path):
    for name in ("cam.json", "cam.yaml"):
        with pytest.raises(InputError, match=name):
            load_camera(tmp_path / name, SIZE)


def save_photo(path, tags):
    image = Image.new("RGB", (360, 240))
    exif = Image.Exif()
    exif.get_ifd(0x8769).update(tags)
    image.save(path, exif=exif)


def test_photographs_state_their_focal_length(tmp_path):
    path = tmp_path / "photo.jpg"
    save_photo(path, {0xA405: 28})
    assert photo_focal_35mm(path) == 28 and open_source(path).focal_35mm == 28
    # 3600 px at 1000 px a cm: a sensor of 36 mm, of which the photograph is a small copy
    save_photo(path, {0x920A: 35.0, 0xA20E: 1000.0, 0xA20F: 1000.0, 0xA210: 3, 0xA002: 3600, 0xA003: 2400})
    assert photo_focal_35mm(path) == pytest.approx(35)
    for tags in ({}, {0xA405: 0}, {0x920A: 5.0}, {0xA405: 60000}):
        save_photo(path, tags)
        assert photo_focal_35mm(path) is None
    path.write_bytes(b"no picture")
    assert photo_focal_35mm(path) is None


def test_videos_state_their_focal_length(tmp_path):
    key, path = "com.apple.quicktime.camera.focal_length.35mm_equivalent", tmp_path / "clip.mov"
    with av.open(str(path), "w", options={"movflags": "use_metadata_tags"}) as container:
        container.metadata[key] = "26"
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        container.mux([*stream.encode(frame), *stream.encode(None)])
    assert open_source(path).focal_35mm == 26
    assert video_focal_35mm({"title": "35mm"}, {}) is None and video_focal_35mm({key: "wide"}) is None


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], SpaceSettings()),
        (["--focal", "1100", "--height", "1.75"], SpaceSettings(focal=1100, height=1.75)),
        (["--fov", "68", "--height", "1:1.75,3:1.2"], SpaceSettings(fov=68, height={1: 1.75, 3: 1.2})),
        (["--no-ground"], SpaceSettings(ground=False)),
    ],
)
def test_options_of_the_command_line(options, expected):
    parser = argparse.ArgumentParser()
    add_space(parser)
    assert space_settings(parser.parse_args(options)) == expected
    with pytest.raises(SystemExit):
        parser.parse_args(["--height", "tall"])
