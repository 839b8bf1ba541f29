"""Fixtures that several rooms share."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
from hypothesis import settings
from support import campus
from support.made_once import made_once
from support.mosquitto import Mosquitto, mosquitto_path
from support.postgres import Postgres, pgvector_folder, postgres_folder
from support.requirements import absent
from support.temp_root import choose_temp_root

from edge_reid.core.opencv import quiet_opencv
from edge_reid.vision.runtime import available_runtimes

quiet_opencv()  # FFmpeg asks once in a process, and a test may open a clip before any of our code

settings.register_profile("busy machine", deadline=None)
settings.load_profile("busy machine")

RUNTIMES = ("litert", "tflite-runtime")
PGSERVER_EXISTS = (
    sys.platform == "linux" and platform.machine() == "x86_64" and sys.version_info < (3, 13)
)
TFLITE_RUNTIME_EXISTS = sys.platform == "linux" and sys.version_info < (3, 12)
LONGEST = (
    "e2e/test_main_job.py",
    "deploy/install/test_earlier_bundles.py",
    "deploy/install/test_install.py",
    "deploy/install/test_over_the_air.py",
    "bench/test_fleet_sim.py",
    "wire/test_bridge.py",
    "capture/test_two_streams.py",
    "e2e/test_stranger_runs.py",
    "faults/test_gallery_faults.py",
    "faults/test_sink_faults.py",
    "agent/test_live_run.py",
    "agent/test_lookers.py",
    "e2e/test_bad_input.py",
    "e2e/test_commands.py",
    "deploy/bundle/test_wheel_models.py",
    "web/test_live_page.py",
    "trainer/run/test_stopped_runs.py",
    "trainer/test_whole_job.py",
    "trainer/run/test_osnet_run.py",
    "trainer/export/test_export.py",
)
"""Files that take half a minute or more, the longest first."""


def pytest_configure() -> None:
    choose_temp_root()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files: one that begins last is waited for by every other process."""
    ranks = {Path(__file__).parent / name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[Callable[..., Mosquitto]]:
    """A function that starts a Mosquitto with the given `login`, `acl`, `tls`.

    Without the program the test is skipped, except in CI, where it fails.
    """
    if mosquitto_path() is None:
        absent("mosquitto (Debian: apt install mosquitto; macOS: brew install mosquitto)")
    started: list[Mosquitto] = []

    def make(**options: Any) -> Mosquitto:
        folder = tmp_path / f"mosquitto-{len(started)}"
        folder.mkdir()
        broker = Mosquitto(folder, **options)
        started.append(broker)
        broker.start()
        return broker

    yield make
    for broker in started:
        broker.kill()


@pytest.fixture
def broker(make_broker: Callable[..., Mosquitto]) -> Mosquitto:
    """A running Mosquitto that lets everybody in; `.url`, `.stop()`, `.kill()`, `.start()`."""
    return make_broker()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running PostgreSQL; `.new_place()`, `.crash()`, `.start()`."""
    if (programs := postgres_folder()) is None:
        absent("PostgreSQL (Debian: apt install postgresql; macOS: brew install postgresql)")
    server = Postgres(programs)
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def pgvector() -> Iterator[Postgres]:
    """A running PostgreSQL that has the extension pgvector, of the package pgserver."""
    if not PGSERVER_EXISTS:
        pytest.skip("pgserver has no package for this platform and Python (x86-64, up to 3.12)")
    if (programs := pgvector_folder()) is None:
        absent("pgserver (pip install -e '.[dev]')")
    server = Postgres(programs, is_copied=True)
    server.start()
    yield server
    server.remove()


@pytest.fixture(params=RUNTIMES)
def runtime_name(request: pytest.FixtureRequest) -> str:
    """Each runtime in turn."""
    _need(request.param)
    return request.param


@pytest.fixture
def both_runtimes() -> tuple[str, str]:
    """For tests that compare the two."""
    for name in RUNTIMES:
        _need(name)
    return RUNTIMES


def _need(name: str) -> None:
    if name == "tflite-runtime" and not TFLITE_RUNTIME_EXISTS:
        pytest.skip(
            "tflite-runtime has no package for this platform and Python (Linux, up to 3.11)"
        )
    if name == "tflite-runtime" and "tensorflow" in sys.modules:
        pytest.skip("tflite-runtime loads no model beside TensorFlow; make test runs them apart")
    assert name in available_runtimes(), f"{name} should be installed here: pip install -e '.[dev]'"


@pytest.fixture(scope="session")
def short_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first four seconds of the clip, for tests in which the video does not matter."""
    return made_once(tmp_path_factory, "short_clip", _write_short_clip) / "short.mp4"


def _write_short_clip(folder: Path) -> None:
    capture = cv2.VideoCapture(str(campus.CLIP))
    size = tuple(
        int(capture.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
    )
    writer = cv2.VideoWriter(str(folder / "short.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, size)
    for _ in range(40):
        writer.write(capture.read()[1])
    writer.release()
