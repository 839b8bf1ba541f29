"""What the worst that can be done to the page costs the frames, and the memory.

    PYTHONPATH=.:tests nice -n -5 python tests/bench/page_storm.py [--seconds 30] [--rounds 3]

An agent with its page runs in this process, on a live camera that shows the campus clip. Camera and
attackers are processes of their own, which are nice: what is measured is not who gets the cores.
Calm and each attack take turns. Prints for each the p50, p95 and p99 of how long a frame takes
through all stages to its commit, of how old it is by then, and the resident memory at its end.

| attack | what it is |
|---|---|
| watchers | 32 streams of pictures, the most that are let in, read as fast as they come |
| storm | 200 connections that stay open: streams read a byte a second, half a request, nothing |
| flood | connections opened and closed as fast as it goes, with requests and with nonsense |
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from support import campus, mjpeg_camera
from support.mjpeg_camera import MjpegCamera
from support.page_agent import walkers

from edge_reid.agent.app import Outputs, run_agent
from edge_reid.agent.pipeline import Step
from edge_reid.agent.watched_camera import Turn, WatchedCamera
from edge_reid.cli.main import main as edge_reid
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.web.connection_limits import MOST_STREAMS
from edge_reid.web.live_page import LivePage

SETTLE_S = 2.0
WARM_UP_S = 10.0
STREAM = b"GET /cameras/gate/live.mjpeg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
EVENTS = b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

begin, finish = WatchedCamera.begin, WatchedCamera.finish


@dataclass
class Looks:
    """How long frames took while something was done to the page; by attack."""

    now: str = ""
    began_s: float = 0.0
    """When the frame in hand was begun; there is one camera."""
    took_ms: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    aged_ms: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    memory_mb: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def begun(self, camera: WatchedCamera, turn: Turn) -> Turn:
        self.began_s = time.perf_counter()
        return begin(camera, turn)

    def finished(self, camera: WatchedCamera, turn: Turn, step: Step) -> None:
        finish(camera, turn, step)
        if self.now:
            self.took_ms[self.now].append((time.perf_counter() - self.began_s) * 1e3)
            self.aged_ms[self.now].append(camera.frames.age_s(step.frame) * 1e3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each turn")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each")
    given = parser.parse_args()
    looks = Looks()

    def begun(camera: WatchedCamera, turn: Turn) -> Turn:
        return looks.begun(camera, turn)

    def finished(camera: WatchedCamera, turn: Turn, step: Step) -> None:
        looks.finished(camera, turn, step)

    WatchedCamera.begin = begun  # type: ignore[method-assign]
    WatchedCamera.finish = finished  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder, beside(serve_camera) as camera:
        settings = settings_for(enrolled(Path(folder)), camera.recv())
        assert settings.web is not None
        with LivePage(settings, settings.web) as page:
            port = int(page.url.rsplit(":", 1)[1].strip("/"))
            turns = threading.Thread(
                target=take_turns, args=(looks, port, given.seconds, given.rounds), daemon=True
            )
            turns.start()
            with suppress(KeyboardInterrupt):
                run_agent(settings, outputs=Outputs(), observers=[page])
    report(looks, given.seconds * given.rounds)


def take_turns(looks: Looks, port: int, seconds: float, rounds: int) -> None:
    time.sleep(WARM_UP_S)
    for number in range(rounds):
        for name, attack in ATTACKS.items():
            print(f"round {number + 1} of {rounds}: {name}", file=sys.stderr)
            with beside(attack, port) if attack else ExitStack():
                time.sleep(SETTLE_S)
                looks.now = name
                time.sleep(seconds)
                looks.now = ""
                looks.memory_mb[name].append(resident_mb())
            time.sleep(SETTLE_S)
    os.kill(os.getpid(), signal.SIGINT)


@contextmanager
def beside(work: Callable[..., None], *words: object) -> Iterator[Connection]:
    """Work in a process of its own, from `with` on; yields the pipe to it."""
    ours, theirs = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=work, args=(theirs, *words), daemon=True)
    process.start()
    try:
        yield ours
    finally:
        process.kill()
        process.join()


def serve_camera(pipe: Connection) -> None:
    os.nice(5)
    mjpeg_camera.PERIOD_S = 0.1
    with MjpegCamera(walkers(frames=200)) as camera:
        pipe.send(camera.url)
        threading.Event().wait()


def watch(_: Connection, port: int) -> None:
    os.nice(10)
    readers = [connected(port, STREAM) for _ in range(MOST_STREAMS)]
    for reader in readers:
        threading.Thread(target=read_all, args=(reader,), daemon=True).start()
    threading.Event().wait()


def read_all(reader: socket.socket) -> None:
    with suppress(OSError):
        while reader.recv(1 << 16):
            pass


def storm(_: Connection, port: int) -> None:
    """Who is let go comes again."""
    os.nice(10)
    questions = (STREAM, EVENTS, STREAM[:-2], b"")
    rude = {number: questions[number % 4] for number in range(200)}
    held: dict[int, socket.socket] = {}
    while True:
        for number, question in rude.items():
            if number in held and not is_gone(held[number]):
                continue
            with suppress(OSError):
                held[number] = connected(port, question)
        time.sleep(1)


def is_gone(connection: socket.socket) -> bool:
    """Whether the other side has closed it; one byte is read."""
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def flood(_: Connection, port: int) -> None:
    os.nice(10)
    page, long = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"GET /" + b"a" * 9000
    questions = (page, b"\x00" * 4096, long)
    while True:
        for question in questions:
            with suppress(OSError), connected(port, question) as connection:
                connection.recv(100)


def connected(port: int, question: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=5)
    connection.sendall(question)
    return connection


ATTACKS = {"calm": None, "watchers": watch, "storm": storm, "flood": flood}


def enrolled(folder: Path) -> Path:
    gallery = folder / "gallery.db"
    photos = campus.write_photos(campus.people(*campus.ENROLLED), folder, campus.ENROLLED_BEFORE)
    run("gallery", "init", gallery)
    for name, files in photos.items():
        run("gallery", "enroll", name, *files, "--gallery", gallery)
    return gallery


def run(*words: object) -> None:
    with suppress(SystemExit):
        edge_reid([str(word) for word in words])


def settings_for(gallery: Path, camera_url: str) -> AgentSettings:
    return AgentSettings.model_validate(
        {
            "site": "lab",
            "agent": "device",
            "gallery": gallery,
            "cameras": {"gate": {"source": {"uri": camera_url}}},
            "web": {"listen": "127.0.0.1:0"},
        }
    )


def resident_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    (size_kb,) = (int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
    return size_kb / 1024


def report(looks: Looks, seconds: float) -> None:
    load = "/".join(f"{one:.1f}" for one in os.getloadavg())
    table = Table(title=f"{seconds:g} s each, {os.cpu_count()} cores, load {load}")
    takes, age = "takes p50 / p95 / p99 ms", "age p50 / p95 / p99 ms"
    for heading in ("", "looks", takes, "p99 against calm", age, "MB"):
        table.add_column(heading, justify="right")
    calm_ms = float(np.percentile(looks.took_ms["calm"], 99))
    for name, took_ms in looks.took_ms.items():
        growth = float(np.percentile(took_ms, 99)) / calm_ms - 1
        table.add_row(
            name,
            str(len(took_ms)),
            percentiles(took_ms),
            f"{growth:+.1%}",
            percentiles(looks.aged_ms[name]),
            " ".join(f"{size:.0f}" for size in looks.memory_mb[name]),
        )
    Console(width=140).print(table)


def percentiles(values: list[float]) -> str:
    return " / ".join(f"{one:.1f}" for one in np.percentile(values, [50, 95, 99]))


if __name__ == "__main__":
    main()
