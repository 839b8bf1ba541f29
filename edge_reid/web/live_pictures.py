"""The live pictures: drawn and encoded only while somebody looks, once for all who do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_reid.agent.camera_areas import CameraAreas, TripLine
from edge_reid.core.geometry import Box
from edge_reid.core.polygon import Polygon, SharePoint
from edge_reid.core.types import Decision, Image, Known, Track, Uncertain
from edge_reid.vision.annotate import Label, draw
from edge_reid.web.live_view import CameraView, LiveView, Point

MOST_HZ = 5.0
"""Pictures of a camera a second."""
_MOST_WIDTH_PX = 960
_JPEG_QUALITY = 75
_LOOK_S = 0.04
"""Between two looks at whether there is a newer frame."""
_ARROW_PX = 24
_TRAIL_COLOUR, _ZONE_COLOUR, _MASK_COLOUR = (240, 228, 66), (86, 180, 233), (0, 0, 0)
"""RGB, of the palette of the boxes."""


@dataclass(frozen=True, slots=True, eq=False)
class LivePicture:
    """A drawn picture as JPEG."""

    jpeg: bytes
    number: int
    """Of the view that it shows."""
    made_s: float
    """Monotonic."""


class LivePictures:
    """Makes the pictures; of the event loop.

    Args:
        view: what is drawn.
        areas: masks and zones, by camera.
    """

    def __init__(self, view: LiveView, areas: Mapping[str, CameraAreas]) -> None:
        self._view = view
        self._areas = areas
        self._newest: dict[str, LivePicture] = {}
        self._making: dict[str, asyncio.Task[LivePicture]] = {}
        self._encoder = ThreadPoolExecutor(1, thread_name_prefix="page encoder")
        self.made = 0
        """Pictures encoded so far, of all cameras."""

    async def newest(self, camera: str, timeout_s: float) -> LivePicture | None:
        """The newest picture of a camera; None: there is none within this time."""
        return await self._within(timeout_s, camera, after=0)

    async def stream(self, camera: str, pause_s: float) -> AsyncIterator[LivePicture | None]:
        """Every picture that whoever looks is quick enough for; None after each `pause_s` without
        one.
        """
        shown = 0
        while True:
            picture = await self._within(pause_s, camera, after=shown)
            shown = picture.number if picture else shown
            yield picture

    def close(self) -> None:
        """End the encoder."""
        self._encoder.shutdown(wait=False, cancel_futures=True)

    async def _within(self, timeout_s: float, camera: str, *, after: int) -> LivePicture | None:
        with suppress(asyncio.TimeoutError):
            return await asyncio.wait_for(self._after(camera, after), timeout_s)
        return None

    async def _after(self, camera: str, number: int) -> LivePicture:
        """A picture newer than this number, which is waited for."""
        while True:
            picture = await self._current(camera)
            if picture and picture.number > number:
                return picture
            await asyncio.sleep(_LOOK_S)

    async def _current(self, camera: str) -> LivePicture | None:
        """The newest picture, made if the camera has newer and it is time for one. One that is
        being made is for all who ask, and made to its end, also if none of them waits so long.
        """
        making = self._making.get(camera)
        if making is None:
            newest, view = self._newest.get(camera), self._view.camera(camera)
            if view is None or (newest and not _is_due(view, newest)):
                return newest
            making = self._making[camera] = asyncio.create_task(self._make(camera, view))
            making.add_done_callback(lambda _: self._making.pop(camera))
        return await asyncio.shield(making)

    async def _make(self, camera: str, view: CameraView) -> LivePicture:
        began_s, loop = time.monotonic(), asyncio.get_running_loop()
        jpeg = await loop.run_in_executor(self._encoder, picture_jpeg, view, self._areas[camera])
        self._newest[camera] = made = LivePicture(jpeg, view.number, began_s)
        self.made += 1
        return made


def _is_due(view: CameraView, newest: LivePicture) -> bool:
    return view.number != newest.number and time.monotonic() >= newest.made_s + 1 / MOST_HZ


def picture_jpeg(view: CameraView, areas: CameraAreas) -> bytes:
    """A frame with zones, masks, boxes, names, similarities and trails, at most 960 px wide."""
    step = view.step
    image, scale = _fitting(step.frame.image)
    tracks = [_scaled(track, scale) for track in step.tracks]
    labels = {track_id: picture_label(decision) for track_id, decision in step.decisions.items()}
    drawn = draw(_with_trails(_with_areas(image, areas), view, scale), tracks, labels)
    picture = cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1])


def picture_label(decision: Decision) -> Label:
    """A decision with its similarity against the threshold.

    >>> picture_label(Known("anna", 0.7123, 0.55, None, 3)).text
    'anna 0.71 / 0.55'
    >>> from edge_reid.core.types import Unknown
    >>> picture_label(Unknown(-0.001, 0.55, 3)).text
    'unknown 0.00 / 0.55'
    """
    if isinstance(decision, Uncertain):
        return Label("")
    near = decision.similarity
    measured = "" if near is None else f" {round(near, 2) + 0.0:.2f}"  # no minus before 0.00
    threshold = f" / {decision.threshold:.2f}" if measured else ""
    if isinstance(decision, Known):
        return Label(f"{decision.identity}{measured}{threshold}", "known")
    return Label(f"unknown{measured}{threshold}", "unknown")


def _fitting(image: Image) -> tuple[Image, float]:
    scale = min(1.0, _MOST_WIDTH_PX / image.shape[1])
    if scale == 1.0:
        return image, scale
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), scale


def _with_areas(image: Image, areas: CameraAreas) -> Image:
    canvas, size_px = image.copy(), (image.shape[1], image.shape[0])
    for mask in areas.masks:
        cv2.fillPoly(canvas, [_corners(mask, size_px)], _MASK_COLOUR)
    canvas = np.asarray(cv2.addWeighted(canvas, 0.6, image, 0.4, 0.0), np.uint8)
    for zone in areas.zones:
        corners = _corners(zone.area, size_px)
        cv2.polylines(canvas, [corners], True, _ZONE_COLOUR, 1, cv2.LINE_AA)
        _name(canvas, zone.name, corners[corners[:, 1].argmin()])
    for line in areas.lines:
        _draw_line(canvas, line, size_px)
    return canvas


def _draw_line(canvas: Image, line: TripLine, size_px: tuple[int, int]) -> None:
    """The line, and from its middle an arrow to where who crosses it goes `in`."""
    first, second = (_pixel(end, size_px) for end in (line.way.first, line.way.second))
    cv2.line(canvas, first.tolist(), second.tolist(), _ZONE_COLOUR, 2, cv2.LINE_AA)
    along = (second - first).astype(np.float64)
    right = np.array([-along[1], along[0]]) / max(float(np.hypot(*along)), 1.0)
    middle = (first + second) // 2
    tip = (middle + _ARROW_PX * right).round().astype(np.int32)
    cv2.arrowedLine(canvas, middle.tolist(), tip.tolist(), _ZONE_COLOUR, 2, cv2.LINE_AA, 0, 0.4)
    _name(canvas, line.name, min(first, second, key=lambda end: end[1]))


def _name(canvas: Image, name: str, place: NDArray[np.int32]) -> None:
    """Write the name of an area below a point of it, within the picture."""
    x, y = place.tolist()
    at = (min(max(x, 2), canvas.shape[1] - 60), max(y + 14, 14))
    cv2.putText(canvas, name, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, _ZONE_COLOUR, 1, cv2.LINE_AA)


def _corners(area: Polygon, size_px: tuple[int, int]) -> NDArray[np.int32]:
    return np.array([_pixel(corner, size_px) for corner in area.corners])


def _pixel(point: SharePoint, size_px: tuple[int, int]) -> NDArray[np.int32]:
    return (np.array(point, np.float64) * size_px).round().astype(np.int32)


def _with_trails(image: Image, view: CameraView, scale: float) -> Image:
    canvas = image.copy()
    for trail in view.trails.values():
        cv2.polylines(canvas, [_pixels(trail, scale)], False, _TRAIL_COLOUR, 2, cv2.LINE_AA)
    return canvas


def _pixels(trail: tuple[Point, ...], scale: float) -> NDArray[np.int32]:
    return (np.array(trail, np.float64) * scale).round().astype(np.int32)


def _scaled(track: Track, scale: float) -> Track:
    box = track.box
    return replace(track, box=Box(box.x1 * scale, box.y1 * scale, box.x2 * scale, box.y2 * scale))
