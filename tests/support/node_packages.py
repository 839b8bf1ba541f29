"""Packages of npm that tests run, where `make node-packages` has put them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "out" / "node" / "node_modules"


def node_package(name: str) -> Path:
    """The folder of a package; skips the test when it is not there, or Node.js is not."""
    package = FOLDER / name
    if shutil.which("node") is None or not package.exists():
        pytest.skip(f"{name} is not installed: make node-packages")
    return package
