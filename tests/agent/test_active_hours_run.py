"""A live camera that is watched at some hours only: closed outside of them, and it says so."""

from __future__ import annotations

import os
import signal
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from support import mjpeg_camera
from support.consumer import Consumer, eventually
from support.decoders import decoders
from support.mjpeg_camera import MjpegCamera
from support.mosquitto import Mosquitto, free_port

from edge_reid.agent import camera_status_report, camera_views
from edge_reid.agent.app import Outputs, run_agent
from edge_reid.agent.watch_hours import WatchHours
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.errors import UsageError
from edge_reid.core.types import Image
from edge_reid.wire.events import rfc3339

MONDAY_S = 1_772_409_600.0
"""Midnight of Monday, 2 March 2026, in UTC."""
PATIENCE_S = 120.0


@pytest.fixture
def at_h(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The hour on the device's wall on that Monday, which a test may set; the clock is UTC's."""
    now_h = [5.0]
    monkeypatch.setattr(
        camera_views,
        "WatchHours",
        lambda lines: WatchHours(lines, clock=lambda: MONDAY_S + now_h[0] * 3600),
    )
    monkeypatch.setattr(camera_status_report, "STATUS_INTERVAL_S", 1.5)
    monkeypatch.setattr(mjpeg_camera, "PERIOD_S", 0.1)
    monkeypatch.setenv("TZ", "UTC0")
    time.tzset()
    yield now_h
    monkeypatch.undo()
    time.tzset()


def settings(gallery: Path, uri: str, **more: object) -> AgentSettings:
    camera = {
        "source": {"uri": uri, "stall_timeout_s": 600.0},
        "active": ["mon-fri 07:00-19:00"],
    }
    table = {"site": "lab", "agent": "device", "gallery": gallery, "cameras": {"gate": camera}}
    return AgentSettings.model_validate(table | more)


def run_while(agent: AgentSettings, watch: Callable[[], None]) -> None:
    """Run it until whoever watches it is done, then press Ctrl-C."""
    failed: list[BaseException] = []

    def watch_and_stop() -> None:
        try:
            watch()
        except BaseException as error:
            failed.append(error)
        os.kill(os.getpid(), signal.SIGINT)

    watching = threading.Thread(target=watch_and_stop)
    watching.start()
    with pytest.raises(KeyboardInterrupt):
        run_agent(agent, outputs=Outputs())
    watching.join()
    if failed:
        raise failed[0]


@pytest.mark.broker
def test_outside_of_its_hours_a_camera_is_not_even_opened(
    gallery: Path, broker: Mosquitto, at_h: list[float], crowd: tuple[Image, ...]
) -> None:
    with MjpegCamera(crowd) as camera, Consumer(broker.broker()) as told:
        eventually(lambda: told.is_subscribed)

        def state() -> dict[str, object]:
            return (told.payloads("/gate/status") or [{"state": None}])[-1]

        def kinds() -> list[str]:
            events = [*told.payloads("/gate/unknown"), *told.payloads("/gate/hit")]
            return [event["type"] for event in events]

        def brief() -> list[str]:
            status = told.payloads("/agents/device/status")[-1]
            return [each["state"] for each in status["camera_states"]]

        def watch() -> None:
            eventually(lambda: state()["state"] == "inactive", PATIENCE_S)
            asleep = state()
            assert asleep["inactive_until"] == rfc3339(MONDAY_S + 7 * 3600)
            assert (asleep["fault"], asleep["reason"], asleep["persons_in_view"]) == (None,) * 3
            assert (camera.connections, decoders()) == (0, [])
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=60) as answer:
                assert answer.status == 200, "it does what it is there for: nothing, now"
            at_h[0] = 8.0
            eventually(lambda: state()["state"] == "running", PATIENCE_S)
            assert state()["inactive_until"] is None
            eventually(lambda: "new" in kinds(), PATIENCE_S)
            assert (camera.connections, len(decoders())) == (1, 1)
            at_h[0] = 20.0
            eventually(lambda: state()["state"] == "inactive", PATIENCE_S)
            assert state()["inactive_until"] == rfc3339(MONDAY_S + 31 * 3600)
            eventually(lambda: decoders() == [], PATIENCE_S)
            eventually(lambda: kinds().count("end") == kinds().count("new"), PATIENCE_S)
            eventually(lambda: brief() == ["inactive"], PATIENCE_S)
            at_h[0] = 24.0 + 12.0
            eventually(lambda: state()["state"] == "running", PATIENCE_S)

        port = free_port()
        metrics = {"listen": f"127.0.0.1:{port}"}
        run_while(settings(gallery, camera.url, mqtt={"url": broker.url}, metrics=metrics), watch)
        seen = {(each["state"], each["fault"]) for each in told.payloads("/gate/status")}
        opening = {("starting", None), ("starting", "no-picture")}
        assert seen - opening == {("inactive", None), ("running", None), ("ended", None)}


def test_a_film_cannot_begin_while_the_camera_is_closed(
    gallery: Path, tmp_path: Path, at_h: list[float]
) -> None:
    assert at_h == [5.0]
    with MjpegCamera() as camera, pytest.raises(UsageError, match="watched now, got gate; start"):
        run_agent(settings(gallery, camera.url), outputs=Outputs(annotate=tmp_path / "gate.webm"))
    assert camera.connections == 0


def test_a_recording_is_watched_whole(gallery: Path, tmp_path: Path, at_h: list[float]) -> None:
    assert at_h == [5.0]
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((120, 160, 3), 99, np.uint8))
    assert run_agent(settings(gallery, str(folder)), outputs=Outputs()).frames == 3
