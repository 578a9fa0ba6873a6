"""The toy task, as fixtures."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def toy() -> ModuleType:
    """The module toy.py beside this file: Task, Config, settings, state_of, log_of, assert_same, ..."""
    spec = importlib.util.spec_from_file_location("toy_training", Path(__file__).with_name("toy.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def uninterrupted(toy, tmp_path_factory) -> Path:
    """The folder of a run of three epochs of ten steps, in one go."""
    from cascadepose.train import fit

    folder = tmp_path_factory.mktemp("uninterrupted")
    fit(toy.Task(), toy.settings(folder))
    return folder
