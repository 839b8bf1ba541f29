"""What each stage of a frame's path costs, of a live camera with one stream and with two.

    PYTHONPATH=tests python tests/bench/stages.py [--seconds 40] [--ways one-people two-nobody …]

A camera serves the campus clip at 1920×1080 (3 Mbit/s) and 640×360 (0.4), 15 frames a second, in
step, over RTSP, looped; of "nobody" it serves the empty scene with a little noise. One agent looks
at it, with one thread for inference and one for OpenCV. After a warm-up, in which models are loaded
and a large stream not wanted is closed, it prints processor time in milliseconds per second of
stream, by stage: in the agent, and in its decoders. A stage is without those inside it; "not
metered" is what a process used besides: other threads, the loop, the interpreter. Then the crops:
how many a second, how high, how soon the first of a track. The servers run on the same cores and
are not counted.
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
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import numpy as np
from stages_agent import BENCH
from support import campus
from support.rtsp_camera import Unit, ffmpeg_path, units_of
from support.twin_streams import TwinStreams

from edge_reid.cli.main import main as edge_reid
from edge_reid.core.bundled_models import DETECTOR, shipped_model
from edge_reid.core.opencv import to_rgb
from edge_reid.diagnostics.benchmark import describe_machine
from edge_reid.vision.crops import cut
from edge_reid.vision.detect import load_detector

FPS = 15
CLIP_S = 20
WARM_UP_S = 14.0

SIZES = {"large": ("1920x1080", "3M"), "small": ("640x360", "400k")}
WAYS = ("one-nobody", "two-nobody", "one-people", "two-people")
AGENT = Path(__file__).with_name("stages_agent.py")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=40, help="of each way, after the warm-up")
    parser.add_argument("--streams", type=Path, help="folder in which they are kept for later runs")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    given = parser.parse_args()
    found: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for way in given.ways:
            streams, scene = way.split("-")
            paths = [made_stream(given.streams or folder, scene, size) for size in SIZES]
            with camera(*paths) as (large, small):
                urls = (large, small) if streams == "two" else (large,)
                found[way] = measure(folder / way, urls, given.seconds)
    print(f"{describe_machine()}; load {os.getloadavg()[0]:.1f} at the end\n")
    show_stages(found)
    show_crops(found)


@dataclass(frozen=True)
class Figures:
    """Of one way, over its time after the warm-up."""

    stages_ms: dict[str, dict[str, float]]
    """Processor time per second of stream, by process and stage."""
    looks_hz: float
    crops: list[dict[str, float]]
    seconds: float

    def total_ms(self, process: str | None = None) -> float:
        chosen = [process] if process else list(self.stages_ms)
        return sum(sum(self.stages_ms[name].values()) for name in chosen)


def made_stream(folder: Path, scene: str, size: str) -> Path:
    """H.264 of a scene in one size."""
    path = folder / f"{scene}-{size}.h264"
    if path.exists():
        return path
    pixels, rate = SIZES[size]
    shown = ["-stream_loop", "-1", "-i", str(campus.CLIP)]
    noise = ""
    if scene == "nobody":
        shown, noise = ["-loop", "1", "-i", str(empty_scene(folder))], ",noise=alls=3:allf=t"
    command = [ffmpeg_path(), "-loglevel", "error", *shown, "-t", str(CLIP_S)]
    command += ["-vf", f"fps={FPS},scale={pixels.replace('x', ':')}{noise}", "-c:v", "libx264"]
    command += ["-preset", "veryfast", "-b:v", rate, "-bf", "0", "-g", str(2 * FPS)]
    command += ["-pix_fmt", "yuv420p"]
    command += ["-x264-params", "aud=1:repeat-headers=1:scenecut=0:slices=1", str(path)]
    subprocess.run(command, check=True)
    return path


def empty_scene(folder: Path) -> Path:
    """What is behind the people."""
    path = folder / "empty.png"
    capture = cv2.VideoCapture(str(campus.CLIP))
    pictures = []
    for number in range(campus.FRAMES):
        if not capture.grab():
            break
        if number % 20 == 0:
            pictures.append(capture.retrieve()[1])
    picture = np.median(pictures, axis=0).astype(np.uint8)
    detector = load_detector(shipped_model(DETECTOR))
    large = to_rgb(cv2.resize(picture, (1920, 1080)))
    while found := detector.detect(large):  # whatever is taken for somebody is blurred
        for each in found:
            cut(large, each.box)[:] = cv2.blur(cut(large, each.box), (61, 61))
    cv2.imwrite(str(path), cv2.cvtColor(large, cv2.COLOR_RGB2BGR))
    return path


@contextmanager
def camera(large: Path, small: Path) -> Iterator[tuple[str, str]]:
    """The addresses of both streams, served by a process of its own."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(large, small, theirs), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.terminate()


def _serve(large: Path, small: Path, told: Connection) -> None:
    pictures: list[Sequence[Unit]] = [units_of(path.read_bytes()) for path in (large, small)]
    with TwinStreams(*pictures, fps=FPS) as served:
        told.send((served.large.url, served.small.url))
        signal.pause()


def measure(folder: Path, urls: Sequence[str], seconds: float) -> Figures:
    """Run an agent at these streams of one camera."""
    folder.mkdir()
    config, gallery = folder / "agent.toml", folder / "gallery.db"
    with suppress(SystemExit):
        edge_reid(["gallery", "init", str(gallery)])
    lines = ['site = "bench"', 'camera = "gate"', f'gallery = "{gallery}"', "models.threads = 1"]
    lines += [
        f'source.{key} = "{url}"' for key, url in zip(("uri", "detect_uri"), urls, strict=False)
    ]
    config.write_text("\n".join(lines))
    command = [sys.executable, str(AGENT), str(config), str(folder)]
    agent = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while not (folder / "agent.json").exists():
            if agent.poll() is not None:
                raise SystemExit(f"the agent has ended with {agent.returncode}")
            time.sleep(0.1)
        time.sleep(WARM_UP_S)
        before, began_s = _used(folder), time.monotonic()
        skipped = len(_crops(folder))
        time.sleep(seconds)
        after, span_s = _used(folder), time.monotonic() - began_s
    finally:
        agent.send_signal(signal.SIGINT)
        agent.wait(30)
    looks = after["agent"].pop("looks") - before["agent"].pop("looks")
    stages = {
        process: _per_second(before.get(process, Counter()), used, span_s)
        for process, used in after.items()
    }
    return Figures(stages, looks / span_s, _crops(folder)[skipped:], span_s)


def _used(folder: Path) -> dict[str, Counter[str]]:
    """Processor time so far, by process and stage; that of the whole process under no name."""
    used = {"agent": Counter(json.loads((folder / "agent.json").read_text()))}
    used["decoders"] = Counter()
    for path in folder.glob("decoder-*.json"):
        used["decoders"].update(json.loads(path.read_text().strip() or "{}"))
    return used


def _per_second(before: Counter[str], after: Counter[str], span_s: float) -> dict[str, float]:
    ms = {name: (after[name] - before[name]) * 1e3 / span_s for name in after}
    whole_ms = ms.pop("") - ms.pop(BENCH, 0.0)
    return ms | {"not metered": whole_ms - sum(ms.values())}


def _crops(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "crops.jsonl").read_text().splitlines()]


def show_stages(found: dict[str, Figures]) -> None:
    """Processor time, as a table in Markdown; the dearest stage of the last way first."""
    rows = []
    for process in ("agent", "decoders"):
        names = {name for each in found.values() for name in each.stages_ms[process]}
        last = next(reversed(found.values())).stages_ms[process]
        for name in sorted(names, key=lambda name: -last.get(name, 0.0)):
            values = [each.stages_ms[process].get(name, 0.0) for each in found.values()]
            rows.append([f"{process}: {name}", *(f"{value:.1f}" for value in values)])
        totals = (f"{each.total_ms(process):.1f}" for each in found.values())
        rows.append([f"**{process}**", *totals])
    rows.append(["**all**", *(f"{each.total_ms():.1f}" for each in found.values())])
    _print_table(["ms of processor per s of stream", *found], rows)


def show_crops(found: dict[str, Figures]) -> None:
    """Looks and crops, as a table in Markdown."""
    rows: dict[str, list[str]] = {
        "looks a second": [f"{each.looks_hz:.2f}" for each in found.values()],
        "crops a second": [f"{len(each.crops) / each.seconds:.2f}" for each in found.values()],
    }
    for title, key, percent in (
        ("height, median px", "height", 50),
        ("height, lowest tenth px", "height", 10),
        ("quality, median", "quality", 50),
        ("from the large stream, share", "is_enlarged", None),
    ):
        rows[title] = [
            _figure([crop[key] for crop in each.crops], percent) for each in found.values()
        ]
    rows["first crop of a track after, median s"] = [
        _figure(_firsts(each.crops), 50) for each in found.values()
    ]
    _print_table(["crops", *found], [[title, *cells] for title, cells in rows.items()])


def _print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for cells in (headings, ["---", *["---:"] * (len(headings) - 1)], *rows):
        print(f"| {' | '.join(cells)} |")
    print()


def _figure(values: Sequence[float], percent: int | None) -> str:
    if not values:
        return "–"
    value = np.mean(values) if percent is None else np.percentile(values, percent)
    return f"{value:.0f}" if value > 10 else f"{value:.2f}"


def _firsts(crops: Sequence[dict[str, float]]) -> list[float]:
    firsts: dict[float, float] = {}
    for crop in crops:
        firsts.setdefault(crop["track"], crop["after_s"])
    return list(firsts.values())


if __name__ == "__main__":
    main()
