"""Ours beside Deep SORT, as PyPI's `deep-sort-realtime` has it: identities, and what they cost.

    pip install --no-deps --group bench   (pip 25.1; with dependencies comes a second OpenCV)
    PYTHONPATH=tests python tests/bench/deep_sort.py [--write]

Both get the same detections, of the shipped detector, 5 and 10 times a second of the campus clip,
and the same embeddings: its own weights, of ImageNet, need PyTorch, so Deep SORT is given our model
through its hook (`embeds`). It embeds every detection at every look, as it is made; ours picks
crops. Ours has its default settings with `[strangers]`, and nobody is enrolled; of Deep SORT the
best of 12 settings is shown, chosen on this very clip at 5 looks a second, one for visits and one
for people. Some of ours were tuned on it, too.

IDF1, HOTA and identity switches by `trackeval`, at the looks, by what was seen there: *visits*
counts every visit as somebody new; *people* wants the same identity when somebody comes back. What
ours tells later of a track (that it continues another one, its anonymous name) counts for all of
it, as for whoever reads events. Processor time is of one thread, without the detector, which costs
both the same; frames a second are of one core, with and without it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
from deep_sort_realtime.deepsort_tracker import DeepSort
from rich.console import Console
from rich.markdown import Markdown
from support import campus
from support.bench_report import conditions, markdown_table, write_section
from support.replayed_pipeline import ReplayedRun, replay
from support.tracking_clips import TrackingClip, read_all, still_clip
from tracking import score

from edge_reid.core.bundled_models import DETECTOR, EMBEDDING, shipped_model
from edge_reid.core.geometry import Box
from edge_reid.core.types import Image
from edge_reid.vision.crops import cut
from edge_reid.vision.detect import load_detector
from edge_reid.vision.embed import Embedder

RATES_HZ = (5, 10)
TIMED = 40
"""Frames by which the detector is timed."""


@dataclass(frozen=True)
class Result:
    """One pipeline at one rate."""

    name: str
    rate_hz: int
    visits: np.ndarray
    """IDF1, HOTA, MOTA in percent, switches, tracks."""
    people: np.ndarray
    crops: float
    """Embedded at a look, in the mean."""
    cpu_s: float
    """For a look, without the detector."""

    HEADINGS = (
        "pipeline", "looks/s", "visits: IDF1", "HOTA", "switches", "people: IDF1", "HOTA",
        "switches", "crops a look", "ms a look", "frames/s", "with detector",
    )  # fmt: skip

    def cells(self, detect_s: float) -> list[str]:
        quality = [
            f"{value:.1f}" for row in (self.visits, self.people) for value in (*row[:2], row[3])
        ]
        speeds = (f"{1 / self.cpu_s:.0f}", f"{1 / (self.cpu_s + detect_s):.0f}")
        cost = (f"{self.crops:.2f}", f"{1e3 * self.cpu_s:.1f}", *speeds)
        return [self.name, str(self.rate_hz), *quality, *cost]


@dataclass(frozen=True)
class Setting:
    """Of Deep SORT."""

    max_cosine_distance: float
    max_age_s: float
    least_score: float


SETTINGS = tuple(Setting(*row) for row in product((0.2, 0.3, 0.4), (2, 80), (0.35, 0.5)))
LOOKS_TO_CONFIRM = 2
"""Of a track; ours has the same."""


@dataclass(frozen=True)
class EmbeddedClip:
    """A clip with its pictures, and an embedding for every detection."""

    clip: TrackingClip
    frames: Sequence[Image]
    vectors: Sequence[np.ndarray]
    """By frame, (detections, D)."""
    crop_s: float
    """Processor time of an embedding."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="into tests/bench/README.md")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    subject = embedded(still_clip())
    detect_s = time_detector(subject.frames)
    best = chosen(subject, RATES_HZ[0])
    print(f"Deep SORT for visits: {best[0]}, for people: {best[1]}", file=sys.stderr)
    results = []
    for rate_hz in RATES_HZ:
        results += [ours(subject, rate_hz), deep_sort(subject, rate_hz, best)]
    text = report(results, detect_s)
    Console(width=150).print(Markdown(text))
    if given.write:
        write_section("deep_sort.py", text)


def embedded(clip: TrackingClip) -> EmbeddedClip:
    embedder = Embedder(shipped_model(EMBEDDING), threads=1)
    frames = read_all(campus.CLIP)
    began_s = time.process_time()
    vectors = [
        embedder.embed([cut(frame, seen.box) for seen in found])
        for frame, found in zip(frames, clip.detections, strict=True)
    ]
    crops = sum(map(len, clip.detections))
    return EmbeddedClip(clip, frames, vectors, (time.process_time() - began_s) / crops)


def time_detector(frames: Sequence[Image]) -> float:
    """Seconds of processor for a frame."""
    detector = load_detector(shipped_model(DETECTOR), threads=1)
    detector.detect(frames[0])
    began_s = time.process_time()
    for frame in frames[:: len(frames) // TIMED]:
        detector.detect(frame)
    return (time.process_time() - began_s) / len(frames[:: len(frames) // TIMED])


def looks_of(clip: TrackingClip, rate_hz: float) -> Iterator[list[int]]:
    """Frames that are looked at, begun at each frame that makes a difference."""
    every = round(clip.fps / rate_hz)
    for start in range(every):
        yield list(range(start, len(clip.labels), every))


def by_person(clip: TrackingClip) -> TrackingClip:
    """Labelled by who it is, not by visit."""
    owners = [number for number, each in enumerate(campus.people()) for _ in each.visits]
    labels = [{owners[visit]: box for visit, box in row.items()} for row in clip.labels]
    return replace(clip, labels=labels)


def ours(subject: EmbeddedClip, rate_hz: int) -> Result:
    clip, runs, visits, people = subject.clip, [], [], []
    for looks in looks_of(clip, rate_hz):
        with TemporaryDirectory() as folder, ExitStack() as stack:
            run = replay(clip, subject.frames, looks, Path(folder), stack)
        runs.append(run)
        visits.append(score(clip, looks, run.visits))
        people.append(score(by_person(clip), looks, run.people))
    crops, cpu_s = (np.mean([value(run) for run in runs]) for value in (_crops, _cpu_s))
    return Result(
        "edge-reid", rate_hz, np.mean(visits, axis=0), np.mean(people, axis=0), crops, cpu_s
    )


def _crops(run: ReplayedRun) -> float:
    return run.embedded / len(run.visits)


def _cpu_s(run: ReplayedRun) -> float:
    return run.cpu_s / len(run.visits)


def chosen(subject: EmbeddedClip, rate_hz: int) -> tuple[Setting, Setting]:
    """The settings of Deep SORT with the highest IDF1 of visits and of people."""
    looks = next(looks_of(subject.clip, rate_hz))
    tried = [(setting, follow(subject, rate_hz, setting, looks)[0]) for setting in SETTINGS]

    def best(truth: TrackingClip) -> Setting:
        return max(tried, key=lambda one: float(score(truth, looks, one[1])[0]))[0]

    return best(subject.clip), best(by_person(subject.clip))


def deep_sort(subject: EmbeddedClip, rate_hz: int, best: tuple[Setting, Setting]) -> Result:
    """With a setting for visits, whose cost is told, and one for people."""
    clip, rows = subject.clip, []
    for looks in looks_of(clip, rate_hz):
        seen, crops, cpu_s = follow(subject, rate_hz, best[0], looks)
        others = seen if best[0] == best[1] else follow(subject, rate_hz, best[1], looks)[0]
        visits, people = score(clip, looks, seen), score(by_person(clip), looks, others)
        rows.append((visits, people, crops / len(looks), cpu_s / len(looks)))
    visits, people, crops, cpu_s = (np.mean(column, axis=0) for column in zip(*rows, strict=True))
    return Result("Deep SORT", rate_hz, visits, people, float(crops), float(cpu_s))


def follow(
    subject: EmbeddedClip, rate_hz: int, setting: Setting, looks: Sequence[int]
) -> tuple[dict[int, list[tuple[Any, Any]]], int, float]:
    """By look, (number, box) of each track seen there; crops embedded; seconds of processor."""
    tracker = DeepSort(
        max_age=round(setting.max_age_s * rate_hz),
        n_init=LOOKS_TO_CONFIRM,
        max_cosine_distance=setting.max_cosine_distance,
        nn_budget=100,
        embedder=None,
    )
    seen, crops, began_s = {}, 0, time.process_time()
    for number in looks:
        pairs = zip(subject.clip.detections[number], subject.vectors[number], strict=True)
        strong = [(one, vector) for one, vector in pairs if one.score >= setting.least_score]
        boxes = [
            ([one.box.x1, one.box.y1, one.box.width, one.box.height], one.score, "person")
            for one, _ in strong
        ]
        tracks = tracker.update_tracks(boxes, embeds=[vector for _, vector in strong])
        crops += len(strong)
        seen[number] = [
            (track.track_id, Box(*map(float, track.to_ltrb(orig=True))))
            for track in tracks
            if track.is_confirmed() and track.time_since_update == 0
        ]
    return seen, crops, time.process_time() - began_s + crops * subject.crop_s


def report(results: Sequence[Result], detect_s: float) -> str:
    """The section of the README."""
    libraries = ("deep-sort-realtime", "trackeval", "numpy", "ai-edge-litert")
    beside = "others, whom processor time does not count"
    rows = [result.cells(detect_s) for result in results]
    return "\n\n".join(
        [
            conditions(*libraries, beside=beside),
            markdown_table(Result.HEADINGS, rows),
            f"The detector takes {1e3 * detect_s:.1f} ms of one core for a frame, for both.",
        ]
    )


if __name__ == "__main__":
    main()
