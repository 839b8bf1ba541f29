"""People of a small picture, cut out of a large one that was taken at the same moment.

The clocks of the two streams tell about when, to a tenth of a second or two: each has a delay of
its own, and a large stream that was just opened has yet to find its least. So among the pictures of
about that time the one is taken whose part looks most like the person in the small one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_reid.capture.crop_stream import CropStream
from edge_reid.capture.decoder_report import ReadyPicture
from edge_reid.capture.live_source import LiveSource
from edge_reid.capture.pixels import PixelRange, grey_part, rgb_part
from edge_reid.capture.stream_fit import GRID_HEIGHT_PX, StreamFit, find_fit
from edge_reid.core.camera_fault import CameraFault
from edge_reid.core.geometry import Box
from edge_reid.core.types import Frame, Image

_MISSES = 5
"""So many pairs of pictures in a row that do not show the same are no chance."""
_OUTSIDE_SHARE = 0.02
"""Of a box, that may lie outside of the large picture."""
_PERSON_PX = (16, 32)
"""(width, height) at which two pictures of a person are compared."""
_LEAST_LIKENESS = 0.85
"""Correlation of two pictures of a person: 0.99 and more at one moment, a tenth of a second later
0.67 in the median of people who walk (245 boxes of the campus clip, 640×360 and 1920×1080)."""
_FLAT_LEVELS = 2.0
"""Standard deviation of a picture in which there is nothing to compare."""


@dataclass(frozen=True, slots=True, eq=False)
class Closeup:
    """Large pictures of about the moment of a frame, and where the frame lies in them."""

    live: LiveSource
    pictures: tuple[ReadyPicture, ...]
    """All of one size, nearest in time first."""
    frame: Frame
    fit: StreamFit

    def cut(self, box: Box) -> Image | None:
        """The pixels that a box in the frame touches, a copy, RGB uint8 (h, w, 3); None when no
        large picture shows all of it as the frame does, or none is in memory any more.
        """
        inside = self._place_of(box)
        if inside is None:
            return None
        part = _pixels_of(inside)
        picture = self._most_alike(box, part)
        return self.live.read(picture, partial(rgb_part, part=part)) if picture else None

    def height_px(self, box: Box) -> float | None:
        """How high a box is in the large pictures; None when not all of it is there."""
        inside = self._place_of(box)
        return None if inside is None else inside.height

    def _place_of(self, box: Box) -> Box | None:
        """In the large pictures; None when not all of it is there."""
        size_px = _size_px(self.pictures[0])
        large = self.fit.in_large(box, self.frame.size_px, size_px)
        inside = large.clipped(*size_px)
        is_there = inside.area > 0 and inside.area >= (1 - _OUTSIDE_SHARE) * large.area
        return inside if is_there else None

    def _most_alike(self, box: Box, part: PixelRange) -> ReadyPicture | None:
        ours = _pattern(_grey_of(self.frame.image, _pixels_of(box)))
        if ours is None:
            return self.pictures[0]
        best, best_likeness = None, _LEAST_LIKENESS
        for picture in self.pictures:
            grey = self.live.read(picture, partial(grey_part, part=part))
            theirs = None if grey is None else _pattern(grey)
            likeness = -1.0 if theirs is None else float(np.mean(ours * theirs))
            if likeness > best_likeness:
                best, best_likeness = picture, likeness
        return best


class CloseupFinder:
    """Finds the large pictures to a frame of the small stream, and how the two fit together.

    How they fit is found by looking at both, once for every opening of the large stream.

    Args:
        crops: the large stream.
    """

    def __init__(self, crops: CropStream) -> None:
        self._crops = crops
        self._known: tuple[object, StreamFit] | None = None
        self._misses = 0

    @property
    def fault(self) -> CameraFault | None:
        """That the two streams are not of one view."""
        if self._misses < _MISSES:
            return None
        return CameraFault(
            "streams-differ",
            "expected the picture of source.detect_uri in that of source.uri, they show different"
            " things; check that both are streams of this camera",
        )

    def of(self, frame: Frame) -> Closeup | None:
        """Large pictures of about that moment; None when there is none, or they show something
        else.
        """
        live, near = self._crops.live, self._crops.around(frame)
        if live is None or not near:
            return None
        pictures = tuple(picture for picture in near if _size_px(picture) == _size_px(near[0]))
        fit = self._fit(frame, live, pictures)
        return Closeup(live, pictures, frame, fit) if fit else None

    def _fit(
        self, frame: Frame, live: LiveSource, pictures: tuple[ReadyPicture, ...]
    ) -> StreamFit | None:
        pair = self._crops.opened, frame.size_px, _size_px(pictures[0])
        if self._known and self._known[0] == pair:
            return self._known[1]
        found = (_fit_of(frame, live, picture) for picture in pictures)
        fit = next((fit for fit in found if fit), None)
        self._misses = 0 if fit else self._misses + 1
        self._known = (pair, fit) if fit else None
        return fit


def _fit_of(frame: Frame, live: LiveSource, picture: ReadyPicture) -> StreamFit | None:
    size_px = _size_px(picture)
    whole, step = PixelRange(0, 0, *size_px), max(1, size_px[1] // GRID_HEIGHT_PX)
    large = live.read(picture, partial(grey_part, part=whole, step=step))
    if large is None:
        return None
    small = _grey_of(frame.image, PixelRange(0, 0, *frame.size_px))
    return find_fit(small, large, frame.size_px, size_px)


def _size_px(picture: ReadyPicture) -> tuple[int, int]:
    return picture.slot.width, picture.slot.height


def _grey_of(image: Image, part: PixelRange) -> NDArray[np.uint8]:
    cut = np.ascontiguousarray(image[part.top : part.bottom, part.left : part.right])
    return np.asarray(cv2.cvtColor(cut, cv2.COLOR_RGB2GRAY), np.uint8)


def _pattern(grey: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """A part of a picture, small and standardised: the mean product of two is their correlation;
    None when there is nothing in it.
    """
    small = np.asarray(cv2.resize(grey, _PERSON_PX, interpolation=cv2.INTER_AREA), np.float32)
    spread = float(small.std())
    if spread < _FLAT_LEVELS:
        return None
    return np.asarray((small - small.mean()) / spread, np.float32)


def _pixels_of(box: Box) -> PixelRange:
    """All that a box touches; it lies inside the picture and is not empty."""
    left, top = math.floor(box.x1), math.floor(box.y1)
    return PixelRange(left, top, max(math.ceil(box.x2), left + 1), max(math.ceil(box.y2), top + 1))
