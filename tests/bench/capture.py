"""What it costs to read a camera, and what a library tells of it: OpenCV's FFmpeg against PyAV.

    PYTHONPATH=tests python tests/bench/capture.py [--seconds 20]

Each way runs in a process of its own, on the campus clip at 1920×1080 and 15 frames/s, a key
picture every two seconds. Prints three tables: costs (decoded as fast as possible, CPU-seconds per
second of stream), what the agent pays for it, and what comes over RTSP in real time (delay of a
picture behind its sending,
and how many damaged pictures are handed on when UDP packets get lost).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table
from support import campus
from support.decoders import decoders
from support.rtsp_camera import RtspCamera, Unit, ffmpeg_path, units_of

from edge_reid.capture.live_source import LiveSource
from edge_reid.capture.open_source import open_source
from edge_reid.core.config.source_settings import SourceSettings

FPS, LOOKS_HZ = 15, 5
READ = Path(__file__).with_name("capture_ways.py")


@dataclass(frozen=True, slots=True)
class Way:
    """How pictures are had."""

    name: str
    library: str
    threads: int = 1
    skip: str = "DEFAULT"
    to: str = "rgb"


COSTS = (
    Way("OpenCV, BGR → RGB", "cv2", 0),
    Way("OpenCV, one thread", "cv2", 1),
    Way("PyAV, every picture to RGB", "av"),
    Way("PyAV, planes as decoded", "av", to="planes"),
    Way("PyAV, planes, threads auto", "av", 0, to="planes"),
    Way("PyAV, planes, no non-reference", "av", skip="NONREF", to="planes"),
    Way("PyAV, planes, key pictures only", "av", skip="NONKEY", to="planes"),
)
STREAMS = (
    Way("OpenCV", "cv2", 0),
    Way("OpenCV, one thread", "cv2", 1),
    Way("PyAV, threads auto", "av", 0, to="planes"),
    Way("PyAV, one thread", "av", 1, to="planes"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=20, help="of each run")
    seconds = parser.parse_args().seconds
    console = Console(width=110)
    with tempfile.TemporaryDirectory() as folder:
        clips = {name: made_clip(Path(folder), name, seconds) for name in ("h264", "hevc")}
        console.print(cost_table(clips, seconds))
        units = units_of(clips["h264"].read_bytes())
        console.print(stream_table(units, seconds))
        console.print(agent_table(units, seconds))


def made_clip(folder: Path, codec: str, seconds: int) -> Path:
    path = folder / f"{codec}.{codec}"
    encoder = {"h264": "libx264", "hevc": "libx265"}[codec]
    command = [ffmpeg_path(), "-loglevel", "error", "-stream_loop", "-1", "-i", str(campus.CLIP)]
    command += ["-t", str(seconds), "-vf", f"fps={FPS},scale=1920:1080", "-c:v", encoder]
    command += ["-preset", "veryfast", "-b:v", "3M", "-bf", "0", "-g", str(2 * FPS)]
    command += {
        "h264": ["-x264-params", "aud=1:repeat-headers=1:scenecut=0:slices=4"],
        "hevc": ["-x265-params", "log-level=none:repeat-headers=1"],
    }[codec]
    subprocess.run([*command, str(path)], check=True)
    return path


def run(way: Way, uri: str, *more: str) -> dict[str, Any]:
    command = [sys.executable, str(READ), way.library, str(way.threads), way.skip, way.to, uri]
    done = subprocess.run([*command, *more], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def cost_table(clips: dict[str, Path], seconds: int) -> Table:
    table = Table("way", "codec", "CPU-s per s", "RSS MB", "pictures", title="cost")
    for way, (codec, path) in itertools.product(COSTS, clips.items()):
        got = run(way, str(path))
        cpu_s = f"{got['cpu_s'] / seconds:.3f}"
        table.add_row(way.name, codec, cpu_s, f"{got['rss_mb']:.0f}", str(got["pictures"]))
    return table


def stream_table(units: tuple[Unit, ...], seconds: int) -> Table:
    table = Table("way", "UDP loss", "delay ms, median", "p95", "pictures", title="over RTSP")
    table.add_column("damaged ones told")
    for way, loses in itertools.product(STREAMS, (0.0, 0.01)):
        with RtspCamera(
            lambda _: endless(units), loses=loses, pace_s=1 / FPS, takes_tcp=loses == 0
        ) as camera:
            got = run(way, camera.url, "udp" if loses else "tcp", str(seconds))
            delays = [
                f"{1000 * (got[key] - camera.started_s):.0f}" for key in ("median_s", "p95_s")
            ]
        table.add_row(way.name, f"{loses:.0%}", *delays, str(got["pictures"]), str(got["damaged"]))
    return table


def agent_table(units: tuple[Unit, ...], seconds: int) -> Table:
    """What the agent itself pays for a camera of which it looks at five pictures a second."""
    with (
        RtspCamera(lambda _: endless(units), pace_s=1 / FPS) as camera,
        open_source(SourceSettings(uri=camera.url)) as source,
    ):
        assert isinstance(source, LiveSource)
        (decoder,) = decoders()
        before_s, looked_s, lags_s = cpu_s(decoder), 0.0, []
        for _ in range(seconds * LOOKS_HZ):
            time.sleep(1 / LOOKS_HZ)
            start_s = time.thread_time()
            source.newest()
            looked_s += time.thread_time() - start_s
            lags_s.append(source.lag_s)
        decoder_s = (cpu_s(decoder) - before_s) / seconds
        memory = memory_mb(decoder)
    table = Table("decoder, CPU-s per s", "RGB of 5 a second", title="as the agent reads it")
    for name in ("lag ms, median", *memory):
        table.add_column(name)
    cells = (f"{decoder_s:.3f}", f"{looked_s / seconds:.3f}", f"{1000 * median(lags_s):.0f}")
    table.add_row(*cells, *(f"{value:.0f} MB" for value in memory.values()))
    return table


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> dict[str, float]:
    """Resident, and what of it is the process's own share."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    kb = {line.split(":")[0]: line.split()[-2] for line in lines[1:]}
    return {name: int(kb[name]) / 1024 for name in ("Rss", "Pss", "Private_Dirty")}


def endless(units: tuple[Unit, ...]) -> Iterator[Unit]:
    return itertools.cycle(units)


if __name__ == "__main__":
    main()
