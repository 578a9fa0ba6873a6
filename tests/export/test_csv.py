"""The tidy table gives the joints back, and says what a joint does not have."""

import sys

import numpy as np
import pytest

from cascadepose.errors import InputError
from cascadepose.export.csv import COLUMNS, columns
from cascadepose.skeletons import COCO17, H36M17


def test_joints_come_back(make_walkers, readers, tmp_path):
    result = make_walkers(people=2, frames=20)
    (path,) = result.save(tmp_path / "poses.csv")
    rows = readers.read_csv(path)
    assert tuple(rows[0]) == COLUMNS
    both = len({*COCO17.names, *H36M17.names})
    assert len(rows) == 2 * 20 * both == 2 * 20 * 21
    assert len({(row["track_id"], row["frame"], row["joint"]) for row in rows}) == len(rows)
    by_key = {(row["track_id"], row["frame"], row["joint"]): row for row in rows}
    for track in result:
        for t, frame in enumerate(track.frame_index):
            for k, name in enumerate(COCO17.names):
                row = by_key[track.track_id, frame, name]
                np.testing.assert_allclose([row["x_px"], row["y_px"]], track.keypoints[t, k], atol=0.006)
                np.testing.assert_allclose([row["sigma_x_px"], row["sigma_y_px"]], track.sigma[t, k], atol=0.006)
                assert row["score"] == pytest.approx(track.scores[t, k], abs=6e-5)
                assert row["observed"] == track.observed[t] and row["time_s"] == pytest.approx(track.timestamp[t])
            for j, name in enumerate(H36M17.names):
                row = by_key[track.track_id, frame, name]
                np.testing.assert_allclose([row["x_m"], row["y_m"], row["z_m"]], track.poses3d.joints[t, j], atol=6e-5)
                assert row["measured"] == track.poses3d.measured[j] and row["joints_frame"] == "camera"
    assert by_key[1, 3, "left_eye"]["x_m"] is None and by_key[1, 3, "pelvis"]["x_px"] is None


def test_without_3d_and_without_people(make_walkers, readers, tmp_path):
    (path,) = make_walkers(frames=2, lifted=False).save(tmp_path / "flat.csv")
    rows = readers.read_csv(path)
    assert len(rows) == 34 and {row["x_m"] for row in rows} == {None} and {row["joints_frame"] for row in rows} == {""}
    (path,) = make_walkers(people=0).save(tmp_path / "nobody.csv")
    assert path.read_text() == ",".join(COLUMNS) + "\n"


def test_pandas_frame(make_walkers):
    pandas = pytest.importorskip("pandas")
    result = make_walkers(people=2, frames=5)
    frame = result.to_frame()
    assert isinstance(frame, pandas.DataFrame) and tuple(frame.columns) == COLUMNS and len(frame) == 2 * 5 * 21
    knees = frame[(frame.joint == "left_knee") & (frame.track_id == 2)]
    found = knees[["x_m", "y_m", "z_m"]].to_numpy()
    np.testing.assert_array_equal(found, result.tracks[1].poses3d.joints[:, H36M17.index("left_knee")])
    assert [frame.dtypes[name].kind for name in ("observed", "frame", "x_m")] == ["b", "i", "f"]


def test_frame_is_made_of_the_columns(make_walkers, monkeypatch):
    """Without pandas installed: what it would be given, and what is said."""
    result = make_walkers(frames=3)
    stand_in = type("pandas", (), {"DataFrame": staticmethod(lambda table: table)})
    monkeypatch.setitem(sys.modules, "pandas", stand_in)
    table = result.to_frame()
    assert all((table[name] == column)[column == column].all() for name, column in columns(result).items())
    assert [table[name].dtype.kind for name in ("track_id", "x_m", "observed", "joint")] == ["i", "f", "b", "O"]
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match=r"cascadepose\[pandas\]"):
        result.to_frame()
