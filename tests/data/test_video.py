"""Frames in and out: images, folders, videos, cameras, and what is wrong with them."""

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from cascadepose.data.frames import open_source
from cascadepose.data.images import read_image
from cascadepose.data.video import VideoSource
from cascadepose.data.video_writer import open_video_writer
from cascadepose.errors import InputError


def picture(width: int = 64, height: int = 48, shade: int = 0) -> np.ndarray:
    """Left half red, right half blue, a strip on top whose shade counts the frames."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, : width // 2, 0], image[:, width // 2 :, 2] = 255, 255
    image[: height // 4] = shade
    return image


def write_video(path: Path, times, width: int = 64, height: int = 48, fps: float = 10.0) -> Path:
    with open_video_writer(path, fps) as video:
        for index, time in enumerate(times):
            video.write(picture(width, height, 20 * index % 256), time)
    return path


def noisy_video(path: Path, count: int = 60) -> Path:
    noise = np.random.default_rng(0)
    with open_video_writer(path, 10) as video:
        for index in range(count):
            video.write(noise.integers(0, 255, (48, 64, 3), dtype=np.uint8), index / 10)
    return path


def frames_until_error(source) -> tuple[int, str]:
    count = 0
    with pytest.raises(InputError) as caught:
        for _ in source:
            count += 1
    return count, str(caught.value)


def test_video_keeps_variable_times_colours_and_can_be_read_twice(tmp_path):
    times = [0.0, 0.1, 0.15, 0.4, 0.5, 0.9]
    source = open_source(write_video(tmp_path / "v.mp4", times, 65, 47))
    assert source.size == (66, 48) and source.num_frames == 6 and not source.is_image and not source.live
    for _ in range(2):
        frames = list(source)
        assert [frame.index for frame in frames] == list(range(6))
        np.testing.assert_allclose([frame.timestamp for frame in frames], times, atol=1e-4)
    last = frames[-1].image
    assert last.dtype == np.uint8
    np.testing.assert_allclose(last[30, 10], (255, 0, 0), atol=6)
    np.testing.assert_allclose(last[30, 55], (0, 0, 255), atol=6)
    np.testing.assert_allclose(last[5, 30], (100, 100, 100), atol=6)


def test_rotation_metadata_turns_the_frame(tmp_path):
    path = tmp_path / "phone.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        if not hasattr(stream, "set_display_rotation"):
            pytest.skip("this PyAV cannot write rotation metadata")
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.set_display_rotation(-90)
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(), format="rgb24")))
        container.mux(stream.encode(None))
    source = open_source(path)
    assert source.size == (48, 64)
    image = next(iter(source)).image
    assert image.shape == (64, 48, 3)
    np.testing.assert_allclose(
        image[10, 10], (255, 0, 0), atol=20
    )  # turned clockwise: left half comes up, the strip goes right
    np.testing.assert_allclose(image[55, 10], (0, 0, 255), atol=20)
    np.testing.assert_allclose(image[30, 44], (0, 0, 0), atol=20)


def test_truncated_video_gives_its_frames_and_then_says_so(tmp_path):
    whole = noisy_video(tmp_path / "whole.mp4").read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: len(whole) // 2])
    count, message = frames_until_error(open_source(cut))
    assert 20 <= count <= 32
    assert "cut.mp4" in message and "cut off after" in message and "of 60 frames" in message and "\n" not in message


def test_damage_in_the_middle_is_decoded_past_and_reported(tmp_path):
    data = bytearray(noisy_video(tmp_path / "whole.mp4").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4000] = bytes(4000)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(data)
    times = []
    with pytest.raises(InputError, match=r"damaged.mp4: is damaged in \d+ place"):
        for frame in open_source(damaged):
            times.append(frame.timestamp)
    assert times[-1] > 5.5 and len(times) > 40


def test_frame_size_that_changes_is_named_with_frame_and_remedy(tmp_path):
    parts = []
    for name, width in (("a", 64), ("b", 96)):
        path = tmp_path / f"{name}.h264"
        with av.open(str(path), "w", format="h264") as container:
            stream = container.add_stream("libx264", rate=10)
            stream.width, stream.height, stream.pix_fmt = width, 48, "yuv420p"
            for _ in range(5):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(width), format="rgb24")))
            container.mux(stream.encode(None))
        parts.append(path.read_bytes())
    joined = tmp_path / "joined.h264"
    joined.write_bytes(b"".join(parts))
    count, message = frames_until_error(open_source(joined))
    assert count == 5
    assert "joined.h264" in message and "64x48 to 96x48 at frame 5" in message and "scale=64:48" in message


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.mp4", b"", "0 bytes"),
        ("text.mp4", b"hello" * 100, "cannot be read as a video"),
        ("notes.txt", b"hello" * 100, "holds no video"),
        ("empty.png", b"", "0 bytes"),
        ("text.jpg", b"hello" * 100, "no image in a known format"),
    ],
)
def test_unreadable_files_are_named(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        list(open_source(path))
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_missing_file_camera_and_stream():
    with pytest.raises(InputError, match=r"nowhere.mp4: no such file"):
        open_source("nowhere.mp4")
    with pytest.raises(InputError, match="camera"):
        open_source(97)
    with pytest.raises(InputError, match="connected"):
        open_source("rtsp://127.0.0.1:1/none")
    with pytest.raises(InputError, match="no source of frames"):
        open_source(3.5)
    with pytest.raises(InputError, match="no source of frames"):
        open_source("")


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "RGBA", "P", "1", "CMYK", "I;16", "I", "F"])
def test_any_mode_becomes_rgb(tmp_path, mode):
    grey = np.zeros((8, 10), np.uint8)
    grey[:, 5:] = 255
    if mode == "I;16":
        image = Image.fromarray(grey.astype(np.uint16) * 257)
    elif mode in ("I", "F"):
        image = Image.fromarray(grey.astype({"I": np.int32, "F": np.float32}[mode]) / (1 if mode == "I" else 255))
        image = image.convert(mode)
    else:
        image = Image.fromarray(grey).convert(mode)
    path = tmp_path / ("x.tiff" if mode in ("CMYK", "F", "I") else "x.png")
    image.save(path)
    rgb = read_image(path)
    assert rgb.shape == (8, 10, 3) and rgb.dtype == np.uint8
    np.testing.assert_array_equal(rgb[:, 5:], 255)
    np.testing.assert_array_equal(rgb[:, :5], 0)


def test_transparency_is_laid_on_white(tmp_path):
    rgba = np.zeros((4, 4, 4), np.uint8)
    rgba[:2, :, 3] = 255
    Image.fromarray(rgba).save(tmp_path / "t.png")
    rgb = read_image(tmp_path / "t.png")
    assert (rgb[:2] == 0).all() and (rgb[2:] == 255).all()


def test_exif_orientation_is_applied(tmp_path):
    image = Image.fromarray(picture())
    exif = image.getexif()
    exif[0x0112] = 6  # turn clockwise to see it upright
    image.save(tmp_path / "phone.jpg", exif=exif, quality=95)
    rgb = read_image(tmp_path / "phone.jpg")
    assert rgb.shape == (64, 48, 3)
    np.testing.assert_allclose(rgb[10, 10], (255, 0, 0), atol=12)


def test_truncated_image(tmp_path):
    whole = tmp_path / "whole.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(whole)
    (tmp_path / "cut.jpg").write_bytes(whole.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"cut.jpg.*damaged or cut off"):
        read_image(tmp_path / "cut.jpg")


def test_single_image_has_one_frame(tmp_path):
    Image.fromarray(picture()).save(tmp_path / "one.png")
    source = open_source(tmp_path / "one.png")
    assert source.is_image and source.fps is None and source.num_frames == 1 and source.size == (64, 48)
    (frame,) = source
    assert frame.index == 0 and frame.timestamp == 0


def test_folder_is_read_in_natural_order(tmp_path):
    for number in (10, 2, 1):
        Image.fromarray(picture(shade=number * 10)).save(tmp_path / f"frame_{number}.png")
    (tmp_path / "notes.txt").write_text("not an image")
    source = open_source(tmp_path, fps=25)
    assert source.num_frames == 3 and source.fps == 25
    assert [frame.image[0, 0, 0] for frame in source] == [10, 20, 100]
    assert [frame.timestamp for frame in source] == [0, 1 / 25, 2 / 25]


def test_folder_with_a_broken_image_or_none(tmp_path):
    with pytest.raises(InputError, match="holds no images"):
        open_source(tmp_path)
    Image.fromarray(picture()).save(tmp_path / "1.png")
    (tmp_path / "2.png").write_bytes(b"broken")
    count, message = frames_until_error(open_source(tmp_path))
    assert count == 1 and "2.png" in message
    Image.fromarray(picture(32)).save(tmp_path / "2.png")
    count, message = frames_until_error(open_source(tmp_path))
    assert count == 1 and "64x48 to 32x48" in message


def test_arrays_and_pillow_images():
    assert open_source(picture()).is_image
    video = open_source([picture(), picture()], fps=5)
    assert [frame.timestamp for frame in video] == [0, 0.2] and video.size == (64, 48)
    assert open_source(Image.fromarray(picture()).convert("L")).size == (64, 48)
    for wrong in (picture().astype(float), [], [picture()[..., 0]], np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(InputError, match="array"):
            open_source(wrong)


def test_writer_leaves_nothing_half_written(tmp_path):
    with pytest.raises(KeyboardInterrupt), open_video_writer(tmp_path / "v.mp4") as video:
        video.write(picture(), 0)
        raise KeyboardInterrupt
    with pytest.raises(InputError, match="in a video of 64x48"), open_video_writer(tmp_path / "v.mp4") as video:
        video.write(picture(), 0)
        video.write(picture(96), 0.1)
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="in the way"), open_video_writer(tmp_path / "file" / "v.mp4") as video:
        video.write(picture(), 0)


def test_live_source_counts_time_from_its_first_frame():
    try:
        source = VideoSource("testsrc=size=64x48:rate=10:duration=1,setpts=PTS+5/TB", live=True, container="lavfi")
    except InputError:
        pytest.skip("this PyAV has no generated sources")
    assert source.live and source.num_frames is None and source.size == (64, 48)
    np.testing.assert_allclose([frame.timestamp for frame in source], np.arange(10) / 10, atol=1e-6)


@pytest.mark.parametrize("name", ["x.gif", "x.webp", "x.png"])
def test_animated_pictures_are_videos(tmp_path, name):
    frames = [Image.fromarray(picture(shade=80 * index)) for index in range(3)]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], duration=[50, 100, 100])
    source = open_source(tmp_path / name)
    assert not source.is_image and source.num_frames == 3 and source.size == (64, 48)
    for _ in range(2):
        np.testing.assert_allclose([frame.timestamp for frame in source], [0, 0.05, 0.15])
        assert [round(frame.image[2, 2, 0] / 80) for frame in source] == [0, 1, 2]
