"""What was decided, drawn into the picture, and pictures written as a video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from edge_reid.core.closed_after_use import ClosedAfterUse
from edge_reid.core.errors import UsageError
from edge_reid.core.geometry import Box
from edge_reid.core.opencv import mute_stderr, quiet_opencv
from edge_reid.core.types import Decision, Image, Known, Track, Unknown

Kind = Literal["known", "unknown", "undecided"]
Colour = tuple[int, int, int]

_COLOURS: dict[Kind, Colour] = {
    "known": (0, 158, 115),
    "unknown": (213, 94, 0),
    "undecided": (110, 110, 110),
}
"""RGB, from the palette of Okabe and Ito: colour-blind readers tell them apart too."""
_RANKS: dict[Kind, int] = {"known": 0, "unknown": 1, "undecided": 2}
_CODECS = {".webm": "VP80", ".mp4": "vp09"}
"""Every browser plays these, and OpenCV's wheels write them on every platform. VP9 takes about
eight times as long as VP8 (0.45 s against 0.06 s a frame of 768 by 576 on one x86 core), and MP4
takes no VP8."""
_WHITE: Colour = (255, 255, 255)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_SCALE = 0.45
_JPEG_QUALITY = 90
_NUMBER_SCALE = 0.9
_NUMBERED_PX = 1280
"""Longer side of a picture of numbered boxes, which fits a screen."""
_NUMBER_COLOURS: tuple[Colour, ...] = (
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (110, 110, 110),
)
"""In turn, so that of people who overlap each number is seen to be of its box."""


@dataclass(frozen=True, slots=True)
class Label:
    """What stands above a box."""

    text: str
    kind: Kind = "undecided"


def label_for(decision: Decision) -> Label:
    """A decision in a few words."""
    if isinstance(decision, Known):
        return Label(f"{decision.identity} {decision.similarity:.2f}", "known")
    if isinstance(decision, Unknown):
        return Label("unknown", "unknown")
    return Label("")


def draw(image: Image, tracks: Sequence[Track], labels: Mapping[int, Label]) -> Image:
    """A copy of the picture with box, number and label of every track.

    The box of a track that was only predicted at this frame is thin. Labels hide none of each
    other: who is known has theirs at the box, others are moved out of the way.
    """
    canvas = image.copy()
    shown = [(track, labels.get(track.track_id, Label(""))) for track in tracks]
    shown.sort(key=lambda each: _RANKS[each[1].kind])
    for track, label in reversed(shown):  # who is known lies on top
        _outline(canvas, track.box, _COLOURS[label.kind], thickness_px=2 if track.observed else 1)
    plates: list[_Plate] = []
    for track, label in shown:
        plate = _plate(canvas, track.box, f"{track.track_id} {label.text}".strip())
        plates.append(_moved(plate, plates))
        _caption(canvas, plates[-1], _COLOURS[label.kind])
    return canvas


def draw_numbered(image: Image, boxes: Sequence[Box]) -> Image:
    """The picture in the size of a screen, with the boxes and their numbers, from 1.

    Args:
        image: RGB uint8 (H, W, 3), of any size.
        boxes: in the picture; the first lies on top.
    """
    height, width = image.shape[:2]
    scale = _NUMBERED_PX / max(height, width)
    size_px = max(1, round(width * scale)), max(1, round(height * scale))
    smoothly = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    canvas = np.asarray(cv2.resize(image, size_px, interpolation=smoothly), np.uint8)
    shown = [Box.from_array(box.to_array() * scale) for box in boxes]
    coloured = [*zip(shown, cycle(_NUMBER_COLOURS), strict=False)]
    for box, colour in reversed(coloured):
        _outline(canvas, box, colour, thickness_px=3)
    plates: list[_Plate] = []
    for number, (box, colour) in enumerate(coloured, start=1):
        plate = _plate(canvas, box, f" {number} ", _NUMBER_SCALE)
        plates.append(_moved(plate, plates))
        _caption(canvas, plates[-1], colour)
    return canvas


def numbered_jpeg(image: Image, boxes: Sequence[Box]) -> bytes:
    """What `draw_numbered` draws, as a JPEG; the same every time."""
    picture = cv2.cvtColor(draw_numbered(image, boxes), cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1])


def _outline(canvas: Image, box: Box, colour: Colour, thickness_px: int) -> None:
    top_left, bottom_right = (round(box.x1), round(box.y1)), (round(box.x2), round(box.y2))
    cv2.rectangle(canvas, top_left, bottom_right, colour, thickness_px)


@dataclass(frozen=True, slots=True)
class _Plate:
    """A text and where it stands, in whole pixels; `line` is the text's base line."""

    text: str
    left: int
    line: int
    width: int
    height: int
    below: int
    scale: float
    """Of the font."""

    @property
    def top(self) -> int:
        return self.line - self.height - 1

    @property
    def bottom(self) -> int:
        return self.line + self.below

    def overlaps(self, other: _Plate) -> bool:
        return (
            self.left <= other.left + other.width
            and other.left <= self.left + self.width
            and self.top <= other.bottom
            and other.top <= self.bottom
        )


def _plate(canvas: Image, box: Box, text: str, scale: float = _FONT_SCALE) -> _Plate:
    """Above the box, moved so that it stays in the picture."""
    (width, height), below = cv2.getTextSize(text, _FONT, scale, _stroke_px(scale))
    left = max(min(round(box.x1), canvas.shape[1] - width), 0)
    line = max(min(round(box.y1) - below, canvas.shape[0] - below), height + 1)
    return _Plate(text, left, line, width, height, below, scale)


def _stroke_px(scale: float) -> int:
    """How thick letters are, in proportion to their size."""
    return round(2 * scale)


def _moved(plate: _Plate, taken: Sequence[_Plate]) -> _Plate:
    """Up until it hides none of these; down instead where the picture ends."""
    up = down = plate
    while hidden := [other for other in taken if up.overlaps(other)]:
        up = replace(up, line=min(other.top for other in hidden) - 1 - up.below)
    if up.top >= 0:
        return up
    while hidden := [other for other in taken if down.overlaps(other)]:
        down = replace(down, line=max(other.bottom for other in hidden) + 2 + down.height)
    return down


def _caption(canvas: Image, plate: _Plate, colour: Colour) -> None:
    right = plate.left + plate.width
    cv2.rectangle(canvas, (plate.left, plate.top), (right, plate.bottom), colour, -1)
    at = (plate.left, plate.line)
    stroke_px = _stroke_px(plate.scale)
    cv2.putText(canvas, plate.text, at, _FONT, plate.scale, _WHITE, stroke_px, cv2.LINE_AA)


class VideoWriter(ClosedAfterUse):
    """A film of RGB pictures that browsers play; use it as a context manager.

    WebM with VP8, or MP4 with VP9, as the name ends.

    Raises:
        UsageError: no video can be written there.
    """

    def __init__(self, path: Path, fps: float, size_px: tuple[int, int]) -> None:
        quiet_opencv()
        self.path = path
        self._size_px = size_px
        codec = _CODECS.get(path.suffix.lower())
        if codec is None:
            raise UsageError(
                f"video {path}: expected a name ending in .webm or .mp4, got "
                f"{path.suffix or 'none'}; browsers play these"
            )
        fourcc = cv2.VideoWriter.fourcc(*codec)
        with mute_stderr():  # it warns of a tag that WebM does not need
            self._writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, fourcc, fps, size_px)
        if not self._writer.isOpened():
            raise UsageError(
                f"video {path}: cannot be written; give a name in a folder that exists and is "
                "yours to write"
            )

    def write(self, image: Image) -> None:
        """Append a picture; one of another size (a camera that was swapped) is scaled."""
        picture = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        if (picture.shape[1], picture.shape[0]) != self._size_px:
            picture = cv2.resize(picture, self._size_px)
        self._writer.write(picture)

    def close(self) -> None:
        self._writer.release()
