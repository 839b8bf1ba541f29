"""How well people are followed: `python tests/bench/tracking.py`.

IDF1, HOTA, MOTA and identity switches by `trackeval`, of our tracker and, with `--rivals`, of those
of the package `trackers` at the best of eight settings each, chosen on these very clips (ours has
its one default). All get the same detections, 3, 5 and 10 times a second, and are scored at the
looks of the detector by what they saw there. A person's every visit counts as somebody new.

    pip install --no-deps trackeval     (with its dependencies comes a second OpenCV)
    pip install motmetrics              (for the truth of two TUD clips; left out without it)

With `--streets` the clips are simulated ones instead (`support/simulated_street.py`), of seeds that
no setting of ours was chosen on. What goes wrong, person by person, says `tracking_errors.py`.

`trackers` needs NumPy 2: run this once without, so that the detections are kept, then with
`--rivals` in an environment of its own. BoT-SORT's camera motion is on where there are pictures.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.simulated_street import STREETS, simulated_clip
from support.tracking_clips import (
    STRONG_SCORE,
    TrackingClip,
    read_all,
    shaken_clip,
    still_clip,
    tud_clips,
)
from trackeval.metrics import CLEAR, HOTA, Identity

from edge_reid.core.config.vision_settings import TrackSettings
from edge_reid.core.geometry import Box, iou_matrix
from edge_reid.vision.camera_motion import NO_SHIFT
from edge_reid.vision.track import Tracker

RATES_HZ = (3, 5, 10)
PHASES = 2
"""Runs that begin at different frames; figures are their mean."""
SAME_BOX_IOU = 0.5
IGNORED_IOU = 0.4
STREET_SEEDS = (200, 201)
"""Below 100 is for choosing."""

Seen = dict[int, list[tuple[int, Box]]]
"""By look, (number, box) of each track."""
Follow = Callable[[TrackingClip, float, Sequence[int]], Seen]


def ours(clip: TrackingClip, _: float, looks: Sequence[int]) -> Seen:
    tracker = Tracker(TrackSettings(), strong_score=STRONG_SCORE)
    shifts, seen = clip.shifts(looks), {}
    for number in looks:
        update = tracker.update(
            clip.detections[number], number / clip.fps, clip.size_px, shifts.get(number, NO_SHIFT)
        )
        seen[number] = [(track.track_id, track.box) for track in update.active if track.observed]
    return seen


def rival_settings(name: str) -> Iterator[Follow]:
    """Every setting of a tracker that is tried."""
    import trackers

    kinds = {
        "ByteTrack": (trackers.ByteTrackTracker, "minimum_iou_threshold"),
        "OC-SORT": (trackers.OCSORTTracker, "minimum_iou_threshold"),
        "BoT-SORT": (trackers.BoTSORTTracker, "minimum_iou_threshold_first_assoc"),
        "C-BIoU": (trackers.CBIoUTracker, "minimum_iou_threshold_first_assoc"),
    }
    kind, least_iou = kinds[name]
    for lost, detections, overlap in product((30, 60), (1, 2), (0.1, 0.3)):
        options: dict[str, Any] = {
            "lost_track_buffer": lost,
            "minimum_consecutive_frames": detections,
            "high_conf_det_threshold": STRONG_SCORE,
            least_iou: overlap,
        }
        if name != "OC-SORT":
            options["track_activation_threshold"] = STRONG_SCORE
        yield rival(kind, options, wants_pictures=name == "BoT-SORT")


def rival(kind: type, options: dict[str, Any], *, wants_pictures: bool) -> Follow:
    import supervision

    def follow(clip: TrackingClip, rate_hz: float, looks: Sequence[int]) -> Seen:
        has_pictures = wants_pictures and clip.pictures is not None
        own = options | ({"enable_cmc": has_pictures} if wants_pictures else {})
        tracker, seen = kind(frame_rate=rate_hz, **own), {}
        for number in looks:
            found = clip.detections[number]
            given = supervision.Detections(
                xyxy=np.array([one.box.to_array() for one in found]).reshape(-1, 4),
                confidence=np.array([one.score for one in found]),
                class_id=np.zeros(len(found), int),
            )
            picture = {"frame": pictures(clip.pictures)[number]} if has_pictures else {}
            given = tracker.update(given, timestamp=number / clip.fps, **picture)
            numbers = [] if given.tracker_id is None else given.tracker_id.tolist()
            boxes = [Box(*row) for row in given.xyxy.tolist()]
            seen[number] = [
                (track, box) for track, box in zip(numbers, boxes, strict=True) if track >= 0
            ]
        return seen

    return follow


@cache
def pictures(clip: Path) -> list[np.ndarray]:
    return read_all(clip)


def measure(follow: Follow, clip: TrackingClip, rate_hz: float) -> np.ndarray:
    """IDF1, HOTA, MOTA in percent, switches, tracks: the mean over the phases."""
    every = clip.fps / rate_hz
    starts = sorted({int(start) for start in np.linspace(0, every - 1, PHASES)})
    rows = []
    for start in starts:
        looks = [round(number) for number in np.arange(start, len(clip.labels) - 0.5, every)]
        rows.append(score(clip, looks, follow(clip, rate_hz, looks)))
    return np.mean(rows, axis=0)


def score(clip: TrackingClip, looks: Sequence[int], seen: Seen) -> np.ndarray:
    data = as_trackeval(clip, looks, seen)
    identity, clear = Identity({"PRINT_CONFIG": False}), CLEAR({"PRINT_CONFIG": False})
    ids, mota, hota = (metric.eval_sequence(data) for metric in (identity, clear, HOTA()))
    shares = 100 * np.array([ids["IDF1"], np.mean(hota["HOTA"]), mota["MOTA"]])
    return np.array([*shares, mota["IDSW"], data["num_tracker_ids"]])


def as_trackeval(clip: TrackingClip, looks: Sequence[int], seen: Seen) -> dict[str, Any]:
    people: dict[int, int] = {}
    tracks: dict[int, int] = {}
    rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for number in looks:
        labels = clip.labels[number]
        counted = [pair for pair in seen[number] if counts(pair[1], labels, clip.ignored[number])]
        overlap = iou_matrix(rows_of(labels.values()), rows_of(box for _, box in counted))
        visits = np.array([people.setdefault(visit, len(people)) for visit in labels], int)
        numbers = np.array([tracks.setdefault(track, len(tracks)) for track, _ in counted], int)
        rows.append((visits, numbers, overlap))
    return {
        "gt_ids": [row[0] for row in rows],
        "tracker_ids": [row[1] for row in rows],
        "similarity_scores": [row[2] for row in rows],
        "num_gt_dets": sum(len(row[0]) for row in rows),
        "num_tracker_dets": sum(len(row[1]) for row in rows),
        "num_gt_ids": len(people),
        "num_tracker_ids": len(tracks),
        "num_timesteps": len(rows),
    }


def counts(box: Box, labels: dict[int, Box], ignored: Sequence[Box]) -> bool:
    """Whether a track's box is right or wrong: not where somebody hidden is not labelled."""
    rows = rows_of([box])
    is_right = iou_matrix(rows, rows_of(labels.values())).max(initial=0.0) >= SAME_BOX_IOU
    return is_right or iou_matrix(rows, rows_of(ignored)).max(initial=0.0) < IGNORED_IOU


def rows_of(boxes: Any) -> np.ndarray:
    return np.array([box.to_array() for box in boxes], np.float32).reshape(-1, 4)


def best(settings: Iterator[Follow], clips: Sequence[TrackingClip], rate_hz: float) -> np.ndarray:
    """(clips, 5): of the setting with the highest mean IDF1."""
    tried = [np.stack([measure(follow, clip, rate_hz) for clip in clips]) for follow in settings]
    return max(tried, key=lambda rows: float(rows[:, 0].mean()))


def street_clips() -> list[TrackingClip]:
    return [simulated_clip(street, seed) for seed in STREET_SEEDS for street in STREETS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rivals", action="store_true")
    parser.add_argument("--streets", action="store_true")
    asked = parser.parse_args()
    rivals = ("ByteTrack", "OC-SORT", "BoT-SORT", "C-BIoU") if asked.rivals else ()
    clips = street_clips() if asked.streets else [still_clip(), shaken_clip(), *tud_clips()]
    table = Table("Hz", "tracker", *(clip.name for clip in clips))
    for rate_hz in RATES_HZ:
        for name in ("ours", *rivals):
            settings = iter([ours]) if name == "ours" else rival_settings(name)
            rows = best(settings, clips, rate_hz)
            shown = (f"{i:.1f} / {h:.1f} / {m:.1f} / {s:.1f}" for i, h, m, s, _ in rows)
            table.add_row(str(rate_hz), name, *shown)
    Console(width=140).print("IDF1 / HOTA / MOTA / switches", table)


if __name__ == "__main__":
    main()
