"""Lifters on recordings: windows, rates, mirrored input, roots, units, refinement, and the tool."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from cascadepose import hub, models
from cascadepose.cli import main
from cascadepose.data.h36m import read_h36m
from cascadepose.data.h36m_image import read_h36m_image
from cascadepose.data.mpi_inf_3dhp import read_3dhp_test
from cascadepose.data.recordings import Recording
from cascadepose.errors import InputError
from cascadepose.evaluation.recordings import Running, describe_running, lift_recording
from cascadepose.geometry import denormalize_screen, normalize_screen
from cascadepose.skeletons import COCO17, H36M17, MPI_INF_3DHP17

PLAIN = Running(flip_test=False, root="kept")


class Echo(nn.Module):
    """Answers with what it sees: x and y of the input, and its place in the window as depth."""

    causal, in_channels, normalization, skeleton, input_skeleton = False, 2, "screen", "h36m17", "coco17"

    def __init__(self, num_frames: int = 5, frames_out: str = "center", frame_rate: float | None = None):
        super().__init__()
        self.num_frames, self.frames_out, self.frame_rate = num_frames, frames_out, frame_rate
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x):
        place = torch.arange(x.shape[1]).view(1, -1, 1, 1).expand(*x.shape[:3], 1)
        out = torch.cat([x, place], -1) * self.weight
        middle = x.shape[1] // 2
        return out[:, middle : middle + 1] if self.frames_out == "center" else out


@pytest.fixture
def recording(rng):
    arrays = {"keypoints": rng.uniform(0, 900, (12, 17, 2)).astype(np.float32), "scores": np.ones((12, 17), np.float32)}
    joints = rng.normal(size=(12, 17, 3)).astype(np.float32)
    return Recording("x", "S9", "Walking", "c", **arrays, joints=joints, image_size=(1000, 1002), frame_rate=50.0)


def test_a_window_for_every_frame(recording):
    joints = lift_recording(Echo(), recording, PLAIN)
    expected = normalize_screen(recording.keypoints, recording.image_size)
    np.testing.assert_allclose(joints[..., :2], expected, atol=1e-6)
    assert (joints[..., 2] == 2).all()


def test_windows_side_by_side_leave_the_rest_out(recording):
    joints = lift_recording(Echo(5, "all"), recording, PLAIN)
    assert joints[:10, 0, 2].tolist() == [0, 1, 2, 3, 4] * 2
    assert np.isnan(joints[10:]).all()
    short = lift_recording(Echo(24, "all"), recording, PLAIN)  # every frame twice
    assert short[:, 0, 2].tolist() == pytest.approx(np.arange(12) * 2 + 0.5)


def test_the_context_of_a_causal_lifter_is_not_answered(recording):
    """Every frame is answered, in the last third of a window."""
    lifter = Echo(9, "all")
    lifter.causal, lifter.context = True, 6
    joints = lift_recording(lifter, recording, PLAIN)
    expected = normalize_screen(recording.keypoints, recording.image_size)
    np.testing.assert_allclose(joints[..., :2], expected, atol=1e-6)
    assert joints[:, 0, 2].tolist() == [6, 7, 8] * 4


def test_mirrored_input_changes_nothing_for_a_symmetric_lifter(recording):
    plain, flipped = (lift_recording(Echo(), recording, Running(flip, "kept")) for flip in (False, True))
    np.testing.assert_allclose(plain, flipped, atol=1e-6)


def test_batches_do_not_matter(recording):
    a, b = (lift_recording(Echo(), recording, Running(True, "kept", batch_size=n)) for n in (64, 5))
    np.testing.assert_array_equal(a, b)


def test_roots(recording):
    kept, subtracted, zeroed = (
        lift_recording(Echo(), recording, Running(False, r)) for r in ("kept", "subtracted", "zeroed")
    )
    np.testing.assert_allclose(subtracted, kept - kept[:, :1], atol=1e-6)
    assert (zeroed[:, 0] == 0).all()
    np.testing.assert_array_equal(zeroed[:, 1:], kept[:, 1:])


def test_another_rate_is_resampled(recording):
    """A lifter of 25 Hz sees every other frame; answers come back at the recording's frames."""
    steady = Recording(
        **(recording.__dict__ | {"keypoints": np.arange(12, dtype=np.float32)[:, None, None] + recording.keypoints[:1]})
    )
    lifter = Echo(1, frame_rate=25.0)
    joints = lift_recording(lifter, steady, PLAIN)
    pixels = denormalize_screen(joints[..., :2], (1000, 1002))
    np.testing.assert_allclose(pixels[:11], steady.keypoints[:11], atol=1e-3)  # beyond the last frame it is held
    assert describe_running(lifter, [steady], PLAIN, False)["lifter_rate_hz"] == 25.0


def test_coco_joints_are_converted(recording):
    coco = Recording(**(recording.__dict__ | {"keypoint_skeleton": COCO17}))
    joints = lift_recording(Echo(), coco, PLAIN)
    expected = normalize_screen(COCO17.convert(coco.keypoints, to=H36M17)[0], coco.image_size)
    np.testing.assert_allclose(joints[..., :2], expected, atol=1e-5)


@pytest.mark.parametrize("joints", [None, "mpi_inf_3dhp17"])
def test_3dhp_joints_reach_any_lifter_and_come_back(joints, mpi_inf_3dhp_files):
    recording = read_3dhp_test(mpi_inf_3dhp_files[1])[4]
    lifted = lift_recording(Echo(), recording, Running(True, "kept", joints=joints))
    expected = normalize_screen(recording.keypoints, (1920, 1080))
    np.testing.assert_allclose(lifted[..., :2], expected, atol=1e-6)
    rooted = lift_recording(Echo(), recording, Running(True, joints=joints))
    assert np.abs(rooted[:, MPI_INF_3DHP17.index("pelvis")]).max() == 0


def test_answers_in_image_units(h36m_image_file, recording):
    video = read_h36m_image(h36m_image_file)[0]
    joints = lift_recording(Echo(9, "all"), video, Running(False, "kept", "image"))[:18]
    pixels = video.keypoints - np.array([500, 501])
    np.testing.assert_allclose(joints[..., :2], (pixels * video.pixel_scale[:, None, None])[:18], rtol=1e-4, atol=1e-4)
    lifter = Echo(9, "all")
    lifter.unit, lifter.normalization = "image", "crop_scale"  # as MotionBERT's weights declare themselves
    np.testing.assert_array_equal(lift_recording(lifter, video, Running(False, "kept"))[:18], joints)
    protocol = describe_running(lifter, [video], Running(False, "kept"), False)
    assert "TRUE scale" in protocol["answers"]
    assert protocol["normalization"] == "screen"


def test_answers_in_image_units_without_a_scale(recording):
    lifter = Echo(5, "all")
    lifter.unit = "image"
    joints = lift_recording(lifter, recording, Running())[:10]
    legs = np.linalg.norm(joints[:, [2, 3, 5, 6]] - joints[:, [1, 2, 4, 5]], axis=-1)
    assert 0.2 < np.median(legs) < 0.8
    assert "ordinary size" in describe_running(lifter, [recording], Running(), False)["answers"]


def test_refinement_reads_the_true_root(h36m_files):
    """With all weight on the rays, x and y are those of the 2D joints at the predicted depth."""
    recording = read_h36m(h36m_files[0], subjects=("S9",))[0]
    refine = models.build("strided_refine", hidden=4).eval()
    nn.init.zeros_(refine.fc2.weight)
    nn.init.constant_(refine.fc2.bias, -50.0)
    lifter = Echo()
    joints = lift_recording(lifter, recording, Running(False, "zeroed"), refine)
    (fx, fy, cx, cy), depth = recording.intrinsics[:4], recording.joints[:, :1, 2] + np.where(np.arange(17) > 0, 2, 0)
    rays = (recording.keypoints - [cx, cy]) * depth[..., None] / [fx, fy]
    np.testing.assert_allclose(joints[..., :2], rays - rays[:, :1], rtol=1e-4, atol=1e-4)
    assert "TRUE" in describe_running(lifter, [recording], Running(), True)["refine"]
    blind = Recording(**(recording.__dict__ | {"intrinsics": None}))
    with pytest.raises(InputError, match="intrinsics"):
        lift_recording(lifter, blind, PLAIN, refine)


def test_as_videopose3d_runs_it(h36m_files):
    """Whole videos through the dilated network, ends repeated, mirrored copy averaged in: the same answers."""
    torch.manual_seed(0)
    lifter = models.build("tcn", widths=[3, 3], dim=8, dropout=0.0).eval()
    left, right = [4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]
    for recording in read_h36m(*h36m_files, actions=("Walking",)):
        width, height = recording.image_size
        x = recording.keypoints / width * 2 - np.array([1, height / width], np.float32)
        x = np.pad(x, ((4, 4), (0, 0), (0, 0)), "edge")
        mirrored = x * np.float32([-1, 1])
        mirrored[:, left + right] = mirrored[:, right + left]
        with torch.no_grad():
            answer, other = lifter(torch.from_numpy(np.stack([x, mirrored]))).numpy()
        other[..., 0] *= -1
        other[:, left + right] = other[:, right + left]
        ours = lift_recording(lifter, recording, Running(root="kept"))
        np.testing.assert_allclose(ours, (answer + other) / 2, atol=1e-5)


def test_unknown_choices_are_refused():
    for choice in ({"root": "moved"}, {"answers": "feet"}, {"joints": "smpl"}):
        with pytest.raises(InputError, match=next(iter(choice))):
            Running(**choice)


def evaluate(arguments):
    """The exit status of `cascadepose eval lifter` with these arguments."""
    return main(["eval", "lifter", *map(str, arguments)])


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    model = models.build("tcn", widths=[3, 3], dim=8)
    return hub.save_model(model, tmp_path / "tcn.safetensors", "tcn")


def test_command_on_every_data_set(weights, h36m_files, h36m_image_file, mpi_inf_3dhp_files, tmp_path, capsys):
    runs = {
        "P1": ["--dataset", "h36m", "--motion", h36m_files[0], "--keypoints", h36m_files[1], "--root", "kept"],
        "image": ["--dataset", "h36m", "--motion", h36m_image_file, "--answers", "image", "--leave-out-damaged"],
        "3dhp": ["--dataset", "3dhp", "--motion", mpi_inf_3dhp_files[1], "--no-flip-test"],
    }
    for name, arguments in runs.items():
        target = tmp_path / "out" / f"{name}.json"
        assert evaluate([*arguments, "--weights", weights, "--json", target]) == 0
        report, printed = json.loads(target.read_text()), capsys.readouterr().out
        metric = next(iter(report["lifter"]))
        assert f"{metric} {report['lifter'][metric]:7.2f}" in printed
        needed = {"2d_source", "frames", "flip_test", "averaging", "subjects", "refine", "root", "weights", "motion"}
        assert needed <= report["protocol"].keys()
        assert all(f"{key}: " in printed for key in needed)


def test_command_on_joints_of_another_number(humaneva_files, tmp_path, capsys):
    model = models.build("tcn", widths=[3, 3], dim=8, num_joints=15, out_joints=15)
    weights = hub.save_model(model, tmp_path / "tcn15.safetensors", "tcn")
    arguments = ["--dataset", "humaneva", "--motion", humaneva_files[0], "--keypoints", humaneva_files[1]]
    arguments += ["--subjects", "Validate/S1", "--joints", "humaneva15", "--weights", weights]
    assert evaluate(arguments) == 0
    printed = capsys.readouterr().out
    assert "Walking        S1 MPJPE" in printed
    assert "2d_source: gt" in printed


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--dataset", "h36m", "--subjects", "S2"], "no subject 'S2'"),
        (["--dataset", "h36m", "--joints", "smpl"], "joints is 'smpl'"),
        (["--dataset", "3dhp"], "no 'data'"),
        (["--dataset", "humaneva"], "needs --keypoints"),
    ],
)
def test_command_refuses_bad_input_in_one_line(arguments, message, weights, h36m_files, capsys):
    assert evaluate([*arguments, "--motion", str(h36m_files[0]), "--weights", str(weights)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
