"""Official outputs: small ones lie beside this file, large ones in the shared data folder."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def parity():
    """The module that fills models as the official ones were: `fill`, `load_case`, `official_state_dict`."""
    from cascadepose.parity import fill

    return fill


@pytest.fixture
def oracle_folder(request):
    """oracle_folder(name): the folder that holds a case; skips where the shared data is needed and missing."""

    def find(name: str) -> Path:
        return HERE if (HERE / f"{name}.npz").exists() else request.getfixturevalue("shared") / "oracles"

    return find


@pytest.fixture
def oracle(parity, oracle_folder):
    """oracle(name): the description and the arrays of a case; skips where the shared data is needed and missing."""
    return lambda name: parity.load_case(oracle_folder(name), name)
