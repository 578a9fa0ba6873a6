"""Motion data: bodies, cameras and noise are plausible, vectorised, deterministic; windows cover the sequences."""

import numpy as np
import pytest

from cascadepose.data import bodies, noise
from cascadepose.data.cameras import random_camera
from cascadepose.data.motion import MotionDataset, hold, load_motion, mean_pose, observe
from cascadepose.data.windows import sample_clip, window_starts, window_table
from cascadepose.errors import InputError
from cascadepose.geometry import back_project, camera_to_world
from cascadepose.normalization import lifter_input
from cascadepose.skeletons import COCO17, H36M17


@pytest.fixture
def walk(standing):
    """[150, 17, 3]: a body that goes forward and bobs."""
    t = np.arange(150)[:, None, None] / 60
    return (standing + np.concatenate([0 * t, 0.03 * np.sin(9 * t), 0.8 * t], -1)).astype(np.float32)


@pytest.fixture
def dataset(walk):
    return MotionDataset({"walk": walk, "short": walk[:20]}, num_frames=27)


def points(body, *names):
    return [body[:, bodies.NAMES.index(name)] for name in names]


def test_faces_look_forward_and_heads_are_up(walk):
    body = bodies.adapt_body(walk)
    nose, head, left_eye, right_eye, left_ear, right_ear, thorax = points(
        body, "nose", "head", "left_eye", "right_eye", "left_ear", "right_ear", "thorax"
    )
    ears = (left_ear + right_ear) / 2
    assert (nose[:, 2] - ears[:, 2] > 0.08).all()  # the body faces +z
    assert (left_eye[:, 0] > right_eye[:, 0]).all()
    assert (left_ear[:, 0] - right_ear[:, 0] > 0.1).all()
    assert (head[:, 1] > left_eye[:, 1]).all()
    assert (left_eye[:, 1] > nose[:, 1]).all()
    assert (head[:, 1] - thorax[:, 1] > 0.2).all()
    assert (head[:, 1] - thorax[:, 1] < 0.4).all()


def test_adapted_joints(walk):
    body = bodies.adapt_body(walk)
    np.testing.assert_allclose(body[:, 0], walk[:, 0])
    width = np.linalg.norm(body[:, 1] - body[:, 4], axis=-1) / np.linalg.norm(walk[:, 1] - walk[:, 4], axis=-1)
    np.testing.assert_allclose(width, bodies.HIP_WIDENING, rtol=1e-5)
    for bone in ((1, 2), (2, 3), (11, 12)):  # thighs, shins and upper arms keep their length
        before, after = (np.linalg.norm(x[:, bone[0]] - x[:, bone[1]], axis=-1) for x in (walk, body))
        np.testing.assert_allclose(after, before, rtol=1e-4)
    np.testing.assert_allclose(body[:, 8], (walk[:, 11] + walk[:, 14]) / 2, atol=1e-6)


def test_adaptation_commutes_with_mirroring(walk):
    once, other = bodies.adapt_body(bodies.mirror(walk)), bodies.mirror(bodies.adapt_body(walk)[:, :17])
    np.testing.assert_allclose(once[:, :17], other, atol=1e-6)


def test_head_turns_left_and_down(walk):
    turn = np.zeros((150, 2), np.float32)
    turn[:, 0] = 0.5
    nose, *_ = points(bodies.adapt_body(walk, turn) - bodies.adapt_body(walk), "nose")
    assert (nose[:, 0] > 0.03).all()
    nose, *_ = points(bodies.adapt_body(walk, turn[:, ::-1]) - bodies.adapt_body(walk), "nose")
    assert (nose[:, 1] < -0.03).all()


def test_scaled_bones(walk, rng):
    body = bodies.adapt_body(walk)
    np.testing.assert_allclose(bodies.scale_bones(body, np.ones(21)), body, atol=1e-5)
    factors = rng.uniform(0.5, 2, 21)
    scaled = bodies.scale_bones(body, factors)
    lengths = [np.linalg.norm(x - x[:, bodies.PARENTS], axis=-1)[:, 1:] for x in (body, scaled)]
    np.testing.assert_allclose(lengths[1], lengths[0] * factors[1:], rtol=1e-3)


def test_random_bodies_are_rigid_symmetric_and_human(walk):
    for seed in range(20):
        body = bodies.randomize_body(bodies.adapt_body(walk), np.random.default_rng(seed))
        lengths = np.linalg.norm(body - body[:, bodies.PARENTS], axis=-1)[:, :17]
        assert lengths.std(0).max() < 1e-3
        for limb, typical in bodies.TYPICAL.items():
            ends = [i for i, name in enumerate(H36M17.names) if name.endswith(limb)]
            np.testing.assert_allclose(lengths[0, ends], lengths[0, ends[0]], rtol=0.02)
            assert 0.6 < lengths[0, ends[0]] / typical < 1.5


def test_cameras_see_the_person_and_invert(walk):
    body = bodies.adapt_body(walk)
    yaws = []
    for seed in range(30):
        camera = random_camera(body, np.random.default_rng(seed), whole=True)
        seen, pixels = camera.see(body)
        inside = ((pixels >= 0) & (pixels <= camera.image_size)).all(-1)
        assert inside.mean() > 0.9
        assert (seen[..., 2] > 0.3).all()
        ahead = back_project(pixels, seen[..., 2], camera.intrinsics)
        world = camera_to_world(ahead, camera.orientation, camera.translation)
        np.testing.assert_allclose(world, body, atol=2e-3)
        assert (seen[:, 10, 1] < seen[:, 0, 1]).all()  # heads are up in the image
        offset = camera.translation - body[:, 0].mean(0)
        yaws.append(np.arctan2(offset[0], offset[2]))
    assert np.histogram(yaws, 4, (-np.pi, np.pi))[0].min() > 0


def test_ideal_observation_goes_the_pipelines_way(walk):
    """Projected COCO joints, converted, are the projections of the 3D joints wherever a joint is measured."""
    body = bodies.adapt_body(walk)
    camera = random_camera(body, np.random.default_rng(0), whole=True)
    joints, keypoints, scores = observe(body, camera, None)
    converted, _, measured = COCO17.convert(keypoints, scores)
    pixels = camera.see(body)[1][:, :17]
    np.testing.assert_allclose(converted[:, measured], pixels[:, measured], atol=1e-2)
    np.testing.assert_array_equal(joints[:, 0], 0)
    assert (scores == 1).all()


def test_noise_grows_with_level_and_falls_with_score(walk):
    body = bodies.adapt_body(walk)
    camera = random_camera(body, np.random.default_rng(1), whole=True)
    keypoints = camera.see(body)[1][:, bodies.TO_COCO]
    size, errors, scores = noise.person_size(keypoints), {}, {}
    for level in (0.2, 1.0):
        runs = [noise.detect(keypoints, camera.image_size, np.random.default_rng(s), level) for s in range(40)]
        errors[level] = np.stack([np.linalg.norm(k - keypoints, axis=-1) for k, _ in runs]) / size
        scores[level] = np.stack([s for _, s in runs])
    typical = {level: np.median(e, (0, 1)) for level, e in errors.items()}
    assert (typical[1.0] > 2 * typical[0.2]).all()
    assert typical[1.0][[9, 10, 15, 16]].min() > typical[1.0][[0, 5, 6]].max()  # wrists and ankles are worst
    assert scores[1.0].min() >= 0
    assert scores[1.0].max() <= 1
    assert np.corrcoef(errors[1.0].ravel(), scores[1.0].ravel())[0, 1] < -0.3
    step = np.diff(errors[1.0], axis=1).std() / errors[1.0].std()
    assert step < 1.3  # correlated in time: white noise has 1.41


def test_lost_frames_are_filled_and_score_zero(walk):
    body = bodies.adapt_body(walk)
    camera = random_camera(body, np.random.default_rng(2), whole=True)
    lost = 0
    for seed in range(20):
        _, keypoints, scores = observe(body, camera, np.random.default_rng(seed))
        assert np.isfinite(keypoints).all()
        lost += (scores == 0).all(-1).sum()
    assert 0.005 < lost / (20 * len(body)) < 0.15


def test_truncated_joints_have_low_scores(walk):
    body = bodies.adapt_body(walk)
    keypoints = random_camera(body, np.random.default_rng(0), whole=True).see(body)[1][:, bodies.TO_COCO]
    middle = keypoints[..., 1].mean()
    size = (5000, int(middle))
    _, scores = noise.detect(keypoints, size, np.random.default_rng(0), 0.3)
    below = keypoints[..., 1] > middle
    assert scores[below].mean() < 0.6 * scores[~below].mean()


def test_spans_have_the_lengths_asked_for():
    mask = noise.spans(4000, 1, np.random.default_rng(0), rate=0.01, longest=5)[:, 0]
    runs = np.diff(np.flatnonzero(np.diff(np.r_[0, mask.astype(int), 0])))[::2]
    assert runs.min() == 1
    assert 2 < runs.mean() < 4


def test_items_depend_on_index_and_seed_only(dataset):
    first, again, other = dataset[(2, 7)], dataset[(2, 7)], dataset[(2, 8)]
    plain = dataset[2]
    for name in ("x", "joints"):
        assert first[name].dtype == np.float32
        np.testing.assert_array_equal(first[name], again[name])
        np.testing.assert_array_equal(plain[name], dataset[2][name])
        assert not np.array_equal(first[name], other[name])
        assert np.isfinite(first[name]).all()
    assert first["x"].shape == first["joints"].shape == (27, 17, 3)
    np.testing.assert_array_equal(first["joints"][:, 0], 0)


def test_input_and_target_share_no_memory(dataset):
    item = dataset[(0, 1)]
    target = item["joints"].copy()
    item["x"][:] = 0
    np.testing.assert_array_equal(item["joints"], target)


def test_input_is_made_as_at_inference(walk, monkeypatch):
    """The data set and the pipeline share one function; the keypoints that it gets are pixels of COCO-17."""
    seen = []

    def spy(keypoints, scores, image_size, *rest):
        seen.append((keypoints, image_size))
        return lifter_input(keypoints, scores, image_size, *rest)

    monkeypatch.setattr("cascadepose.data.motion.lifter_input", spy)
    clean = MotionDataset({"walk": walk}, noise="clean")[0]
    ((keypoints, size),) = seen
    assert keypoints.shape == (27, 17, 2)
    assert ((keypoints >= 0) & (keypoints <= size)).mean() > 0.9
    assert (clean["x"][..., 2] == 1).all()


def test_every_frame_is_in_some_window(dataset, walk):
    window = 1 + round(26 * dataset.step)
    assert dataset.table[0].tolist() == [0, 0]
    ends = dataset.table[dataset.table[:, 0] == 0, 1] + window
    assert ends.max() == len(walk)
    assert (dataset.table[:, 0] == 1).sum() == 1  # a sequence shorter than a window has one
    assert dataset[len(dataset) - 1]["x"].shape == (27, 17, 3)


@pytest.mark.parametrize("length, window, stride", [(1, 5, 2), (5, 5, 2), (6, 5, 2), (100, 5, 7), (9, 1, 1)])
def test_window_starts(length, window, stride):
    starts = window_starts(length, window, stride)
    assert starts[0] == 0
    assert starts[-1] == max(length - window, 0)
    assert (np.diff(starts) <= stride).all()
    assert (np.diff(starts) > 0).all()


def test_window_table_needs_sequences():
    with pytest.raises(InputError, match="no sequences"):
        window_table([], 5, 2)


def test_clips_are_interpolated():
    sequence = np.arange(10.0)[:, None]
    np.testing.assert_allclose(sample_clip(sequence, 1.5, 2.5, 4).ravel(), [1.5, 4, 6.5, 9])
    np.testing.assert_allclose(sample_clip(sequence, 8, 2, 3).ravel(), [8, 9, 9])


def test_held_clips_repeat_their_last_frame():
    for seed in range(10):
        (frames,) = hold(np.random.default_rng(seed), np.arange(9))
        last = frames[-1]
        np.testing.assert_array_equal(frames, np.minimum(np.arange(9), last))
        (frames,) = hold(np.random.default_rng(seed), np.arange(9), first=True)  # as a stream begins
        np.testing.assert_array_equal(frames, np.maximum(np.arange(9) - (8 - frames[-1]), 0))


def test_mean_pose_is_upright(dataset):
    pose = mean_pose(dataset)
    assert pose.shape == (17, 3)
    assert pose[10, 1] < pose[0, 1] < pose[3, 1]  # y points down


def test_load_motion(tmp_path, walk):
    path = tmp_path / "motion.npz"
    np.savez(path, any_name=walk.astype(np.float64))
    assert load_motion(path)["any_name"].dtype == np.float32


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({}, "no sequence"),
        ({"a": np.zeros((5, 16, 3))}, r"'a' has shape \(5, 16, 3\)"),
        ({"a": np.zeros((0, 17, 3))}, "T >= 1"),
        ({"b": np.full((5, 17, 3), np.nan)}, "'b' holds NaN"),
        ({"a": np.array([{}], dtype=object)}, "cannot be read"),
        ({"a": np.array("text")}, "cannot be read|has shape"),
    ],
)
def test_bad_motion_files(arrays, message, tmp_path):
    path = tmp_path / "motion.npz"
    np.savez(path, **arrays)
    with pytest.raises(InputError, match=message) as caught:
        load_motion(path)
    assert "motion.npz" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 cut off", b"not an archive"])
def test_unreadable_motion_files(content, tmp_path):
    path = tmp_path / "motion.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"motion\.npz"):
        load_motion(path)


def test_unknown_noise(walk):
    with pytest.raises(InputError, match="mixed"):
        MotionDataset({"walk": walk}, noise="loud")
