"""The toy task, as fixtures."""

from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def toy(module_at) -> ModuleType:
    """The module toy.py beside this file: Task, Config, settings, state_of, log_of, assert_same, ..."""
    return module_at(Path(__file__).with_name("toy.py"))


@pytest.fixture(scope="session")
def uninterrupted(toy, tmp_path_factory) -> Path:
    """The folder of a run of three epochs of ten steps, in one go."""
    from cascadepose.train import fit

    folder = tmp_path_factory.mktemp("uninterrupted")
    fit(toy.Task(), toy.settings(folder))
    return folder
