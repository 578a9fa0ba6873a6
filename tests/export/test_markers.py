"""TRC and C3D give the joints back, in their units and axes."""

import numpy as np
import pytest

from cascadepose.errors import InputError
from cascadepose.export import motion
from cascadepose.export.motion import motions
from cascadepose.skeletons import H36M17


def test_named_rotations():
    np.testing.assert_array_equal(motion.CAMERA_TO_Y_UP @ (1, 2, 3), (1, -2, -3))
    np.testing.assert_array_equal(motion.Y_UP_TO_Z_UP @ (1, 2, 3), (1, -3, 2))
    for rotation in (motion.CAMERA_TO_Y_UP, motion.Y_UP_TO_Z_UP):
        assert np.linalg.det(rotation) == 1


@pytest.mark.parametrize("frame", ["camera", "world"])
def test_trc(make_walkers, readers, tmp_path, frame):
    result = make_walkers(frame=frame)
    (path,) = result.save(tmp_path / "walk.trc")
    trc = readers.read_trc(path)
    track = result.tracks[0]
    sign = 1 if frame == "world" else (1, -1, -1)
    np.testing.assert_allclose(trc.joints, track.poses3d.joints * sign, atol=1e-6)
    np.testing.assert_allclose(trc.times, track.timestamp, atol=1e-6)
    assert trc.names == list(H36M17.names) and path.read_text().startswith("PathFileType\t4\t(X/Y/Z)\twalk.trc\n")
    assert (trc.head["Units"], trc.head["NumFrames"], trc.head["NumMarkers"]) == ("m", "60", "17")
    assert float(trc.head["DataRate"]) == 25


@pytest.mark.parametrize("frame", ["camera", "world"])
def test_c3d(make_walkers, readers, tmp_path, frame):
    pytest.importorskip("ezc3d")
    result = make_walkers(frame=frame)
    (path,) = result.save(tmp_path / "walk.c3d")
    c3d, track = readers.read_c3d(path), result.tracks[0]
    x, y, z = np.moveaxis(track.poses3d.joints * (1 if frame == "world" else (1, -1, -1)), -1, 0)
    np.testing.assert_allclose(c3d.points, 1000 * np.stack([x, -z, y], -1), atol=1e-2)
    parameters = c3d.parameters
    assert parameters["POINT:UNITS"] == ["mm"] and parameters["POINT:LABELS"] == list(H36M17.names)
    assert parameters["POINT:X_SCREEN"] == ["+X"] and parameters["POINT:Y_SCREEN"] == ["+Z"]
    assert parameters["POINT:RATE"] == [25] and c3d.rate == 25 and parameters["POINT:FRAMES"] == [60]
    assert c3d.first_frame - 1 == track.frame_index[0]  # the format counts from one
    assert ((c3d.residuals > 0) == track.observed[:, None]).all() and c3d.residuals.min() == 0
    (person,) = motions(result)
    expected = np.clip(np.round(1000 * person.sigma), 1, 127) * track.observed[:, None]
    np.testing.assert_allclose(c3d.residuals, expected)


def test_c3d_opens_in_its_library(make_walkers, tmp_path):
    ezc3d = pytest.importorskip("ezc3d")
    result = make_walkers()
    (path,) = result.save(tmp_path / "walk.c3d")
    data = ezc3d.c3d(str(path))["data"]
    joints = result.tracks[0].poses3d.joints  # camera axes: x right, y down, z away
    np.testing.assert_allclose(data["points"][:3].T / 1000, joints[..., [0, 2, 1]] * (1, 1, -1), atol=1e-5)
    np.testing.assert_array_equal(
        data["meta_points"]["residuals"][0].T > 0, np.tile(result.tracks[0].observed, (17, 1)).T
    )


def test_c3d_counts_so_many_frames(make_walkers, readers, tmp_path, monkeypatch):
    pytest.importorskip("ezc3d")
    result = make_walkers(frames=8)  # from frame 3 on
    monkeypatch.setattr("cascadepose.export.c3d._MAX_FRAMES", 10)
    (path,) = result.save(tmp_path / "walk.c3d")
    assert readers.read_c3d(path).first_frame == 1 and len(readers.read_c3d(path).points) == 8
    monkeypatch.setattr("cascadepose.export.c3d._MAX_FRAMES", 7)
    with pytest.raises(InputError, match="C3D counts 7 frames, not 8; write trc"):
        result.save(tmp_path / "long.c3d")
    assert not (tmp_path / "long.c3d").exists()


def test_sigma_is_in_metres(make_walkers):
    """A person of 400 px and 1.6 m: 10 px are 40 mm."""
    result = make_walkers(noise=0, frame="camera")
    track = result.tracks[0]
    track.keypoints[:] = 250 * track.poses3d.joints[:, [9, 9, 9, 9, 9, 11, 14, 12, 15, 13, 16, 4, 1, 5, 2, 6, 3], :2]
    track.sigma[:] = 10
    (person,) = motions(result)
    np.testing.assert_allclose(person.sigma, 0.04, rtol=0.1)


def test_uneven_times_are_put_on_an_even_clock(make_walkers, readers, tmp_path):
    times = np.cumsum(np.tile([0.02, 0.06], 30))
    times[30:] += 0.2  # a pause, as cameras make
    result = make_walkers(times=times, noise=0)
    (path,) = result.save(tmp_path / "walk.trc")
    trc = readers.read_trc(path)
    np.testing.assert_allclose(np.diff(trc.times), 1 / 25, atol=2e-6)
    joints = result.tracks[0].poses3d.joints * (1, -1, -1)
    for axis in range(3):
        np.testing.assert_allclose(trc.joints[:, 3, axis], np.interp(trc.times, times, joints[:, 3, axis]), atol=2e-6)


def test_rate_off_a_little_stays_frame_by_frame(make_walkers):
    times = np.arange(60) / 25 + 0.01 * np.sin(np.arange(60))
    (person,) = motions(make_walkers(times=times))
    assert len(person) == 60 and person.rate == 25


def test_no_3d_is_said(make_walkers):
    with pytest.raises(InputError, match="without a lifter"):
        motions(make_walkers(lifted=False))
    with pytest.raises(InputError, match="nobody was found"):
        motions(make_walkers(people=0))
