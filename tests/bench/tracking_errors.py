"""What a tracker does wrong, person by person: `python tests/bench/tracking_errors.py CLIP`.

For everybody in the truth, which track had them from which frame to which, `-` where none had. Then
the most that any tracker could score with these boxes: what it would be if each box had the number
of the person whom it shows. CLIP is a name as in the table of `tracking.py`.

    pip install --no-deps trackeval motmetrics
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import lap
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from support.tracking_clips import TrackingClip, shaken_clip, still_clip, tud_clips
from tracking import RATES_HZ, SAME_BOX_IOU, Seen, measure, ours, rows_of

from edge_reid.core.geometry import Box, iou_matrix

NOBODY = "-"


def who_has_whom(labels: dict[int, Box], seen: Sequence[tuple[int, Box]]) -> dict[int, int]:
    """The track of each person at one look."""
    if not labels or not seen:
        return {}
    overlap = iou_matrix(rows_of(labels.values()), rows_of(box for _, box in seen))
    cost = np.where(overlap >= SAME_BOX_IOU, 1.0 - overlap, 2.0).astype(np.float64)
    _, columns, _ = lap.lapjv(cost, extend_cost=True, cost_limit=1.0)
    pairs = zip(labels, columns, strict=True)
    return {person: seen[column][0] for person, column in pairs if column >= 0}


def spans(clip: TrackingClip, seen: Seen) -> dict[int, str]:
    """By person, every track with its first and last frame and number of looks."""
    had: dict[int, list[tuple[int, object]]] = {}
    for number, tracks in seen.items():
        found = who_has_whom(clip.labels[number], tracks)
        for person in clip.labels[number]:
            had.setdefault(person, []).append((number, found.get(person, NOBODY)))
    return {person: " ".join(_spans_of(moments)) for person, moments in sorted(had.items())}


def _spans_of(moments: Sequence[tuple[int, object]]) -> list[str]:
    runs = [list(run) for _, run in groupby(moments, key=lambda moment: moment[1])]
    return [f"{run[0][1]}:{run[0][0]}–{run[-1][0]}({len(run)})" for run in runs]


def perfect(clip: TrackingClip, _: float, looks: Sequence[int]) -> Seen:
    """Each detection under the number of whom it shows; the others left out."""
    seen: Seen = {}
    for number in looks:
        boxes = [(index, one.box) for index, one in enumerate(clip.detections[number])]
        found = who_has_whom(clip.labels[number], boxes)
        seen[number] = [(person, boxes[index][1]) for person, index in found.items()]
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", nargs="?", default="TUD-Stadtmitte")
    parser.add_argument("--rate-hz", type=float, default=5)
    asked = parser.parse_args()
    if asked.clip in ("campus", "campus, shaken"):
        clips = [still_clip() if asked.clip == "campus" else shaken_clip()]
    else:
        clips = [clip for clip in tud_clips() if clip.name == asked.clip]
    for clip in clips:
        looks = [round(n) for n in np.arange(0, len(clip.labels) - 0.5, clip.fps / asked.rate_hz)]
        for person, line in spans(clip, ours(clip, asked.rate_hz, looks)).items():
            print(f"{person}: {line}")
        for rate_hz in RATES_HZ:
            got, most = (measure(follow, clip, rate_hz)[0] for follow in (ours, perfect))
            print(f"{rate_hz} looks a second: IDF1 {got:.1f} of {most:.1f} that the boxes allow")


if __name__ == "__main__":
    main()
