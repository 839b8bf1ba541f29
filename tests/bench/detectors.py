"""How well detectors find people, and how fast: `PYTHONPATH=tests python tests/bench/detectors.py`.

For each model: recall at its strong score by height of the person (in pixels of a frame 1080 high),
and the processor time a frame with its scaling. Without a table of labels, 1080p scenes are made
of the campus clip (`tests/support/scaled_scenes.py` says how): people of every height, of whom some
are not labelled, so "others" (detections a scene of nobody labelled) are no false alarms, but are
the same people for every model. With `--as-filmed` the clip's frames are looked at as they are.

    python tests/bench/detectors.py --labels street/labels.csv --models models/*.tflite

A table has a line a person, `path,x1,y1,x2,y2`, paths relative to it, or a line `path` alone for an
image without anybody; everybody in an image is labelled. Only there are AP at IoU 0.5 (all points)
and recall at precision 0.9 meaningful, and printed. `--write` puts recall by height into the
manifests: `edge-reid doctor --camera` reads it there.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table
from support.scaled_scenes import Labelled, campus_frames, scaled_scenes

from edge_reid.core.bundled_models import DETECTORS, shipped_model
from edge_reid.core.geometry import Box, iou
from edge_reid.core.manifest import HeightRecall, load_detector_manifest, write_manifest
from edge_reid.core.types import Detection
from edge_reid.vision.detect import Detector, load_detector
from edge_reid.vision.photo import read_photo

HEIGHTS_PX = (32, 48, 64, 80, 100, 128, 160, 200, 300, 450, 1080)
"""Of people in a frame 1080 high; smaller ones are in no row."""
FRAME_HEIGHT_PX = 1080
MATCH_IOU = 0.5
PRECISION = 0.9
LEAST_SCORE = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a detector said of one labelled frame.

    Attributes:
        scores: (K,) float, of its detections, falling.
        is_right: (K,) whether each found somebody whom no better one had found.
        heights: of everybody labelled, in pixels of a frame 1080 high, and whether a detection at
            or above the strong score found them.
        others: detections at or above the strong score that found nobody labelled.
        cpu_ms: processor time.
    """

    scores: np.ndarray
    is_right: np.ndarray
    heights: tuple[tuple[float, bool], ...]
    others: int
    cpu_ms: float


def main() -> None:
    options = _options()
    frames = _frames(options)
    console = Console()
    is_whole = options.labels is not None
    scores = ("AP50", "recall at p 0.9") if is_whole else ("others",)
    table = Table("detector", *_columns(frames), *scores, "CPU ms", box=SIMPLE_HEAD, pad_edge=False)
    for path in options.models:
        detector = load_detector(path, weak_score=LEAST_SCORE)
        answers = [answer(detector, frame) for frame in track(frames, path.stem, console=console)]
        told = _scores(answers) if is_whole else [f"{np.mean([a.others for a in answers]):.1f}"]
        table.add_row(path.stem.replace("_", " "), *_shares(answers), *told, _cpu(answers))
        if options.write:
            manifest = load_detector_manifest(path)
            measured = {"recall_by_height": recall_by_height(answers)}
            write_manifest(manifest.model_copy(update=measured), path)
    console.print(table)
    console.print(f"{len(frames)} frames, {sum(len(f.boxes) for f in frames)} people, one thread")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--labels", type=Path, help="table of labels; default: scenes of the clip")
    parser.add_argument(
        "--first-frame",
        type=int,
        default=0,
        help="of the clip, after those a model was taught with",
    )
    parser.add_argument("--as-filmed", action="store_true", help="the campus clip, not scaled")
    parser.add_argument("--scenes", type=int, default=60, help="scenes of each zoom; default: 60")
    parser.add_argument("--write", action="store_true", help="recall by height into the manifests")
    shipped = [shipped_model(name) for name in DETECTORS]
    parser.add_argument("--models", type=Path, nargs="*", default=shipped)
    return parser.parse_args()


def _frames(options: argparse.Namespace) -> list[Labelled]:
    if options.labels:
        return read_table(options.labels)
    filmed = campus_frames(options.first_frame)
    return filmed if options.as_filmed else list(scaled_scenes(filmed, options.scenes))


def read_table(path: Path) -> list[Labelled]:
    """The frames of a table of labels."""
    boxes: defaultdict[str, list[Box]] = defaultdict(list)
    with path.open(newline="", encoding="utf-8") as file:
        for name, *edges in csv.reader(file):
            if edges:
                boxes[name].append(Box(*map(float, edges)))
            else:
                boxes[name] = []
    return [
        Labelled(read_photo(path.parent / name).image, tuple(known))
        for name, known in boxes.items()
    ]


def answer(detector: Detector, frame: Labelled) -> Answer:
    """What a detector says of a frame, beside the labels."""
    began_s = time.process_time()
    found = detector.detect(frame.image)
    cpu_ms = 1000 * (time.process_time() - began_s)
    whom = _matched(found, frame.boxes)
    scale = FRAME_HEIGHT_PX / frame.image.shape[0]
    sure = [i for i, detection in enumerate(found) if detection.score >= detector.strong_score]
    strong = {whom.get(i) for i in sure}
    return Answer(
        scores=np.array([detection.score for detection in found]),
        is_right=np.array([index in whom for index in range(len(found))], bool),
        heights=tuple(
            (box.height * scale, number in strong) for number, box in enumerate(frame.boxes)
        ),
        others=sum(index not in whom for index in sure),
        cpu_ms=cpu_ms,
    )


def _matched(found: Iterable[Detection], boxes: tuple[Box, ...]) -> Mapping[int, int]:
    """Index of a detection → index of the label it found; the better score chooses first."""
    whom: dict[int, int] = {}
    free = set(range(len(boxes)))
    for index, detection in enumerate(found):
        overlaps = [(iou(detection.box, boxes[number]), number) for number in free]
        overlap, number = max(overlaps, default=(0.0, -1))
        if overlap >= MATCH_IOU:
            free.remove(number)
            whom[index] = number
    return whom


def average_precision(scores: np.ndarray, is_right: np.ndarray, people: int) -> float:
    """Area under precision over recall, precision made monotonous, at all points (VOC 2010)."""
    recall, precision = recall_and_precision(scores, is_right, people)
    best_beyond = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(np.concatenate([[0.0], recall])) * best_beyond))


def recall_at(scores: np.ndarray, is_right: np.ndarray, people: int, precision: float) -> float:
    """Largest recall at this precision or better."""
    recall, found = recall_and_precision(scores, is_right, people)
    return float(recall[found >= precision].max(initial=0.0))


def recall_and_precision(
    scores: np.ndarray, is_right: np.ndarray, people: int
) -> tuple[np.ndarray, np.ndarray]:
    """Both at every score, falling."""
    right = np.cumsum(is_right[np.argsort(-scores, kind="stable")])
    return right / max(people, 1), right / np.arange(1, len(right) + 1)


def recall_by_height(answers: Sequence[Answer]) -> tuple[HeightRecall, ...]:
    """Of the heights of which somebody was labelled."""
    heights = [pair for told in answers for pair in told.heights]
    found = [
        (low, high, [seen for height, seen in heights if low <= height < high])
        for low, high in pairwise(HEIGHTS_PX)
    ]
    return tuple(
        HeightRecall(
            from_px=low, below_px=high, recall=round(float(np.mean(seen)), 2), people=len(seen)
        )
        for low, high, seen in found
        if seen
    )


def _columns(frames: Iterable[Labelled]) -> list[str]:
    """Heights, and how many people are so high."""
    heights = [
        box.height * FRAME_HEIGHT_PX / frame.image.shape[0]
        for frame in frames
        for box in frame.boxes
    ]
    return [
        f"{low}–{high}\n{sum(low <= height < high for height in heights)}"
        for low, high in pairwise(HEIGHTS_PX)
    ]


def _scores(answers: Sequence[Answer]) -> list[str]:
    scores = np.concatenate([told.scores for told in answers])
    is_right = np.concatenate([told.is_right for told in answers])
    people = sum(len(told.heights) for told in answers)
    return [
        f"{100 * average_precision(scores, is_right, people):.1f}",
        f"{100 * recall_at(scores, is_right, people, PRECISION):.1f}",
    ]


def _shares(answers: Sequence[Answer]) -> list[str]:
    shares = {row.from_px: row.recall for row in recall_by_height(answers)}
    return [f"{100 * shares[low]:.0f}" if low in shares else "–" for low in HEIGHTS_PX[:-1]]


def _cpu(answers: Sequence[Answer]) -> str:
    return f"{np.median([told.cpu_ms for told in answers]):.1f}"


if __name__ == "__main__":
    main()
