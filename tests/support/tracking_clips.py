"""Clips whose people are labelled, with what the shipped detector finds in them."""

from __future__ import annotations

import hashlib
import importlib.util
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from support import campus

from edge_reid.core.bundled_models import DETECTOR, shipped_model
from edge_reid.core.geometry import Box
from edge_reid.core.types import Detection, Image
from edge_reid.vision.camera_motion import CameraMotion
from edge_reid.vision.detect import load_detector

CACHE = Path(tempfile.gettempdir()) / "edge-reid-bench"
STRONG_SCORE = 0.5
LABEL_GAP = 7
"""Frames; between labels farther apart somebody is hidden, and neither right nor wrong there."""

Labels = list[dict[int, Box]]
"""By frame, the box of each visit."""


@dataclass(frozen=True)
class TrackingClip:
    """One clip as a tracker sees it, and the truth."""

    name: str
    fps: float
    size_px: tuple[int, int]
    detections: Sequence[tuple[Detection, ...]]
    labels: Labels
    ignored: Sequence[Sequence[Box]]
    """By frame, where a track is neither right nor wrong."""
    pictures: Path | None = None

    def shifts(self, looks: Sequence[int]) -> dict[int, tuple[float, float]]:
        """By look, how far the camera has moved the picture since the one before."""
        if self.pictures is None:
            return {}
        frames, motion = read_all(self.pictures), CameraMotion()
        return {number: motion.shift_px(frames[number]) for number in looks}


def still_clip() -> TrackingClip:
    """The campus clip: labels of every fifth frame or so, between them on a straight line."""
    labels, ignored = _campus_labels()
    found = detect(campus.CLIP)
    return TrackingClip("campus", campus.FPS, (768, 576), found, labels, ignored, campus.CLIP)


def shaken_clip(amplitude_px: float = 12.0) -> TrackingClip:
    """The campus clip as by a camera on a post in the wind: to and fro at 0.7 and 2.3 Hz."""
    path = CACHE / f"shaken-{amplitude_px:.0f}.mp4"
    ways = shake(campus.FRAMES, amplitude_px)
    if not path.exists():
        _write_moved(path, ways)
    labels, ignored = _campus_labels()
    return TrackingClip(
        "campus, shaken",
        campus.FPS,
        (768, 576),
        detect(path),
        [
            {visit: box.shifted(*way) for visit, box in boxes.items()}
            for boxes, way in zip(labels, ways, strict=True)
        ],
        [[box.shifted(*way) for box in boxes] for boxes, way in zip(ignored, ways, strict=True)],
        path,
    )


def tud_clips() -> list[TrackingClip]:
    """TUD-Campus and TUD-Stadtmitte, of which `motmetrics` ships the truth and boxes of somebody's
    detector, not the pictures; none without that package.
    """
    spec = importlib.util.find_spec("motmetrics")
    if spec is None or spec.origin is None:
        return []
    folder = Path(spec.origin).parent / "data"
    return [_tud(folder / name) for name in ("TUD-Campus", "TUD-Stadtmitte")]


def shake(frames: int, amplitude_px: float) -> list[tuple[float, float]]:
    """Where the picture is at each frame, in pixels."""
    seconds = np.arange(frames) / campus.FPS
    tremor = np.random.default_rng(1).normal(0, 0.15 * amplitude_px, (frames, 2))
    turns = 2 * np.pi * seconds
    dx = amplitude_px * (np.sin(0.7 * turns) + 0.5 * np.sin(2.3 * turns + 1)) + tremor[:, 0]
    dy = 0.5 * amplitude_px * np.sin(1.1 * turns + 0.5) + tremor[:, 1]
    return [(float(x), float(y)) for x, y in zip(dx, dy, strict=True)]


def detect(clip: Path) -> list[tuple[Detection, ...]]:
    """What the shipped detector finds in every frame; kept from one run to the next."""
    model = shipped_model(DETECTOR)
    digest = hashlib.sha256(clip.read_bytes() + model.read_bytes()).hexdigest()[:16]
    file = CACHE / f"detections-{digest}.npz"
    if not file.exists():
        detector = load_detector(model)
        found = [detector.detect(frame) for frame in read_all(clip)]
        rows = [
            (number, *seen.box.to_array(), seen.score)
            for number, row in enumerate(found)
            for seen in row
        ]
        CACHE.mkdir(parents=True, exist_ok=True)
        np.savez(file, rows=np.array(rows), frames=len(found))
    with np.load(file) as kept:
        rows, frames = kept["rows"], int(kept["frames"])
    return [
        tuple(Detection(Box(*row[1:5]), row[5]) for row in rows[rows[:, 0] == number].tolist())
        for number in range(frames)
    ]


def read_all(clip: Path) -> list[Image]:
    """All frames, RGB."""
    capture, frames = cv2.VideoCapture(str(clip)), []
    while (read := capture.read())[0]:
        frames.append(np.asarray(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB), np.uint8))
    capture.release()
    return frames


def _campus_labels() -> tuple[Labels, list[list[Box]]]:
    labels: Labels = [{} for _ in range(campus.FRAMES)]
    ignored: list[list[Box]] = [[] for _ in range(campus.FRAMES)]
    visits = [visit for person in campus.people() for visit in person.visits]
    for number, visit in enumerate(visits):
        for (start, before), (stop, after) in pairwise(sorted(visit.boxes.items())):
            for frame in range(start, stop):
                box = _between(before, after, (frame - start) / (stop - start))
                if stop - start <= LABEL_GAP or frame == start:
                    labels[frame][number] = box
                else:
                    ignored[frame].append(box)
        first, last = min(visit.boxes), max(visit.boxes)
        labels[last][number] = visit.boxes[last]
        for frame in range(max(visit.first_frame - 3, 0), first):
            ignored[frame].append(visit.boxes[first])
        for frame in range(last + 1, min(visit.last_frame + 4, campus.FRAMES)):
            ignored[frame].append(visit.boxes[last])
    return labels, ignored


def _between(before: Box, after: Box, share: float) -> Box:
    edges = (1 - share) * before.to_array() + share * after.to_array()
    return Box(*(float(edge) for edge in edges))


def _write_moved(path: Path, ways: Sequence[tuple[float, float]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    codec = cv2.VideoWriter.fourcc(*"mp4v")
    film = cv2.VideoWriter(str(path), codec, campus.FPS, (768, 576))
    for frame, (dx, dy) in zip(read_all(campus.CLIP), ways, strict=True):
        way = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
        moved = cv2.warpAffine(frame, way, (768, 576), borderMode=cv2.BORDER_REPLICATE)
        film.write(cv2.cvtColor(moved, cv2.COLOR_RGB2BGR))
    film.release()


def _tud(folder: Path) -> TrackingClip:
    truth, found = _mot_rows(folder / "gt.txt"), _mot_rows(folder / "test.txt")
    frames = max(truth) + 1
    detections = [
        tuple(Detection(box, 0.9) for box in found.get(number, {}).values())
        for number in range(frames)
    ]
    labels = [truth.get(number, {}) for number in range(frames)]
    return TrackingClip(folder.name, 25, (640, 480), detections, labels, [[]] * frames)


def _mot_rows(path: Path) -> dict[int, dict[int, Box]]:
    """Of a file of the MOT challenge: box by number, by frame from 0."""
    rows: dict[int, dict[int, Box]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        frame, number, left, top, width, height = (float(part) for part in line.split(",")[:6])
        box = Box(left, top, left + width, top + height)
        rows.setdefault(int(frame) - 1, {})[int(number)] = box
    return rows
