"""The command line as a person uses it, on the real clip."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import pytest
from support import campus
from support.consumer import Consumer
from support.following_device import NEW, OLD, Desk, FollowingCamera
from support.made_once import made_once
from support.mjpeg_camera import MjpegCamera
from support.mosquitto import Mosquitto, mosquitto_path
from support.outcome import Outcome
from support.requirements import absent

Command = Callable[..., Outcome]


def run_command(*words: object, timeout_s: float = 120) -> Outcome:
    done = subprocess.run(
        [sys.executable, "-m", "edge_reid", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env=os.environ | {"COLUMNS": "200"},
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def edge_reid() -> Command:
    """Runs `edge-reid …` in a process of its own."""
    return run_command


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """The enrolment photos: crops from the first part of the clip, by person."""
    folder = made_once(tmp_path_factory, "photos", _write_photos)
    return {name: sorted(folder.glob(f"{name}-*.png")) for name in campus.ENROLLED}


def _write_photos(folder: Path) -> None:
    campus.write_photos(campus.people(*campus.ENROLLED), folder, campus.ENROLLED_BEFORE)


@pytest.fixture(scope="session")
def people(
    tmp_path_factory: pytest.TempPathFactory, photos: dict[str, list[Path]], edge_reid: Command
) -> Path:
    """A gallery with the people of the clip. Copy it before changing it."""

    def enrol(folder: Path) -> None:
        gallery = folder / "gallery.db"
        assert edge_reid("gallery", "init", gallery).code == 0
        for name, crops in photos.items():
            outcome = edge_reid("gallery", "enroll", name, *crops, "--gallery", gallery)
            assert outcome.code == 0, outcome.err

    made = made_once(tmp_path_factory, "people", enrol) / "gallery.db"
    return Path(shutil.copy(made, tmp_path_factory.mktemp("gallery")))


@pytest.fixture(scope="module")
def module_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """One Mosquitto for all tests of a file."""
    if mosquitto_path() is None:
        absent("mosquitto (Debian: apt install mosquitto; macOS: brew install mosquitto)")
    broker = Mosquitto(tmp_path_factory.mktemp("mosquitto"))
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def long_clip(short_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The short clip twenty times over: long enough to be interrupted."""

    def write(folder: Path) -> None:
        _write_repeated(short_clip, folder / "long.mp4")

    return made_once(tmp_path_factory, "long_clip", write) / "long.mp4"


def _write_repeated(short_clip: Path, path: Path) -> None:
    capture = cv2.VideoCapture(str(short_clip))
    frames = [image for _, image in iter(capture.read, (False, None))]
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (width, height))
    for frame in frames * 20:
        writer.write(frame)
    writer.release()


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `edge-reid …` and leaves it running; whatever still runs afterwards is killed."""
    running: list[subprocess.Popen[str]] = []

    def start_command(*words: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "edge_reid", *map(str, words)],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"COLUMNS": "200"},
            # who started the tests in the background had SIGINT ignored, and so would the child
            preexec_fn=_restore_interrupts,  # noqa: PLW1509 - no thread of ours runs at the fork
        )
        running.append(process)
        return process

    yield start_command
    for process in running:
        process.kill()
        process.communicate()


def _restore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def camera(short_clip: Path) -> Iterator[MjpegCamera]:
    """Shows the clip for ever."""
    capture = cv2.VideoCapture(str(short_clip))
    pictures = [image[..., ::-1] for _, image in iter(capture.read, (False, None))]
    with MjpegCamera(pictures) as camera:
        yield camera


@pytest.fixture(scope="session")
def enrolled_by_model(
    photos: dict[str, list[Path]], edge_reid: Command, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Galleries of the same person, by model; the others of the clip are strangers."""
    desk = Desk(tmp_path_factory.mktemp("desk"), "mqtt://127.0.0.1:1", edge_reid)
    name, crops = next(iter(photos.items()))
    return {model: desk.enrol(model, {name: crops}) for model in (OLD, NEW)}


@pytest.fixture(scope="module")
def somebody(photos: dict[str, list[Path]]) -> str:
    """Who is enrolled."""
    return next(iter(photos))


@pytest.fixture
def desk(tmp_path: Path, broker: Mosquitto, edge_reid: Command) -> Desk:
    folder = tmp_path / "desk"
    folder.mkdir()
    return Desk(folder, broker.url, edge_reid)


@pytest.fixture
def enrolled(enrolled_by_model: dict[str, Path], desk: Desk) -> dict[str, Path]:
    """Copies of them, as publishing one may number it anew."""
    return {
        model: Path(shutil.copy(enrolled_by_model[model], desk.folder))
        for model in enrolled_by_model
    }


@pytest.fixture
def device(
    tmp_path: Path, desk: Desk, broker: Mosquitto, camera: MjpegCamera
) -> Iterator[FollowingCamera]:
    with Consumer(broker.broker()) as consumer:
        yield FollowingCamera.set_up(tmp_path / "device", desk, camera.url, consumer)
