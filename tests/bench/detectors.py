"""How well detectors find people, and how fast: `PYTHONPATH=tests python tests/bench/detectors.py`.

For each model: AP at IoU 0.5 (all points), recall at precision 0.9, recall at the manifest's
strong score by height of the person (in pixels of a frame 1080 high), and the processor time a
frame. Without a table the labelled people of the campus clip are looked for, of whom each frame
has only some: there recall by height is meaningful, and nothing else is printed.

    python tests/bench/detectors.py --labels street/labels.csv --models models/*.tflite

A table has a line a person, `path,x1,y1,x2,y2`, paths relative to it, or a line `path` alone for an
image without anybody; everybody in an image is labelled.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from support import campus

from edge_reid.core.bundled_models import DETECTOR, shipped_model
from edge_reid.core.geometry import Box, iou
from edge_reid.core.types import Detection, Image
from edge_reid.vision.detect import Detector, load_detector
from edge_reid.vision.photo import read_photo

HEIGHTS_PX = (64, 80, 100, 128, 160, 200, 1080)
"""Of people in a frame 1080 high; smaller ones are in no row."""
FRAME_HEIGHT_PX = 1080
MATCH_IOU = 0.5
PRECISION = 0.9
LEAST_SCORE = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """One frame and everybody in it."""

    image: Image
    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a detector said of one labelled frame.

    Attributes:
        scores: (K,) float, of its detections, falling.
        is_right: (K,) whether each found somebody whom no better one had found.
        heights: of everybody labelled, in pixels of a frame 1080 high, and whether a detection at
            or above the strong score found them.
        cpu_ms: processor time.
    """

    scores: np.ndarray
    is_right: np.ndarray
    heights: tuple[tuple[float, bool], ...]
    cpu_ms: float


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--labels", type=Path, help="table of labels; default: the campus clip")
    parser.add_argument("--models", type=Path, nargs="*", default=[shipped_model(DETECTOR)])
    options = parser.parse_args()
    frames = read_table(options.labels) if options.labels else campus_frames()
    console = Console()
    is_whole = options.labels is not None
    scores = ("AP50", "recall at p 0.9") if is_whole else ()
    table = Table("detector", *scores, *_columns(frames), "CPU ms")
    for path in options.models:
        detector = load_detector(path, weak_score=LEAST_SCORE)
        answers = [answer(detector, frame) for frame in track(frames, path.stem, console=console)]
        table.add_row(path.stem, *(_scores(answers) if is_whole else ()), *_row(answers))
    console.print(table)
    console.print(f"{len(frames)} frames, {sum(len(f.boxes) for f in frames)} people, one thread")


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


def campus_frames() -> list[Labelled]:
    """Every labelled frame of the clip."""
    boxes: defaultdict[int, list[Box]] = defaultdict(list)
    for person in campus.people():
        for visit in person.visits:
            for frame, box in visit.boxes.items():
                boxes[frame].append(box)
    images = campus.read_frames(set(boxes))
    return [Labelled(images[frame], tuple(boxes[frame])) for frame in sorted(boxes)]


def answer(detector: Detector, frame: Labelled) -> Answer:
    """What a detector says of a frame, beside the labels."""
    began_s = time.process_time()
    found = detector.detect(frame.image)
    cpu_ms = 1000 * (time.process_time() - began_s)
    whom = _matched(found, frame.boxes)
    scale = FRAME_HEIGHT_PX / frame.image.shape[0]
    strong = {whom.get(i) for i, d in enumerate(found) if d.score >= detector.strong_score}
    return Answer(
        scores=np.array([detection.score for detection in found]),
        is_right=np.array([index in whom for index in range(len(found))], bool),
        heights=tuple(
            (box.height * scale, number in strong) for number, box in enumerate(frame.boxes)
        ),
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


def _columns(frames: Iterable[Labelled]) -> list[str]:
    """Heights, and how many people are so high."""
    heights = [
        box.height * FRAME_HEIGHT_PX / frame.image.shape[0]
        for frame in frames
        for box in frame.boxes
    ]
    return [
        f"{low}–{high} px: {sum(low <= height < high for height in heights)}"
        for low, high in pairwise(HEIGHTS_PX)
    ]


def _scores(answers: list[Answer]) -> list[str]:
    scores = np.concatenate([each.scores for each in answers])
    is_right = np.concatenate([each.is_right for each in answers])
    people = sum(len(each.heights) for each in answers)
    return [
        f"{100 * average_precision(scores, is_right, people):.1f}",
        f"{100 * recall_at(scores, is_right, people, PRECISION):.1f}",
    ]


def _row(answers: list[Answer]) -> list[str]:
    heights = [each for answer_ in answers for each in answer_.heights]
    by_height = [
        [seen for height, seen in heights if low <= height < high]
        for low, high in pairwise(HEIGHTS_PX)
    ]
    return [
        *(f"{100 * np.mean(seen):.0f}" if seen else "–" for seen in by_height),
        f"{np.median([each.cpu_ms for each in answers]):.1f}",
    ]


if __name__ == "__main__":
    main()
