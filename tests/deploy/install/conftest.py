"""A folder that stands for a device, and bundles for it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.device_root import DeviceRoot


@pytest.fixture(scope="session")
def pip_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """pip's own wheel, from the pip that is here."""
    folder = tmp_path_factory.mktemp("pip")
    words = ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "-d", folder]
    subprocess.run([sys.executable, *words, "pip"], check=True, capture_output=True)
    return next(folder.glob("pip-*.whl"))


@pytest.fixture
def device(tmp_path: Path, pip_wheel: Path) -> Iterator[DeviceRoot]:
    """An empty one."""
    yield from new_device(tmp_path, pip_wheel)


@pytest.fixture(scope="module")
def old_device(tmp_path_factory: pytest.TempPathFactory, pip_wheel: Path) -> Iterator[DeviceRoot]:
    """One that runs 1.0, for tests that leave it as it is."""
    for device in new_device(tmp_path_factory.mktemp("old"), pip_wheel):
        assert device.install(device.bundle("1.0")).code == 0
        yield device


def new_device(folder: Path, pip_wheel: Path) -> Iterator[DeviceRoot]:
    root = folder / "device"
    root.mkdir()
    device = DeviceRoot(root, pip_wheel, folder / "bundles")
    yield device
    device.stop()
