"""Several live cameras on this machine: one agent for all, and an agent for each.

    PYTHONPATH=tests python tests/bench/cameras.py [--cameras 1 2 4] [--seconds 60]

Every camera is the campus clip at 1920×1080 and 15 frames a second, made by ffmpeg, looped, begun
elsewhere in it, and served over RTSP by a process of its own. Prints for each number of cameras, of
one agent and of as many agents of one camera: looks a second and camera, latency from capture to
commit (over the whole run but its first third), processor time per second of stream, and the memory
of the whole tree of processes (PSS, as processes share pages). The processor time of the servers is
not counted; they run on the same cores.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from support import campus
from support.rtsp_camera import RtspCamera, Unit, ffmpeg_path, units_of

from edge_reid.cli.main import main as edge_reid

FPS = 15
CLIP_S = 40
AGENT = Path(__file__).with_name("cameras_agent.py")
_TICKS_HZ = os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cameras", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--seconds", type=int, default=60, help="of each run")
    given = parser.parse_args()
    table = Table(title=f"{given.seconds} s each, {os.cpu_count()} cores")
    for heading in _Row.HEADINGS:
        table.add_column(heading, justify="right")
    with tempfile.TemporaryDirectory() as folder:
        stream = made_stream(Path(folder))
        for count in given.cameras:
            with cameras(stream, count) as urls:
                for agents in dict.fromkeys((1, count)):
                    row = measure(Path(folder), urls, agents=agents, seconds=given.seconds)
                    table.add_row(*row.cells)
                    print(row, file=sys.stderr)
    Console(width=140).print(table)


def made_stream(folder: Path) -> Path:
    path = folder / "stream.h264"
    command = [ffmpeg_path(), "-loglevel", "error", "-stream_loop", "-1", "-i", str(campus.CLIP)]
    command += ["-t", str(CLIP_S), "-vf", f"fps={FPS},scale=1920:1080", "-c:v", "libx264"]
    command += ["-preset", "veryfast", "-b:v", "3M", "-bf", "0", "-g", str(2 * FPS)]
    command += ["-x264-params", "aud=1:repeat-headers=1:scenecut=0:slices=1", str(path)]
    subprocess.run(command, check=True)
    return path


@contextmanager
def cameras(stream: Path, count: int) -> Iterator[list[str]]:
    """Addresses of so many cameras, each served by a process of its own."""
    context = get_context("spawn")
    with ExitStack() as stack:
        urls = []
        for number in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(stream, number, theirs), daemon=True)
            process.start()
            stack.callback(process.terminate)
            urls.append(ours.recv())
        yield urls


def _serve(stream: Path, number: int, told: Connection) -> None:
    units = units_of(stream.read_bytes())
    keys = range(0, len(units), 2 * FPS)
    first = keys[number * len(keys) // 8 % len(keys)]

    def play(_: int) -> Iterator[Unit]:
        while True:
            yield from units[first:]
            yield from units[:first]

    with RtspCamera(play, pace_s=1 / FPS) as camera:
        told.send(camera.url)
        signal.pause()


@dataclass(frozen=True)
class _Row:
    HEADINGS = (
        "cameras", "agents", "looks/s and camera", "fewest", "p50 ms", "p95 ms", "p99 ms",
        "events p95 ms", "CPU s / stream s", "PSS MB", "RSS MB",
    )  # fmt: skip

    cameras: int
    agents: int
    looks_hz: list[float]
    took_ms: list[float]
    event_ms: list[float]
    cpu: float
    pss_mb: float
    rss_mb: float

    @property
    def cells(self) -> list[str]:
        p50, p95, p99 = np.percentile(self.took_ms or [np.nan], (50, 95, 99))
        events = np.percentile(self.event_ms or [np.nan], 95)
        return [
            str(self.cameras),
            str(self.agents),
            f"{np.mean(self.looks_hz):.2f}",
            f"{min(self.looks_hz):.2f}",
            *(f"{value:.0f}" for value in (p50, p95, p99, events)),
            f"{self.cpu:.3f}",
            f"{self.pss_mb:.0f}",
            f"{self.rss_mb:.0f}",
        ]

    def __str__(self) -> str:
        return " | ".join(self.cells)


def measure(folder: Path, urls: Sequence[str], *, agents: int, seconds: int) -> _Row:
    """Run so many agents over these cameras."""
    groups = [urls] if agents == 1 else [[url] for url in urls]
    running = [_start(folder, number, group) for number, group in enumerate(groups)]
    try:
        time.sleep(seconds / 3)  # models are loaded, cameras opened, the pace found
        before_s, began_s = _cpu_s(running), time.monotonic()
        for _, log in running:
            log.write_text("")
        time.sleep(seconds * 2 / 3)
        span_s = time.monotonic() - began_s
        cpu_s, memory = _cpu_s(running) - before_s, _memory_mb(running)
        looks = [json.loads(line) for _, log in running for line in log.read_text().splitlines()]
    finally:
        for process, _ in running:
            process.send_signal(signal.SIGINT)
        for process, _ in running:
            process.wait(30)
    names = sorted({look["camera"] for look in looks})
    rates = [sum(look["camera"] == name for look in looks) / span_s for name in names]
    rates += [0.0] * (len(urls) - len(names))
    return _Row(
        len(urls),
        agents,
        rates,
        [look["ms"] for look in looks],
        [look["ms"] for look in looks if look["events"]],
        cpu_s / span_s / len(urls),
        *memory,
    )


def _start(folder: Path, number: int, urls: Sequence[str]) -> tuple[subprocess.Popen[bytes], Path]:
    config, log = folder / f"agent-{number}.toml", folder / f"agent-{number}.jsonl"
    gallery = folder / "gallery.db"
    if not gallery.exists():
        with suppress(SystemExit):
            edge_reid(["gallery", "init", str(gallery)])
    lines = ['site = "bench"', f'agent = "agent-{number}"', f'gallery = "{gallery}"']
    for camera, url in enumerate(urls):
        lines += [f"[cameras.camera-{number}-{camera}]", f'source.uri = "{url}"']
    config.write_text("\n".join(lines))
    log.write_text("")
    command = [sys.executable, str(AGENT), str(config), str(log)]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL), log


def _tree(running: Sequence[tuple[subprocess.Popen[bytes], Path]]) -> list[int]:
    """These processes and all that they have started."""
    wanted = {process.pid for process, _ in running}
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
                parents[int(entry.name)] = int(stat[1])
    while more := {pid for pid, parent in parents.items() if parent in wanted} - wanted:
        wanted |= more
    return sorted(wanted)


def _cpu_s(running: Sequence[tuple[subprocess.Popen[bytes], Path]]) -> float:
    total = 0
    for pid in _tree(running):
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / _TICKS_HZ


def _memory_mb(running: Sequence[tuple[subprocess.Popen[bytes], Path]]) -> tuple[float, float]:
    """(PSS, RSS) of the whole tree, in MB of 10⁶ bytes."""
    pss = rss = 0
    for pid in _tree(running):
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    pss += int(line.split()[1]) * 1024
                elif line.startswith("Rss:"):
                    rss += int(line.split()[1]) * 1024
    return pss / 1e6, rss / 1e6


if __name__ == "__main__":
    main()
