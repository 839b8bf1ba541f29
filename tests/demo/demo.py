"""`make demo`: the main job on a real clip, from enrolment to hits at a subscriber.

    enrol people from the first part of the clip → run the agent over the whole clip
    → a separate subscriber process receives the hits → annotated video and contact sheet
    → with --web (`make demo-live`): the clip as a live camera, over and over, and its page

The subscriber is `edge-reid watch --json` in a process of its own; what the table shows is what
came over MQTT.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import webbrowser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

import cv2
import numpy as np
from broker import loopback_broker
from contact_sheet import Match, write_sheet
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from support import campus

from edge_reid.agent.app import Outputs, run_agent
from edge_reid.agent.observers import Observer
from edge_reid.agent.pipeline import Step
from edge_reid.cli.hit_table import HitTable
from edge_reid.cli.run_progress import summary_rows
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.config.settings_file import load_settings
from edge_reid.core.config.web_settings import WEB_LISTEN
from edge_reid.core.geometry import Box
from edge_reid.core.types import Image
from edge_reid.vision.crops import cut
from edge_reid.vision.embed import Embedder
from edge_reid.wire.payloads import HitPayload, UnknownPayload

START = "2026-01-05T08:00:00Z"
"""Wall clock given to the clip's first frame."""
PATIENCE_S = 60.0
"""For what takes a moment, and longer on a busy machine."""
console = Console()


@dataclass
class Received:
    """What the subscriber printed so far, oldest first."""

    events: list[dict[str, Any]] = field(default_factory=list)
    table: HitTable = field(
        default_factory=lambda: HitTable(title="hits, as a separate subscriber receives them")
    )

    def wait_for(self, count: int) -> None:
        """Until so many events arrived: the last are still on their way when the agent is done."""
        deadline_s = time.monotonic() + PATIENCE_S
        while len(self.events) < count:
            if time.monotonic() > deadline_s:
                raise SystemExit(
                    f"the subscriber: expected {count} events, got {len(self.events)} in "
                    f"{PATIENCE_S:.0f} s; is this machine very busy? try again"
                )
            time.sleep(0.05)


def main() -> None:
    options = _options()
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    for leftover in (*out.glob("*.db*"), *out.glob("events.jsonl")):
        leftover.unlink()
    started = time.monotonic()

    console.rule("1. enrol people from the first part of the clip")
    photos = campus.write_photos(
        campus.people(*campus.ENROLLED), out / "enrolled", campus.ENROLLED_BEFORE
    )
    gallery = out / "gallery.db"
    edge_reid("gallery", "init", gallery)
    for name, crops in photos.items():
        edge_reid("gallery", "enroll", name, *crops, "--gallery", gallery)

    with loopback_broker(out) as (url, program):
        console.rule(f"2. {program} listens at {url}; a subscriber waits; the agent runs")
        settings = load_settings(None, demo_settings(gallery, url))
        with subscriber(url) as received:
            run(settings, received, out)

    console.rule("3. look at it")
    matches = collect_matches(received.events, photos, settings)
    write_sheet(matches, out / "contact_sheet.png")
    for name in ("annotated.webm", "contact_sheet.png"):
        console.print(f"  {out / name}")
    console.print(f"done in {time.monotonic() - started:.0f} s")
    check(matches, out)
    if options.web:
        console.rule("4. the clip as a live camera, and its page")
        stay_live(gallery, out, options.web)


def demo_settings(gallery: Path, url: str) -> dict[str, Any]:
    return {
        "site": "lab",
        "camera": "gate",
        "agent": "laptop",
        "gallery": gallery,
        "source": {"uri": str(campus.CLIP), "start_time": START},
        "mqtt": {"url": url},
    }


def run(settings: AgentSettings, received: Received, out: Path) -> None:
    """The agent in this process, with the subscriber's table above its progress bar."""
    screen = DemoScreen(received)
    lines = out / "events.jsonl"
    outputs = Outputs(events=str(lines), annotate=out / "annotated.webm")
    with Live(get_renderable=screen.render, console=console, refresh_per_second=4):
        summary = run_agent(settings, outputs=outputs, observers=[screen])
        told = len(lines.read_text(encoding="utf-8").splitlines())
        received.wait_for(told)
    for name, value in summary_rows(summary):
        console.print(f"  [bold]{name:<18}[/bold]{value}", highlight=False)
    if summary.frames != campus.FRAMES:
        raise SystemExit(f"the agent: expected {campus.FRAMES} frames, got {summary.frames}")


def check(matches: Sequence[Match], out: Path) -> None:
    """Raise SystemExit unless hits came and both pictures can be looked at, the film to its end."""
    if not matches:
        raise SystemExit("no hit arrived at the subscriber: something is broken")
    if cv2.imread(str(out / "contact_sheet.png")) is None:
        raise SystemExit(f"{out}/contact_sheet.png: expected a picture, got none that can be read")
    film = cv2.VideoCapture(str(out / "annotated.webm"))
    frames = sum(1 for _ in iter(film.grab, False))
    if frames != campus.FRAMES:
        raise SystemExit(f"{out}/annotated.webm: expected {campus.FRAMES} frames, got {frames}")


def stay_live(gallery: Path, out: Path, listen: str) -> None:
    """The page, until Ctrl-C; what it shows goes to a broker too."""
    # whoever wants no page needs no web server
    from live_clip import live_demo

    with loopback_broker(out) as (url, _), live_demo(gallery, url, listen) as live:
        console.print(f"[bold]{live.page.url}[/bold] shows it; hits also go to {url}")
        console.print("Ctrl-C ends it")
        if sys.stdout.isatty() and (sys.platform == "darwin" or os.environ.get("DISPLAY")):
            webbrowser.open(live.page.url)
        with suppress(KeyboardInterrupt):
            live.run()
    console.print("ended")


class DemoScreen(Observer):
    """The observer the agent reports to."""

    def __init__(self, received: Received) -> None:
        self._received = received
        self._progress = Progress(
            TextColumn("agent"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        )
        self._task = self._progress.add_task("agent", total=None)

    def render(self) -> Group:
        return Group(self._received.table, self._progress)

    def started(self, _camera: str, frames_expected: int | None, /) -> None:
        self._progress.update(self._task, total=frames_expected)

    def stepped(self, _step: Step, /) -> None:
        self._progress.advance(self._task)

    def notice(self, line: str, /) -> None:
        console.print(f"[yellow]{line}[/yellow]")


@contextmanager
def subscriber(url: str) -> Iterator[Received]:
    """`edge-reid watch --json` in a process of its own."""
    words = ("watch", "--broker", url, "--site", "lab", "--all", "--json")
    console.print(f"[dim]$ edge-reid {' '.join(words)}[/dim]")
    process = subprocess.Popen(
        [sys.executable, "-m", "edge_reid", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    received = Received()
    reader = Thread(target=_read_into, args=(process, received), daemon=True)
    reader.start()
    try:
        await_subscription(process)
        yield received
    finally:
        process.terminate()
        process.wait(timeout=10)
        reader.join(timeout=10)


def await_subscription(process: subprocess.Popen[str]) -> None:
    """Hits are not retained: who subscribes later has missed them."""
    complaints = process.stderr or ()
    said = next(iter(complaints), "")
    if not said.startswith("watching "):
        raise SystemExit(f"the subscriber did not start: {said.strip()}")
    Thread(target=sys.stderr.writelines, args=(complaints,), daemon=True).start()


def _read_into(process: subprocess.Popen[str], received: Received) -> None:
    for line in process.stdout or ():
        event = json.loads(line)
        kind = HitPayload if event["identity"] else UnknownPayload
        received.table.add(kind.model_validate(event))
        received.events.append(event)


def edge_reid(*words: object) -> None:
    """Run a verb in a process of its own, as a person would."""
    shown = " ".join(str(word) for word in words)
    console.print(f"[dim]$ edge-reid {shown}[/dim]", soft_wrap=True, highlight=False)
    subprocess.run([sys.executable, "-m", "edge_reid", *map(str, words)], check=True)


def collect_matches(
    events: Sequence[dict[str, Any]],
    photos: dict[str, list[Path]],
    settings: AgentSettings,
) -> list[Match]:
    """Each hit as it was first told, with its crop and the nearest enrolled photo."""
    hits = [event for event in events if event["identity"] and event["type"] != "end"]
    numbers = [campus.frame_of(hit["captured_at"]) for hit in hits]
    frames = campus.read_frames(set(numbers))
    embedder = Embedder(settings.models.embedding)
    matches = []
    for hit, number in zip(hits, numbers, strict=True):
        crop = cut(frames[number], Box(*hit["box"]))
        templates = [read_image(path) for path in photos[hit["identity"]]]
        nearest = int(np.argmax(embedder.embed(templates) @ embedder.embed([crop])[0]))
        matches.append(
            Match(
                identity=hit["identity"],
                moment=clock(hit["captured_at"]),
                track_id=hit["track_id"],
                similarity=hit["similarity"],
                threshold=hit["threshold"],
                margin=hit["margin"],
                template=templates[nearest],
                crop=crop,
            )
        )
    return matches


def read_image(path: Path) -> Image:
    return np.asarray(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), np.uint8)


def clock(moment: str) -> str:
    """`2026-01-05T08:00:12.300Z` → `08:00:12.3`."""
    return moment[11:21]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out/demo"))
    parser.add_argument(
        "--web",
        nargs="?",
        const=WEB_LISTEN,
        metavar="HOST:PORT",
        help="stay with the live page there, until Ctrl-C",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
