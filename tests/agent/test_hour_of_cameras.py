"""Four live cameras for an hour, in which people come and go: nothing grows."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from support import campus
from support.growth import Growth, descriptors, own_mb, threads, watched
from support.looped_cameras import looped_cameras, looped_stream
from support.mosquitto import Mosquitto, free_port
from support.process_tree import holding, process_tree

from edge_reid.cli.main import main

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

HOUR_S = 3600
WARM_UP_SHARE = 1 / 6
LOOKED_EVERY_S = 5
MOST_GROWTH_MB = 5.0
CAMERAS, FPS, LOOKS_HZ = 4, 10, 3
PATIENCE_S = 600


class RunningAgent:
    """An agent in a process of its own, as a device runs it, and its metrics and page."""

    def __init__(self, folder: Path, urls: Sequence[str], broker: Mosquitto) -> None:
        self._said = folder / "said"
        self._metrics, self._page = free_port(), free_port()
        config = folder / "agent.toml"
        config.write_text(self._settings(folder, urls, broker))
        command = [sys.executable, "-m", "edge_reid", "run", "--quiet", "--config", str(config)]
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(command, stdout=said, stderr=said)
        self.pid = self._process.pid

    def _settings(self, folder: Path, urls: Sequence[str], broker: Mosquitto) -> str:
        lines = ['site = "lab"', 'agent = "device"', f'gallery = "{enrolled(folder)}"']
        lines += [f'mqtt.url = "{broker.url}"', "strangers.keep_s = 600"]
        lines += [f'metrics.listen = "127.0.0.1:{self._metrics}"']
        lines += [f'web.listen = "127.0.0.1:{self._page}"', "web.crops_memory_s = 240"]
        lines += [f"detect.rate_hz = {LOOKS_HZ}", "embed.min_height_px = 32"]
        lines += [
            f'cameras.camera-{number}.source.uri = "{url}"' for number, url in enumerate(urls)
        ]
        return "\n".join(lines)

    def count(self, name: str) -> int:
        """The sum of a counter over all cameras; 0 before the agent answers."""
        try:
            families = text_string_to_metric_families(ask(self._metrics, "/metrics"))
        except OSError:
            assert self._process.poll() is None, self._said.read_text()
            return 0
        samples = [sample for family in families for sample in family.samples]
        return round(sum(each.value for each in samples if each.name == f"edge_reid_{name}_total"))

    def visit(self) -> None:
        """Ask for metrics and page, as those who watch a device do, and on a busy one in vain."""
        with suppress(TimeoutError):
            ask(self._metrics, "/metrics")
            ask(self._page, "/")

    def stop(self) -> None:
        """As systemd does it."""
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(PATIENCE_S) == 0, self._said.read_text()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def running_agent(folder: Path, urls: Sequence[str], broker: Mosquitto) -> Iterator[RunningAgent]:
    agent = RunningAgent(folder, urls, broker)
    try:
        yield agent
    finally:
        agent.kill()


def enrolled(folder: Path) -> Path:
    gallery = folder / "gallery.db"
    people = campus.write_photos(campus.people(*campus.ENROLLED), folder / "photos")
    with pytest.raises(SystemExit, match="0"):
        main(["gallery", "init", str(gallery)])
    for identity, photos in people.items():
        words = ["gallery", "enroll", identity, *map(str, photos), "--gallery", str(gallery)]
        with pytest.raises(SystemExit, match="0"):
            main(words)
    return gallery


def ask(port: int, path: str) -> str:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read().decode()
        assert answer.status == 200, text
        return text
    finally:
        connection.close()


@pytest.mark.broker
@pytest.mark.soak
@pytest.mark.timeout(2 * HOUR_S)
@pytest.mark.parametrize("seconds", [HOUR_S])
def test_an_hour_of_four_cameras_makes_nothing_grow(
    seconds: int, broker: Mosquitto, tmp_path: Path
) -> None:
    stream = looped_stream(tmp_path / "stream.h264", size_px=(640, 360), fps=FPS, bit_rate="600k")
    with (
        looped_cameras(stream, CAMERAS) as cameras,
        running_agent(tmp_path, [camera.url for camera in cameras], broker) as agent,
    ):
        await_looks(agent)
        time.sleep(seconds * WARM_UP_SHARE)
        looks, tracks = agent.count("detector_runs"), agent.count("tracks")
        rest_s = seconds * (1 - WARM_UP_SHARE)
        end_s = time.monotonic() + rest_s
        growth = watched(
            agent.pid,
            lambda: time.monotonic() < end_s,
            every_s=LOOKED_EVERY_S,
            meanwhile=agent.visit,
        )
        looks, tracks = agent.count("detector_runs") - looks, agent.count("tracks") - tracks
        family = process_tree(agent.pid)
        agent.stop()
        assert [pid for pid in family if holding(pid)] == [], "somebody stays behind"
    print(f"{looks} looks, {tracks} tracks; restarted: {len(growth.series) - CAMERAS - 1}")
    assert looks > rest_s / 3, "it looked too seldom to have shown anything"
    assert tracks > CAMERAS * rest_s / 60, "too few people came and went"
    assert_nothing_grew(growth, agent.pid, rest_s)


def await_looks(agent: RunningAgent) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while agent.count("detector_runs") < CAMERAS:
        assert time.monotonic() < deadline_s, "it never looked"
        time.sleep(0.5)


def assert_nothing_grew(growth: Growth, agent: int, seconds: float) -> None:
    assert np.median(growth.counts) == CAMERAS + 1, "a decoder each"
    assert max(growth.counts) <= 2 * CAMERAS + 1
    judged = growth.long_lived(seconds / 3)
    assert agent in judged
    for pid, series in judged.items():
        print("agent" if pid == agent else "decoder", series)
    for series in judged.values():
        assert series.gained(own_mb) < MOST_GROWTH_MB, series
        assert series.stepped(descriptors) <= 0, series
        assert series.stepped(threads) <= 0, series
