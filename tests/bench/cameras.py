"""Live cameras on this machine: 2, 4 and 8 with one agent; 4 and 8 with as many of earlier ones.

    PYTHONPATH=tests python tests/bench/cameras.py [--cameras 2 4 8] [--seconds 40] [--write]
    PYTHONPATH=tests python tests/bench/cameras.py --before CHECKOUT --cameras 1 4 8 [--write]

Every camera is the campus clip at 1920×1080 and 15 frames a second, looped, begun elsewhere in it,
and served over RTSP by a process of its own. Every picture has its number in it, and the cameras
know when it was due: ages are measured from there to the commit of what the look brought, the same
way for every version. Earlier ones are installed from this repository and PyPI, once, with the same
NumPy, OpenCV and LiteRT. About eight minutes; the first run takes four more. With `--before`, one
agent of another checkout instead, and one of this one after it.

Prints for each run: runs of the detector ("looks") a second and camera, and those of them that were
committed within 500 ms; ages; processor time per second of stream; the memory of all processes
together, their own and with the pages of programs and files, each once; whose the processor was, in
percent of all cores; and what limits the looks. `--write` puts it all into tests/bench/README.md:
what a change brought into a section of its own.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from camera_fleet import Fleet, running
from rich.console import Console
from rich.markdown import Markdown
from support.bench_report import conditions, markdown_table, write_section
from support.earlier_release import python_of
from support.looped_cameras import LoopedCamera, LoopedStream, looped_cameras, looped_stream
from support.machine_load import Usage, usage
from support.process_tree import Memory, memory, process_tree

import edge_reid

CACHE = Path(tempfile.gettempdir()) / "edge-reid-bench"
FPS, LOOKS_HZ = 15, 5
IN_TIME_S = 0.5
EARLIER = "0.4.0", "0.5.0"
BEFORE = "before"
"""What an agent of another checkout is called."""
COMPARED = (4, 8)
"""Cameras that earlier releases are measured with, an agent each: of which it can look at all as
often as is configured, and with which the machine is its limit."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cameras", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--seconds", type=int, default=40, help="of each run")
    parser.add_argument("--before", type=Path, help="a checkout to compare this one with")
    parser.add_argument("--write", action="store_true", help="into tests/bench/README.md")
    given = parser.parse_args()
    CACHE.mkdir(parents=True, exist_ok=True)
    if given.before:
        compared = before_and_now(given.cameras, given.before.resolve())
    else:
        earlier = {release: python_of(release, CACHE) for release in EARLIER}
        compared = fleets(given.cameras, earlier)
    stream = the_stream()
    rows = []
    for fleet in compared:
        with looped_cameras(stream, fleet.cameras) as cameras:
            rows.append(measure(fleet, cameras, given.seconds))
            print(" | ".join(rows[-1].cells), file=sys.stderr)
    text = report(rows, given.seconds, are_limits_told=not given.before)
    Console(width=150).print(Markdown(text))
    if given.write:
        write_section("cameras.py --before" if given.before else "cameras.py", text)


def fleets(counts: Sequence[int], earlier: Mapping[str, Path]) -> Iterator[Fleet]:
    here = Path(sys.executable)
    for count in counts:
        yield Fleet(count, 1, here, edge_reid.__version__)
        if count == COMPARED[0]:
            yield Fleet(count, count, here, edge_reid.__version__)
        if count in COMPARED:
            for release, python in earlier.items():
                yield Fleet(count, count, python, release)


def before_and_now(counts: Sequence[int], checkout: Path) -> Iterator[Fleet]:
    here = Path(sys.executable)
    for count in counts:
        yield Fleet(count, 1, here, BEFORE, checkout)
        yield Fleet(count, 1, here, "now")


def the_stream() -> LoopedStream:
    """Made once; half a stream of a run that was stopped is not taken for one."""
    path = CACHE / "numbered-1080p15.h264"
    if not path.exists():
        part = path.with_name("part.h264")
        looped_stream(part, size_px=(1920, 1080), fps=FPS, bit_rate="3M")
        part.rename(path)
    return LoopedStream(path, FPS)


@dataclass(frozen=True)
class Row:
    """What one fleet did in a span of time."""

    HEADINGS = (
        "agents", "cameras", "looks/s", "fewest", "in time", "p50 ms", "p95 ms", "p99 ms",
        "CPU s/s", "own MB", "all MB", "looks %", "decoders %", "servers %", "others %", "free %",
    )  # fmt: skip

    fleet: Fleet
    span_s: float
    ages_s: list[list[float]]
    """By camera, of its looks when what they brought was committed."""
    used: Usage
    held: Memory

    @property
    def looks_hz(self) -> list[float]:
        """By camera."""
        return [len(ages) / self.span_s for ages in self.ages_s]

    @property
    def in_time_hz(self) -> float:
        """Looks a second and camera that were committed in time."""
        soon = sum(age <= IN_TIME_S for ages in self.ages_s for age in ages)
        return soon / self.span_s / self.fleet.cameras

    @property
    def cells(self) -> list[str]:
        ages_s = [age for ages in self.ages_s for age in ages] or [np.nan]
        used = self.used
        cpu_s = used.groups_s["looks"] + used.groups_s["decoders"]
        shares = [used.share(group) for group in ("looks", "decoders", "servers")]
        return [
            f"{self.fleet.agents} of {self.fleet.release}",
            str(self.fleet.cameras),
            *(f"{hz:.2f}" for hz in (np.mean(self.looks_hz), min(self.looks_hz), self.in_time_hz)),
            *(f"{1e3 * age_s:.0f}" for age_s in np.percentile(ages_s, (50, 95, 99))),
            f"{cpu_s / self.span_s / self.fleet.cameras:.3f}",
            f"{self.held.own_mb:.0f}",
            f"{self.held.all_mb:.0f}",
            *(f"{100 * share:.0f}" for share in (*shares, used.others_share, used.free_share)),
        ]

    @property
    def limit(self) -> str:
        """What keeps it from more looks."""
        who = f"{self.fleet.agents} of {self.fleet.release}, {self.fleet.cameras} cameras"
        if min(self.looks_hz) >= 0.95 * LOOKS_HZ:
            return f"{who}: {LOOKS_HZ} looks/s are what is configured"
        free, decode = 100 * self.used.free_share, self.used.share("decoders")
        ours = decode + self.used.share("looks")
        if free > 15:
            return f"{who}: not the processor, of which {free:.0f} % are free"
        part = f", {100 * decode / ours:.0f} % of what they used for decoding" if decode else ""
        return f"{who}: the processor{part}; others took {100 * self.used.others_share:.0f} %"


def measure(fleet: Fleet, cameras: Sequence[LoopedCamera], seconds: int) -> Row:
    """Run it; the first third, in which a pace is found, is left out."""
    urls = [camera.url for camera in cameras]
    with TemporaryDirectory() as folder, running(fleet, Path(folder), urls) as at_work:
        time.sleep(seconds / 3)
        began_s, before = time.monotonic(), usage(groups(at_work.pids, cameras))
        time.sleep(seconds * 2 / 3)
        ended_s, used = time.monotonic(), usage(groups(at_work.pids, cameras)) - before
        held = memory(process_tree(*at_work.pids))
        looks = at_work.looks()
    by_camera: list[list[tuple[int, float]]] = [[] for _ in cameras]
    for look in looks:
        number = int(look["camera"].removeprefix("camera-"))
        by_camera[number].append((look["number"], look["moment_s"]))
    ages_s = [
        [
            age_s
            for age_s, (_, moment_s) in zip(camera.ages_s(seen), seen, strict=True)
            if began_s <= moment_s < ended_s
        ]
        for camera, seen in zip(cameras, by_camera, strict=True)
    ]
    return Row(fleet, ended_s - began_s, ages_s, used, held)


def groups(agents: Sequence[int], cameras: Sequence[LoopedCamera]) -> dict[str, list[int]]:
    """Processes by what they do; earlier agents decode themselves."""
    children = [pid for pid in process_tree(*agents) if pid not in agents]
    servers = [camera.server for camera in cameras]
    return {"looks": list(agents), "decoders": children, "servers": servers}


def report(rows: Sequence[Row], seconds: int, *, are_limits_told: bool) -> str:
    """A section of the README."""
    beside = f"the cameras' servers and others, as the table says; {seconds} s a run"
    lines = [
        conditions("numpy", "opencv-python-headless", "ai-edge-litert", "av", beside=beside),
        markdown_table(Row.HEADINGS, (row.cells for row in rows)),
    ]
    if are_limits_told:
        lines += ["What limits the looks:", "\n".join(f"- {row.limit}" for row in rows)]
    lines += comparison(rows)
    return "\n\n".join(lines)


def comparison(rows: Sequence[Row]) -> Iterator[str]:
    """One agent against as many of earlier releases as there are cameras."""
    for before in rows:
        if before.fleet.release not in {*EARLIER, BEFORE}:
            continue
        others = [row for row in rows if row.fleet.release != before.fleet.release]
        same = [row for row in others if row.fleet.cameras == before.fleet.cameras]
        for now in (row for row in same if row.fleet.agents == 1):
            yield sentence(now, before)


def sentence(now: Row, before: Row) -> str:
    """In a sentence."""
    in_time = [row.in_time_hz for row in (now, before)]
    is_other = before.fleet.release == BEFORE
    whom = "one of before" if is_other else f"{before.fleet.agents} of {before.fleet.release}"
    cameras = "1 camera" if before.fleet.cameras == 1 else f"{before.fleet.cameras} cameras"
    soon = f", {in_time[0] / in_time[1]:.1f} ×" if in_time[1] else ""
    looks = np.mean(now.looks_hz) / np.mean(before.looks_hz)
    return (
        f"One agent against {whom}, {cameras}: "
        f"{in_time[0]:.2f} looks a second and camera within {1e3 * IN_TIME_S:.0f} ms, "
        f"{in_time[1]:.2f} before{soon}; {looks:.1f} × all looks; "
        f"{now.held.all_mb / before.held.all_mb:.2f} × the memory, "
        f"{now.held.own_mb / before.held.own_mb:.2f} × without pages of files."
    )


if __name__ == "__main__":
    main()
