"""The command line, run in this process; our own wheel, built once."""

from pathlib import Path

import pytest
from support import installed_wheels
from support.in_process import edge_reid  # noqa: F401 - a fixture
from support.made_once import made_once


@pytest.fixture(scope="session")
def whole_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With all shipped models in it; to be looked at."""
    folder = made_once(tmp_path_factory, "whole-wheel", installed_wheels.build)
    return next(folder.glob("*.whl"))
