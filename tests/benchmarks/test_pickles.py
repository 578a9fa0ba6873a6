"""Pickled data of others: every form in which numpy writes it is read, nothing in it is run."""

import collections
import os
import pickle

import numpy as np
import pytest

from cascadepose.data.pickles import read_npz, read_pickle
from cascadepose.errors import InputError


def content(rng) -> dict:
    return {
        "S1": {"Walking 1": rng.normal(size=(5, 17, 3)).astype(np.float32)},
        "fortran": np.asfortranarray(rng.normal(size=(3, 4))),
        np.str_("key"): [np.float64(3.5), np.int32(4), True, None, (1, "two")],
        "texts": np.array(["54138969", "x"]),
        "objects": np.array(["a", None, np.arange(3)], object),
        "ordered": collections.OrderedDict(b=1, a=2),
        "empty": np.zeros((0, 3), np.uint8),
        "big_endian": np.arange(4, dtype=">f4"),
    }  # fmt: skip


def same(a, b) -> bool:
    if isinstance(b, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in b)
    if isinstance(b, np.ndarray):
        return a.shape == b.shape and a.dtype == b.dtype and all(map(same, a.ravel().tolist(), b.ravel().tolist()))
    if isinstance(b, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return a is b or a == b


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_is_read(protocol, tmp_path, rng):
    path, expected = tmp_path / "x.pkl", content(rng)
    path.write_bytes(pickle.dumps(expected, protocol))
    assert same(read_pickle(path), expected)


def test_npz_with_and_without_objects(tmp_path, rng):
    expected = content(rng)
    np.savez_compressed(tmp_path / "x.npz", positions_3d=expected, plain=np.arange(4))
    archive = read_npz(tmp_path / "x.npz")
    assert same(archive["positions_3d"], expected)
    assert same(archive["plain"], np.arange(4))


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", (0, 2, 4))
def test_nothing_is_run(protocol, tmp_path):
    target = tmp_path / "made"
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"S1": Malicious(target)}, protocol))
    np.savez(tmp_path / "x.npz", positions_3d={"S1": Malicious(target)})
    for read, name in ((read_pickle, "x.pkl"), (read_npz, "x.npz")):
        with pytest.raises(InputError, match=r"mkdir.*not loaded for safety"):
            read(tmp_path / name)
    assert not target.exists()


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(np.random.RandomState(0), id="generator"),
        pytest.param(np.zeros(2, [("a", "f4")]), id="structured"),
        pytest.param(np.zeros(2, "M8[s]"), id="times"),
        pytest.param(len, id="function"),
    ],
)
def test_other_objects_are_refused(value, tmp_path):
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"a": value}))
    with pytest.raises(InputError, match="not loaded for safety"):
        read_pickle(tmp_path / "x.pkl")


def test_state_cannot_be_set_on_what_is_called(tmp_path):
    """BUILD on the global itself: the opcodes that would change a function of ours."""
    (tmp_path / "x.pkl").write_bytes(b"cnumpy.core.multiarray\nscalar\n(dS'function'\nNsb.")
    with pytest.raises(InputError, match="state of a function"):
        read_pickle(tmp_path / "x.pkl")


def test_damage_is_one_clear_line(tmp_path, rng):
    whole = pickle.dumps(content(rng))
    (tmp_path / "cut.pkl").write_bytes(whole[:200])
    (tmp_path / "text.pkl").write_text("no pickle")
    loop: list = []
    loop.append(loop)
    (tmp_path / "loop.pkl").write_bytes(pickle.dumps(loop))
    np.savez(tmp_path / "x.npz", a=content(rng))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "x.npz").read_bytes()[:300])
    (tmp_path / "huge.pkl").write_bytes(
        b"cnumpy.core.numeric\n_frombuffer\n(I99999999999\ncnumpy\ndtype\n(S'f4'\ntR(I2\ntS'C'\ntR."
    )
    for name, read in (("cut.pkl", read_pickle), ("text.pkl", read_pickle), ("loop.pkl", read_pickle),
                       ("huge.pkl", read_pickle), ("cut.npz", read_npz), ("nowhere.npz", read_npz)):  # fmt: skip
        with pytest.raises(InputError, match="cannot be read") as caught:
            read(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
