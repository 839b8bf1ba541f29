"""Signs of life, as systemd hears them: real agents in processes of their own, a real socket."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.mjpeg_camera import MjpegCamera
from support.systemd_listener import Listener

from edge_reid.agent.systemd import SystemdNotifier
from edge_reid.cli.main import main

TESTS = Path(__file__).resolve().parents[1]
TIMEOUT_S = 4.0


@pytest.fixture
def manager(tmp_path: Path) -> Listener:
    return Listener(tmp_path / "notify")


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path, manager: Listener) -> Iterator[Start]:
    """Starts an agent as the unit file does, or by another program that takes its words."""
    with pytest.raises(SystemExit, match="0"):
        main(["gallery", "init", str(tmp_path / "gallery.db")])
    running: list[subprocess.Popen[str]] = []

    def start_agent(source: str, *program: str) -> subprocess.Popen[str]:
        config = tmp_path / "gate.toml"
        config.write_text(
            f'site = "lab"\ncamera = "gate"\ngallery = "gallery.db"\n'
            f'[source]\nuri = "{source}"\nstall_timeout_s = 6\n'
        )
        words = program or ("-m", "edge_reid")
        process = subprocess.Popen(
            [sys.executable, *words, "run", "--quiet", "--config", str(config)],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ
            | {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": str(int(TIMEOUT_S * 1e6))},
        )
        running.append(process)
        return process

    yield start_agent
    for process in running:
        process.kill()
        process.communicate()


def test_an_agent_is_ready_with_its_first_frame_and_says_when_it_stops(
    start: Start, manager: Listener
) -> None:
    with MjpegCamera() as camera:
        agent = start(camera.url)
        ready = manager.hear_until("STATUS=watching")
        assert ready[-1].startswith("READY=1\n") or "READY=1\n" in "".join(ready)
        assert manager.longest_silence_s(3 * TIMEOUT_S) < TIMEOUT_S
        agent.send_signal(signal.SIGTERM)
        manager.hear_until("STOPPING=1")
        assert agent.wait(10) == 0


@pytest.mark.parametrize("fault", ["never answers", "falls silent"])
def test_an_agent_whose_camera_is_away_is_alive_and_well(
    start: Start, manager: Listener, fault: str
) -> None:
    with MjpegCamera(hangs_after=10) as camera:
        camera.answers = fault != "never answers"
        agent = start(camera.url)
        manager.hear_until("STATUS=waiting for the camera")
        # through the silence, and through opening the camera anew after six seconds of it
        assert manager.longest_silence_s(3 * TIMEOUT_S) < TIMEOUT_S
        assert agent.poll() is None


def test_a_pipeline_that_hangs_gives_no_sign_of_life(start: Start, manager: Listener) -> None:
    """The camera goes on, the threads go on; the frame in hand never comes out."""
    with MjpegCamera() as camera:
        agent = start(camera.url, str(TESTS / "support" / "wedged_agent.py"), "20")
        manager.hear_until("STATUS=watching")
        manager.longest_silence_s(2 * TIMEOUT_S)
        assert manager.longest_silence_s(2 * TIMEOUT_S) >= TIMEOUT_S, "systemd would act"
        assert agent.poll() is None, "and without systemd it would hang for ever"


def test_an_abstract_socket_is_spoken_to_as_well() -> None:
    manager = Listener(Path(f"@edge-reid-test-{os.getpid()}"))
    SystemdNotifier(str(manager.path), timeout_s=2.0).beat("watching")
    assert manager.hear(1.0) == "READY=1\nWATCHDOG_USEC=2000000\nWATCHDOG=1\nSTATUS=watching"


def test_a_beat_goes_out_now_and_then_and_at_every_change(manager: Listener) -> None:
    times_s = iter((0.0, 1.9, 2.0, 2.1))
    heart = SystemdNotifier(str(manager.path), timeout_s=8.0, clock=lambda: next(times_s))
    for status in ("watching", "watching", "watching", "away"):
        heart.beat(status)
    heard = [manager.hear(0.1).splitlines()[-1] for _ in range(3)]
    assert heard == ["STATUS=watching", "STATUS=watching", "STATUS=away"]
    assert not manager.hear(0.05)


def test_a_watchdog_that_was_meant_for_another_process_is_not_ours(manager: Listener) -> None:
    environment = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_PID": "1", "WATCHDOG_USEC": "1"}
    heart = SystemdNotifier.from_environment(environment)
    for _ in range(100):
        heart.beat("watching")
    assert manager.hear(0.1)
    assert not manager.hear(0.1)


def test_that_it_is_ready_is_said_until_it_was_heard(tmp_path: Path) -> None:
    heart = SystemdNotifier(str(tmp_path / "late"), clock=iter((0.0, 60.0, 120.0)).__next__)
    heart.beat("watching")
    manager = Listener(tmp_path / "late")
    heart.beat("watching")
    heart.beat("watching")
    assert manager.hear(1.0).startswith("READY=1\n")
    assert manager.hear(1.0) == "WATCHDOG=1\nSTATUS=watching"


def test_nobody_listens(tmp_path: Path) -> None:
    SystemdNotifier(str(tmp_path / "gone")).beat("watching")
    heart = SystemdNotifier.from_environment({})
    heart.beat("watching")
    assert not heart.is_heard


def test_who_begins_anew_has_the_time_of_a_start_until_its_first_beat(manager: Listener) -> None:
    SystemdNotifier(str(manager.path), timeout_s=60.0).starting_anew()
    assert manager.hear(1.0).splitlines()[:2] == ["WATCHDOG_USEC=180000000", "WATCHDOG=1"]
    SystemdNotifier(str(manager.path), timeout_s=60.0).beat("watching")
    first = manager.hear(1.0).splitlines()
    assert first == ["READY=1", "WATCHDOG_USEC=60000000", "WATCHDOG=1", "STATUS=watching"]
    SystemdNotifier(str(manager.path)).starting_anew()
    assert manager.hear(1.0).startswith("WATCHDOG=1\n"), "nobody counts, so nobody begins to"
