"""Protocols against plain loops and scipy; tests/parity holds them against official outputs."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cascadepose.data.h36m import read_h36m
from cascadepose.data.humaneva import read_humaneva
from cascadepose.data.mpi_inf_3dhp import read_3dhp_test
from cascadepose.data.mpii import read_mpii_truth
from cascadepose.data.recordings import Recording, root_relative
from cascadepose.errors import InputError
from cascadepose.evaluation.h36m import score_h36m
from cascadepose.evaluation.humaneva import score_humaneva
from cascadepose.evaluation.mpi_inf_3dhp import JOINTS_14, score_3dhp
from cascadepose.evaluation.mpii import score_mpii
from cascadepose.skeletons import MPII16


def one_by_one(pred, truth):
    """P1, P2, P3 of one frame [17, 3] metres, in mm: loops, and scipy's alignment."""
    distances = [np.sqrt(((p - t) ** 2).sum()) for p, t in zip(pred, truth, strict=True)]
    x, y = pred - pred.mean(0), truth - truth.mean(0)
    turned = Rotation.align_vectors(y, x)[0].apply(x)
    aligned = (turned * y).sum() / (x * x).sum() * turned
    scaled = (pred * truth).sum() / (pred * pred).sum() * pred
    errors = [np.mean(distances)]
    errors += [
        np.mean([np.linalg.norm(p - t) for p, t in zip(a, b, strict=True)]) for a, b in ((aligned, y), (scaled, truth))
    ]
    return 1000 * np.array(errors)


class Guess:
    """Predictions near the truth: the same ones whenever asked."""

    def __init__(self, seed: int = 0, unanswered: int = 0):
        self.seed, self.unanswered = seed, unanswered

    def __call__(self, recording: Recording) -> np.ndarray:
        rng = np.random.default_rng([self.seed, len(recording.name), *recording.name.encode()])
        truth = root_relative(recording.joints, recording.skeleton)
        pred = (truth + 0.1 * rng.normal(size=truth.shape)).astype(np.float32)
        pred[len(pred) - self.unanswered :] = np.nan
        return pred


@pytest.mark.parametrize("leave_out", [False, True])
@pytest.mark.parametrize("unanswered", [0, 5])
def test_h36m(leave_out, unanswered, h36m_files):
    recordings, guess = read_h36m(*h36m_files), Guess(unanswered=unanswered)
    report = score_h36m(recordings, guess, leave_out)
    frames, speeds = {}, {}
    for recording in recordings:
        if leave_out and recording.subject == "S9" and recording.action == "Greeting":
            continue
        pred, truth = guess(recording), recording.joints - recording.joints[:, :1]
        count = len(pred) - unanswered
        errors = [one_by_one(p, t) for p, t in zip(pred[:count], truth[:count], strict=True)]
        frames.setdefault(recording.action.split()[0], []).extend(errors)
        steps = [
            1000 * np.linalg.norm((pred[i + 1] - pred[i]) - (truth[i + 1] - truth[i]), axis=-1).mean()
            for i in range(count - 1)
        ]
        speeds.setdefault(recording.action.split()[0], []).append(np.mean(steps))
    names = ("MPJPE", "P-MPJPE", "N-MPJPE")
    for action, errors in frames.items():
        assert [report["per_action"][action][n] for n in names] == pytest.approx(np.mean(errors, 0), abs=0.006)
        assert report["per_action"][action]["MPJVE"] == pytest.approx(np.mean(speeds[action]), abs=0.006)
    expected = np.mean([np.mean(errors, 0) for errors in frames.values()], 0)
    assert [report["lifter"][n] for n in names] == pytest.approx(expected, abs=0.006)
    everything = np.mean([error for errors in frames.values() for error in errors], 0)
    assert [report["frame_average"][n] for n in names] == pytest.approx(everything, abs=0.006)
    protocol = report["protocol"]
    assert protocol["frames_evaluated"] == sum(map(len, frames.values()))
    assert protocol["damaged_videos"].startswith("left out: S9 Greeting" if leave_out else "counted (4 videos")
    walks = [recording for recording in recordings if recording.action.startswith("Walking")]
    assert score_h36m(walks, guess, leave_out)["protocol"]["damaged_videos"] == "none among these"
    assert (protocol["subjects"], protocol["cameras"], protocol["actions"]) == ("S9, S11", 4, 3)


def test_the_two_averages_differ_where_actions_are_of_different_length(h36m_files):
    report = score_h36m(read_h36m(*h36m_files), Guess())
    assert report["lifter"]["MPJPE"] != report["frame_average"]["MPJPE"]


def test_3dhp(mpi_inf_3dhp_files):
    recordings, guess = read_3dhp_test(mpi_inf_3dhp_files[1]), Guess()
    report = score_3dhp(recordings, guess)
    errors = []
    for recording in recordings:
        truth, pred = recording.joints - recording.joints[:, 14:15], guess(recording)
        for frame in np.flatnonzero(recording.valid):
            errors.append([1000 * np.linalg.norm(pred[frame, j] - truth[frame, j]) for j in range(17)])
    errors = np.array(errors)
    fourteen = np.delete(errors, [14, 15, 16], 1)
    assert sorted(JOINTS_14) == list(range(14))
    for joints, values in (("14", fourteen), ("17", errors)):
        shares = [100 * np.mean(values < threshold) for threshold in range(0, 151, 5)]
        assert len(shares) == 31
        assert report["lifter"][f"PCK@150 ({joints} joints)"] == pytest.approx(shares[-1], abs=0.006)
        assert report["lifter"][f"AUC ({joints} joints)"] == pytest.approx(np.mean(shares), abs=0.006)
    assert report["lifter"]["MPJPE (17 joints)"] == pytest.approx(errors.mean(), abs=0.006)
    assert report["protocol"]["frames_evaluated"] == 6 * 8
    wrists = 100 * np.mean(errors[:, [4, 7]] < 150)
    assert report["per_joint_group"]["wrists"] == pytest.approx(wrists, abs=0.006)
    assert set(report["per_sequence"]) == {f"TS{n}" for n in range(1, 7)}


def test_3dhp_thresholds_are_strict(mpi_inf_3dhp_files):
    """A perfect prediction: nothing is below a threshold of 0, so AUC is 30 of 31."""
    report = score_3dhp(read_3dhp_test(mpi_inf_3dhp_files[1]), lambda r: root_relative(r.joints, r.skeleton))
    assert report["lifter"]["PCK@150 (14 joints)"] == 100
    assert report["lifter"]["AUC (14 joints)"] == pytest.approx(100 * 30 / 31, abs=0.006)


def test_humaneva(humaneva_files):
    recordings, guess = read_humaneva(*humaneva_files, subjects=("Validate/S1", "Validate/S2")), Guess()
    report = score_humaneva(recordings, guess)
    cells = {}
    for recording in recordings:
        errors = 1000 * np.linalg.norm(guess(recording) - (recording.joints - recording.joints[:, :1]), axis=-1).mean(
            -1
        )
        cells.setdefault((recording.action.split()[0], recording.subject[-2:]), []).extend(errors)
    for (action, subject), errors in cells.items():
        assert report["per_action"][action][subject]["MPJPE"] == pytest.approx(np.mean(errors), abs=0.006)
    assert report["lifter"]["MPJPE"] == pytest.approx(np.mean([np.mean(e) for e in cells.values()]), abs=0.006)
    assert report["protocol"]["frames_evaluated"] == len(recordings) * 9


def test_mpii(mpii_truth_file, rng):
    truth = read_mpii_truth(mpii_truth_file)
    keypoints = truth.keypoints + rng.normal(0, 12, truth.keypoints.shape)
    report = score_mpii(truth, keypoints)
    for threshold in (0.5, 0.1):
        right, counts = np.zeros(16), np.zeros(16)
        for person in range(30):
            box = truth.head_boxes_xyxy[person]
            size = 0.6 * np.hypot(box[2] - box[0], box[3] - box[1])
            for joint in range(16):
                if not truth.missing[person, joint]:
                    counts[joint] += 1
                    right[joint] += (
                        np.hypot(*(keypoints[person, joint] - truth.keypoints[person, joint])) <= threshold * size
                    )
        shares, kept = 100 * right / counts, [j for j in range(16) if j not in (6, 7)]
        ours = report[f"PCKh@{threshold:g}"]
        assert ours["mean"] == pytest.approx((shares * counts)[kept].sum() / counts[kept].sum(), abs=0.006)
        assert ours["head"] == pytest.approx(shares[9], abs=0.006)
        assert ours["wrist"] == pytest.approx((shares[10] + shares[15]) / 2, abs=0.006)
    assert MPII16.names[9] == "head_top"
    with pytest.raises(InputError, match=r"\(30, 16, 2\)"):
        score_mpii(truth, keypoints[:3])


def test_nothing_to_evaluate(h36m_files, mpi_inf_3dhp_files, humaneva_files):
    for score, recordings in (
        (score_h36m, read_h36m(*h36m_files)),
        (score_3dhp, read_3dhp_test(mpi_inf_3dhp_files[1])),
        (score_humaneva, read_humaneva(*humaneva_files, subjects=("Validate/S1",))),
    ):
        with pytest.raises(InputError, match="no frame to evaluate"):
            score(recordings, lambda r: np.full(r.joints.shape, np.nan))
        with pytest.raises(InputError, match="infinite"):
            score(recordings, lambda r: np.full(r.joints.shape, np.inf))
        with pytest.raises(InputError, match="predicted for"):
            score(recordings, lambda r: r.joints[1:])
