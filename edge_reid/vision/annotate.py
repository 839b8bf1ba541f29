"""What was decided, drawn into the picture, and pictures written as a video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

import cv2

from edge_reid.core.errors import UsageError
from edge_reid.core.geometry import Box
from edge_reid.core.types import Decision, Image, Known, Track, Unknown
from edge_reid.vision.opencv import quiet_opencv

Kind = Literal["known", "unknown", "undecided"]
Colour = tuple[int, int, int]

_COLOURS: dict[Kind, Colour] = {
    "known": (0, 158, 115),
    "unknown": (213, 94, 0),
    "undecided": (110, 110, 110),
}
"""RGB, from the palette of Okabe and Ito: colour-blind readers tell them apart too."""
_WHITE: Colour = (255, 255, 255)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_SCALE = 0.45


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

    The box of a track that was only predicted at this frame is thin.
    """
    canvas = image.copy()
    for track in tracks:
        label = labels.get(track.track_id, Label(""))
        colour = _COLOURS[label.kind]
        _outline(canvas, track.box, colour, thickness_px=2 if track.observed else 1)
        _caption(canvas, track.box, f"{track.track_id} {label.text}".strip(), colour)
    return canvas


def _outline(canvas: Image, box: Box, colour: Colour, thickness_px: int) -> None:
    top_left, bottom_right = (round(box.x1), round(box.y1)), (round(box.x2), round(box.y2))
    cv2.rectangle(canvas, top_left, bottom_right, colour, thickness_px)


def _caption(canvas: Image, box: Box, text: str, colour: Colour) -> None:
    """Text on a plate above the box, moved so that it stays in the picture."""
    (width, height), below = cv2.getTextSize(text, _FONT, _FONT_SCALE, 1)
    left = max(min(round(box.x1), canvas.shape[1] - width), 0)
    line = max(min(round(box.y1) - below, canvas.shape[0] - below), height + 1)
    cv2.rectangle(canvas, (left, line - height - 1), (left + width, line + below), colour, -1)
    cv2.putText(canvas, text, (left, line), _FONT, _FONT_SCALE, _WHITE, 1, cv2.LINE_AA)


class VideoWriter:
    """An MP4 file of RGB pictures; use it as a context manager.

    MPEG-4 Part 2, the one video codec that OpenCV's wheels can write on every platform.

    Raises:
        UsageError: no video can be written there.
    """

    def __init__(self, path: Path, fps: float, size_px: tuple[int, int]) -> None:
        quiet_opencv()
        self._size_px = size_px
        codec = cv2.VideoWriter.fourcc(*"mp4v")
        self._writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, codec, fps, size_px)
        if not self._writer.isOpened():
            raise UsageError(
                f"video {path}: cannot be written; give a name ending in .mp4 in a folder that "
                "exists and is yours to write"
            )

    def write(self, image: Image) -> None:
        """Append a picture; one of another size (a camera that was swapped) is scaled."""
        picture = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        if (picture.shape[1], picture.shape[0]) != self._size_px:
            picture = cv2.resize(picture, self._size_px)
        self._writer.write(picture)

    def close(self) -> None:
        self._writer.release()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
