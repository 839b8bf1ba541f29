"""A folder that stands for a device, and bundles for it."""

from __future__ import annotations

import py_compile
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.device_root import DeviceRoot
from support.made_once import made_once


@pytest.fixture(scope="session")
def pip_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """pip's own wheel, with its bytecode: a third of the time, whenever an installer runs it."""
    return next(made_once(tmp_path_factory, "pip", _bring_pip).glob("pip-*.whl"))


def _bring_pip(folder: Path) -> None:
    fetched = folder / "fetched"
    words = ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "-d", fetched]
    subprocess.run([sys.executable, *words, "pip"], check=True, capture_output=True)
    wheel = next(fetched.glob("pip-*.whl"))
    with (
        zipfile.ZipFile(wheel) as source,
        zipfile.ZipFile(folder / wheel.name, "w", zipfile.ZIP_DEFLATED) as out,
    ):
        source.extractall(folder / "unpacked")
        for name in source.namelist():
            out.write(folder / "unpacked" / name, name)
            if name.endswith(".py"):
                out.write(_compiled(folder / "unpacked" / name), f"{name}c")


def _compiled(file: Path) -> Path:
    """Bytecode that is taken as it is, from beside its source, as Python looks for it in a zip."""
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    bytecode = py_compile.compile(
        str(file), str(file.with_suffix(".pyc")), doraise=True, invalidation_mode=mode
    )
    assert bytecode is not None
    return Path(bytecode)


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
