"""Small files in exactly the layouts in which benchmarks are passed around; all numbers are made up."""

import pickle
from pathlib import Path

import numpy as np
import pytest

H36M_ACTIONS = ("Directions 1", "Greeting", "Walking", "Walking 1")
FRAMES = 12


def body(rng, frames, joints):
    """A random figure that wanders: [T, J, 3] metres around (0, 0, 1)."""
    still = rng.normal(0, 0.4, (1, joints, 3)) + np.array([0, 0, 1])
    return (still + 0.05 * rng.normal(size=(frames, joints, 3)).cumsum(0)).astype(np.float32)


@pytest.fixture
def h36m_files(tmp_path, rng) -> tuple[Path, Path]:
    """data_3d_h36m.npz (32 joints, world, metres) and data_2d_h36m_cpn.npz (two frames longer)."""
    positions = {s: {a: body(rng, FRAMES, 32) for a in H36M_ACTIONS} for s in ("S1", "S9", "S11")}
    positions["S11"]["Directions"] = body(rng, FRAMES, 32)
    points = {
        subject: {
            action: [rng.uniform(100, 900, (FRAMES + 2, 17, 2)).astype(np.float32) for _ in range(4)]
            for action in actions
        }
        for subject, actions in positions.items()
    }
    points["S2"] = {"Walking": [np.zeros((3, 17, 2), np.float32)] * 4}  # detections exist, motion capture does not
    symmetry = [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]
    metadata = {"layout_name": "h36m", "num_joints": 17, "keypoints_symmetry": symmetry}
    np.savez_compressed(tmp_path / "data_3d_h36m.npz", positions_3d=positions)
    np.savez_compressed(tmp_path / "data_2d_h36m_cpn.npz", positions_2d=points, metadata=metadata)
    return tmp_path / "data_3d_h36m.npz", tmp_path / "data_2d_h36m_cpn.npz"


@pytest.fixture
def h36m_image_file(tmp_path, rng) -> Path:
    """MotionBERT's pickle: two test videos, one of them damaged; no metric truth in the training split."""

    def part(sources: list[tuple[str, str, str, int]]) -> dict:
        count = sum(frames for *_, frames in sources)
        return {
            "joint_2d": rng.uniform(100, 900, (count, 17, 2)).astype(np.float32),
            "confidence": rng.random((count, 17, 1)).astype(np.float32),
            "joint3d_image": rng.uniform(100, 900, (count, 17, 3)).astype(np.float32),
            "camera_name": np.concatenate([[camera] * frames for _, camera, _, frames in sources]),
            "source": [source for source, *_, frames in sources for _ in range(frames)],
            "action": [action for *_, action, frames in sources for _ in range(frames)],
        }

    train = part([("s_01_act_02_subact_01_ca_01", "54138969", "Directions", 5)])
    test = part(
        [
            ("s_09_act_05_subact_02_ca_01", "54138969", "Greeting", 20),
            ("s_09_act_14_subact_01_ca_02", "55011271", "Walking", 21),
            ("s_11_act_02_subact_01_ca_03", "58860488", "Directions", 18),
        ]
    )
    test["2.5d_factor"] = rng.uniform(3, 5, len(test["source"])).astype(np.float32)
    test["joints_2.5d_image"] = rng.normal(0, 300, (len(test["source"]), 17, 3)).astype(np.float32)
    path = tmp_path / "h36m_sh_conf_cam_source_final.pkl"
    path.write_bytes(pickle.dumps({"train": train, "test": test}))
    return path


@pytest.fixture
def mpi_inf_3dhp_files(tmp_path, rng) -> tuple[Path, Path]:
    """data_train_3dhp.npz and data_test_3dhp.npz as P-STMO makes them."""

    def view(frames: int) -> dict:
        points = rng.uniform(0, 1000, (frames, 17, 2)).astype(np.float32)
        return {"data_2d": points, "data_3d": 1000 * body(rng, frames, 17)}

    train = {"S1 Seq1": [{"0": view(8), "4": view(8)}, 25], "S2 Seq1": [{"0": view(7)}, 50]}
    test = {f"TS{n}": view(10) | {"valid": (np.arange(10) % 4 != 3).astype(np.uint8)} for n in range(1, 7)}
    np.savez_compressed(tmp_path / "data_train_3dhp.npz", data=train)
    np.savez_compressed(tmp_path / "data_test_3dhp.npz", data=test)
    return tmp_path / "data_train_3dhp.npz", tmp_path / "data_test_3dhp.npz"


@pytest.fixture
def humaneva_files(tmp_path, rng) -> tuple[Path, Path]:
    """data_3d_humaneva15.npz and data_2d_humaneva15_gt.npz: two subjects, chunks."""
    names = ("Walking 1 chunk0", "Walking 1 chunk1", "Jog 1 chunk0")
    positions = {s: {a: body(rng, 9, 15) for a in names} for s in ("Validate/S1", "Validate/S2")}
    points = {s: {a: [rng.uniform(0, 480, (9, 15, 2)) for _ in range(3)] for a in names} for s in positions}
    np.savez_compressed(tmp_path / "data_3d_humaneva15.npz", positions_3d=positions)
    metadata = {"layout_name": "humaneva15", "num_joints": 15, "keypoints_symmetry": [[], []]}
    np.savez_compressed(tmp_path / "data_2d_humaneva15_gt.npz", positions_2d=points, metadata=metadata)
    return tmp_path / "data_3d_humaneva15.npz", tmp_path / "data_2d_humaneva15_gt.npz"


@pytest.fixture
def mpii_truth_file(tmp_path, rng) -> Path:
    """gt_valid.mat for 30 people."""
    from scipy.io import savemat

    points = rng.uniform(1, 700, (16, 2, 30))
    corner = rng.uniform(1, 500, (1, 2, 30))
    boxes = np.concatenate([corner, corner + rng.uniform(30, 80, (1, 2, 30))])
    path = tmp_path / "gt_valid.mat"
    missing = (rng.random((16, 30)) < 0.2).astype(float)
    savemat(path, {"pos_gt_src": points, "jnt_missing": missing, "headboxes_src": boxes})
    return path
