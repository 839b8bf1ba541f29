"""How fast frames come of late."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest
from support.consumer import Consumer, eventually
from support.mjpeg_camera import MjpegCamera
from support.mosquitto import Mosquitto
from support.set_clock import Clock

from edge_reid.agent import camera_status_report
from edge_reid.agent.app import Outputs, run_agent
from edge_reid.agent.metrics import FrameRate
from edge_reid.cli.main import main
from edge_reid.cli.run_progress import RunScreen
from edge_reid.core.config.agent_settings import AgentSettings


def test_it_is_that_of_the_time_since_the_last_look() -> None:
    clock = Clock(50.0)
    rate = FrameRate(clock)
    told = []
    for frames in (100, 100, 150):
        clock.now_s += 10
        told.append(rate.of_late(frames))
    assert told == [10, 0, 5]


def test_a_moment_tells_nothing() -> None:
    clock = Clock(50.0)
    rate = FrameRate(clock)
    clock.now_s += 0.01
    assert rate.of_late(1) is None, "not 100 a second"
    clock.now_s += 9.99
    assert rate.of_late(100) == 10
    clock.now_s += 0.1
    assert rate.of_late(103) == 10, "what was told last"
    clock.now_s += 9.9
    assert rate.of_late(150) == 5


@pytest.mark.broker
def test_a_camera_that_has_stalled_gives_no_frames(
    broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camera_status_report, "STATUS_INTERVAL_S", 1.5)
    gallery = tmp_path / "gallery.db"
    with pytest.raises(SystemExit, match="0"):
        main(["gallery", "init", str(gallery)])
    with Consumer(broker.broker()) as consumer, MjpegCamera(hangs_after=100) as camera:
        settings = AgentSettings.model_validate(
            {
                "site": "lab",
                "camera": "gate",
                "agent": "box",
                "gallery": gallery,
                "source": {"uri": camera.url, "stall_timeout_s": 60},
                "mqtt": {"url": broker.url},
            }
        )

        def has_stalled() -> bool:
            told = consumer.payloads("/gate/status")
            return any((it["state"], it["fps"]) == ("stalled", 0) for it in told)

        def stop_when_stalled() -> None:
            try:
                eventually(has_stalled, 60)
            finally:
                os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=stop_when_stalled).start()
        with pytest.raises(KeyboardInterrupt):
            run_agent(settings, outputs=Outputs(), observers=[RunScreen(quiet=True)])
        eventually(lambda: consumer.payloads("/gate/status")[-1]["state"] == "ended")
        statuses = consumer.payloads("/gate/status")
    rates = {it["state"]: it["fps"] for it in statuses}
    assert statuses[0]["fps"] is None, "of one frame nothing can be said"
    assert max(it["fps"] or 0 for it in statuses) > 1
    assert rates["stalled"] == rates["ended"] == 0
