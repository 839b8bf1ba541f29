"""How well people are followed through the campus clip: `python tests/bench/tracking.py`.

Runs the shipped detector on every frame once, then the tracker at several cadences, and compares
its boxes with the labels of `tests/data/campus.json`. A person's every visit counts as somebody
new: no tracker can know who comes back, that is what the embeddings are for.

    tracks    how many came out; there were 20 visits
    followed  share of the labels on the one track that belongs to the visit (as recall in IDF1)
    pure      share of a track's labels that show the person it shows most
    switches  how often a visit goes on under another number
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import lap
import numpy as np
from rich.console import Console
from rich.progress import track as progress
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import campus

from edge_reid.capture.open_source import open_source
from edge_reid.core.bundled_models import DETECTOR, shipped_model
from edge_reid.core.config import SourceSettings, TrackSettings
from edge_reid.core.geometry import Box, iou
from edge_reid.core.types import Detection, Track
from edge_reid.vision.detect import load_detector
from edge_reid.vision.track import Tracker

CADENCES = ((1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2))
"""(every so many frames, the first of them)."""
SIZE_PX = (768, 576)

Visits = dict[str, dict[int, Box]]
"""Box by frame, by visit."""


def labels() -> Visits:
    return {
        f"{person.identity} {number}": visit.boxes
        for person in campus.people()
        for number, visit in enumerate(person.visits)
    }


def detect_all() -> tuple[list[tuple[Detection, ...]], float]:
    """Detections of every frame, and the strong score."""
    detector = load_detector(shipped_model(DETECTOR))
    with open_source(SourceSettings(uri=str(campus.CLIP))) as source:
        frames = progress(source, "detecting", source.frames_expected)
        return [detector.detect(frame.image) for frame in frames], detector.strong_score


def follow(
    detections: Sequence[tuple[Detection, ...]], strong_score: float, every: int, first: int
) -> list[tuple[Track, ...]]:
    """Active tracks by frame."""
    tracker = Tracker(TrackSettings(), strong_score=strong_score)
    return [
        tracker.update(seen if index % every == first else None, index / campus.FPS, SIZE_PX).active
        for index, seen in enumerate(detections)
    ]


def sightings(visits: Visits, tracks: Sequence[tuple[Track, ...]]) -> dict[str, list[int | None]]:
    """For each label of each visit, in order, the track that covers it."""

    def covering(box: Box, frame: int) -> int | None:
        found = [(iou(track.box, box), track.track_id) for track in tracks[frame]]
        overlap, number = max(found, default=(0.0, None))
        return number if overlap >= 0.5 else None

    return {
        name: [covering(box, frame) for frame, box in sorted(boxes.items())]
        for name, boxes in visits.items()
    }


def score(seen: dict[str, list[int | None]]) -> dict[str, float]:
    shares = Counter((number, name) for name, row in seen.items() for number in row if number)
    numbers = sorted({number for number, _ in shares})
    table = np.array([[shares[number, name] for name in seen] for number in numbers], float)
    _, owner, _ = lap.lapjv(-table, extend_cost=True)
    followed = sum(table[row, column] for row, column in enumerate(owner) if column >= 0)
    rows = [[number for number in row if number] for row in seen.values()]
    return {
        "followed": followed / sum(len(row) for row in seen.values()),
        "pure": table.max(axis=1).sum() / table.sum(),
        "switches": sum(a != b for row in rows for a, b in pairwise(row)),
    }


def main() -> None:
    visits = labels()
    detections, strong_score = detect_all()
    table = Table("detector every", "first", "tracks", "followed", "pure", "switches")
    for every, first in CADENCES:
        tracks = follow(detections, strong_score, every, first)
        result = score(sightings(visits, tracks))
        count = len({track.track_id for active in tracks for track in active})
        shown = (f"{result['followed']:.3f}", f"{result['pure']:.3f}", f"{result['switches']:.0f}")
        table.add_row(f"{every} frames", str(first), str(count), *shown)
    Console().print(table)


if __name__ == "__main__":
    main()
