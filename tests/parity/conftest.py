"""Official outputs: small ones lie beside this file, large ones in the shared data folder."""

import importlib.util
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def parity():
    """The module fill.py: `fill`, `load_case`, `official_state_dict`."""
    spec = importlib.util.spec_from_file_location("parity_fill", HERE / "fill.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def oracle(parity, request):
    """oracle(name): the description and the arrays of a case; skips where the shared data is needed and missing."""

    def load(name: str):
        folder = HERE if (HERE / f"{name}.npz").exists() else request.getfixturevalue("shared") / "oracles"
        return parity.load_case(folder, name)

    return load
