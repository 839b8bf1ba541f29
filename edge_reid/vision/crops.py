"""Which crops of a track are worth embedding: the best few, not every box of every frame."""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import cv2
import numpy as np

from edge_reid.core.config.vision_settings import EmbedSettings
from edge_reid.core.geometry import Box, Boxes, intersection_matrix
from edge_reid.core.types import Crop, Frame, Image, Track

_FULL_HEIGHT_PX = 160
"""Taller people are seen no better: models take 192 to 256 px at most."""
_HALF_SHARP = 300.0
"""Variance of the Laplacian at which a crop counts as half sharp; CCTV crops have 350 to 1000."""
_SHARPNESS_SIZE_PX = (64, 128)
"""(width, height) at which sharpness is measured, so that it does not depend on size."""
_EDGE_PX = 2.0
_RIM_PX = 4
"""Laid around a whole crop: more than `_EDGE_PX`."""
_CUT_OFF = 0.5
"""What remains of the quality at the edge of the picture: who knows how much is missing."""
_MIN_GAIN = 0.03
"""A full set is only disturbed for a crop that is clearly better than its worst."""

_SHOWN_HEIGHT_PX = 320
_JPEG_QUALITY = 85
_CLOCK_GRAIN_S = 1e-3
"""A float of Unix seconds is coarse: today's clock must pick what a clock at zero picks."""


class LargerPicture(Protocol):
    """The same view at the same moment with more pixels than the frame that was looked at."""

    def cut(self, box: Box) -> Image | None:
        """The pixels that a box in the frame touches, a copy, RGB uint8 (h, w, 3); None when they
        are not to be had.
        """

    def height_px(self, box: Box) -> float | None:
        """How high a box in the frame is here, without a look at any pixel; None when it is not
        wholly here.
        """


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """A person as seen now."""

    image: Image
    """A copy if it is of the larger picture, else a view of the frame."""
    height_px: float
    is_enlarged: bool


@dataclass(slots=True)
class _Kept:
    """What was picked of one track so far."""

    qualities: list[float] = field(default_factory=list)
    last_pick_utc_s: float = -math.inf


class CropPicker:
    """Keeps count of the best `crops_per_track` crops of every track; the crops it hands out."""

    def __init__(self, settings: EmbedSettings) -> None:
        self._settings = settings
        self._kept: dict[int, _Kept] = {}

    def pick(
        self,
        frame: Frame,
        tracks: Sequence[Track],
        *,
        skip: Container[int] = (),
        most: int | None = None,
        larger: LargerPicture | None = None,
    ) -> tuple[Crop, ...]:
        """The crops of this frame to embed now, at most one per observed track.

        A crop is picked if it is good enough, `min_interval_s` passed since the track's last one,
        and the track's set is not full yet or it is clearly better than the worst in it. Whoever
        collects them keeps the best `crops_per_track` by quality. Of the tracks to `skip`, by
        number, nothing is picked; at `most` so many are picked in all, first of the tracks with the
        fewest. Where there is a `larger` picture, crops are cut from it, and from the frame what it
        does not show; boxes stay those in the frame.
        """
        picked: list[Crop] = []
        for track in tracks if most is None else sorted(tracks, key=self._count_kept):
            if len(picked) == most:
                break
            if track.track_id in skip or not track.observed or not self._is_due(track, frame):
                continue
            sight = sight_of(frame, track.box, larger)
            if sight.height_px < self._settings.min_height_px:
                continue
            others = [other.box for other in tracks if other is not track]
            quality = _quality(sight, frame.size_px, track.box, others, score=track.score)
            if self._keep(track.track_id, quality, frame.captured_utc_s):
                picked.append(_crop(frame, track, sight, quality))
        return tuple(picked)

    def _count_kept(self, track: Track) -> int:
        return len(self._kept.get(track.track_id, _Kept()).qualities)

    def resume(self, track_id: int, qualities: Sequence[float]) -> None:
        """What is kept of a track is this, and only what is better is wanted now."""
        self._kept.setdefault(track_id, _Kept()).qualities = list(qualities)

    def forget(self, track_id: int) -> None:
        """The track ended, or a fresh set of its crops is wanted."""
        self._kept.pop(track_id, None)

    def _is_due(self, track: Track, frame: Frame) -> bool:
        kept = self._kept.get(track.track_id, _Kept())
        waited_s = frame.captured_utc_s - kept.last_pick_utc_s  # below 0: the clock was set back
        return not 0 <= waited_s < self._settings.min_interval_s - _CLOCK_GRAIN_S

    def _keep(self, track_id: int, quality: float, now_utc_s: float) -> bool:
        if quality < self._settings.min_quality:
            return False
        kept = self._kept.setdefault(track_id, _Kept())
        if len(kept.qualities) == self._settings.crops_per_track:
            worst = min(kept.qualities)
            if quality < worst + _MIN_GAIN:
                return False
            kept.qualities.remove(worst)
        kept.qualities.append(quality)
        kept.last_pick_utc_s = now_utc_s
        return True


def cut(image: Image, box: Box) -> Image:
    """The pixels a box touches: a view (h, w, 3), at least one pixel, inside the image."""
    height, width = image.shape[:2]
    left = min(max(math.floor(box.x1), 0), width - 1)
    top = min(max(math.floor(box.y1), 0), height - 1)
    right = min(max(math.ceil(box.x2), left + 1), width)
    bottom = min(max(math.ceil(box.y2), top + 1), height)
    return image[top:bottom, left:right]


def crop_quality(
    image: Image, box: Box, others: Sequence[Box] = (), *, score: float = 1.0
) -> float:
    """How much a crop can say, 0..1: √size · √sharpness · clear share · wholeness · score.

    Args:
        image: the whole frame, RGB uint8 (H, W, 3).
        box: the person; may reach out of the frame.
        others: boxes of the other people in the frame; what they cover counts against it.
        score: the detector's confidence; it falls where a thing hides the person.
    """
    size_px = image.shape[1], image.shape[0]
    inside = box.clipped(*size_px)
    sight = Sight(cut(image, inside), inside.height, is_enlarged=False)
    return _quality(sight, size_px, box, others, score=score)


def whole_crop_quality(image: Image) -> float:
    """`crop_quality` of a picture that is a crop already, RGB uint8 (H, W, 3).

    Whoever cut it saw the whole person: the edge of the crop is not the edge of the view.
    """
    rim = _RIM_PX
    framed = cv2.copyMakeBorder(image, rim, rim, rim, rim, cv2.BORDER_REPLICATE)
    height, width = image.shape[:2]
    inner = Box(rim, rim, rim + width, rim + height)
    return crop_quality(np.asarray(framed, np.uint8), inner)


def sight_of(frame: Frame, box: Box, larger: LargerPicture | None) -> Sight:
    """What a box of a frame shows, cut from the larger picture where there is one that shows it."""
    inside = box.clipped(*frame.size_px)
    image = larger.cut(inside) if larger and inside.area else None
    if image is not None:
        return Sight(image, image.shape[0], is_enlarged=True)
    return Sight(cut(frame.image, inside), inside.height, is_enlarged=False)


def _quality(
    sight: Sight, size_px: tuple[int, int], box: Box, others: Sequence[Box], *, score: float
) -> float:
    """As `crop_quality`: detail counts in the pixels of the crop, its place in those of the frame,
    which has `size_px`.
    """
    inside = box.clipped(*size_px)
    if inside.area == 0:
        return 0.0
    size = min(1.0, sight.height_px / _FULL_HEIGHT_PX)
    detail = math.sqrt(size * _sharpness(sight.image))
    return detail * _clear_share(box, others) * _wholeness(box, inside, *size_px) * score


def _crop(frame: Frame, track: Track, sight: Sight, quality: float) -> Crop:
    box = track.box.clipped(*frame.size_px)
    image = sight.image if sight.is_enlarged else sight.image.copy()
    return Crop(
        track.track_id, box, image, quality, frame.captured_utc_s, is_enlarged=sight.is_enlarged
    )


def _sharpness(crop: Image) -> float:
    small = cv2.resize(crop, _SHARPNESS_SIZE_PX, interpolation=cv2.INTER_AREA)
    edges = cv2.Laplacian(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), cv2.CV_32F)
    energy = float(np.var(edges))
    return energy / (energy + _HALF_SHARP)


def _clear_share(box: Box, others: Sequence[Box]) -> float:
    """1 less the share of the box that the worst of the others covers."""
    if not others:
        return 1.0
    shared = intersection_matrix(_rows([box]), _rows(others))
    return max(0.0, 1.0 - float(shared.max()) / box.area)


def _rows(boxes: Sequence[Box]) -> Boxes:
    return np.stack([box.to_array() for box in boxes])


def _wholeness(box: Box, inside: Box, width: int, height: int) -> float:
    at_edge = (
        inside.x1 <= _EDGE_PX
        or inside.y1 <= _EDGE_PX
        or inside.x2 >= width - _EDGE_PX
        or inside.y2 >= height - _EDGE_PX
    )
    return inside.area / box.area * (_CUT_OFF if at_edge else 1.0)


def crop_jpeg(image: Image) -> bytes:
    """A crop, RGB uint8 (H, W, 3), as JPEG for people to look at, at most 320 px high."""
    shown, height = cv2.cvtColor(image, cv2.COLOR_RGB2BGR), image.shape[0]
    if height > _SHOWN_HEIGHT_PX:
        scale = _SHOWN_HEIGHT_PX / height
        shown = cv2.resize(shown, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return bytes(cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1])
