"""1080p pictures with people of any height, made of the campus clip and its labels.

The clip is 768 x 576, its people are 34 to 143 px high. A scene is 1920 x 1080 and shows frames
scaled by a zoom: below 2.5 several side by side, as they fit, from 2.5 a window of one frame
around somebody. So the same people are looked at from 26 to 860 px, at the price of blur in the
large ones, which a detector's small input hides. Not everybody in the clip is labelled: scenes
say who was missed, not who was made up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from support import campus

from edge_reid.core.geometry import Box
from edge_reid.core.types import Image

WIDTH_PX, HEIGHT_PX = 1920, 1080
ZOOMS = (0.75, 0.95, 1.25, 1.875, 2.5, 4.0, 6.0)
LEAST_VISIBLE = 0.9
"""Of a person's area; whom the edge cuts off further is not asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """One picture and the people known to be in it."""

    image: Image
    boxes: tuple[Box, ...]


def campus_frames(first: int = 0) -> list[Labelled]:
    """Every labelled frame of the clip from the first asked for on, as it is."""
    boxes: defaultdict[int, list[Box]] = defaultdict(list)
    for person in campus.people():
        for visit in person.visits:
            for frame, box in visit.boxes.items():
                if frame >= first:
                    boxes[frame].append(box)
    images = campus.read_frames(set(boxes))
    return [Labelled(images[frame], tuple(boxes[frame])) for frame in sorted(boxes)]


def scaled_scenes(frames: list[Labelled], per_zoom: int, seed: int = 0) -> Iterator[Labelled]:
    """`per_zoom` scenes at each of `ZOOMS`; the same seed gives the same scenes."""
    rng = np.random.default_rng(seed)
    for zoom in ZOOMS:
        for _ in range(per_zoom):
            yield scene(frames, zoom, rng)


def scene(frames: list[Labelled], zoom: float, rng: np.random.Generator) -> Labelled:
    """One scene of frames drawn at random."""
    height, width = frames[0].image.shape[:2]
    tile_px = round(width * zoom), round(height * zoom)
    left, top = 0, 0
    first = frames[rng.integers(len(frames))]
    if tile_px[0] >= WIDTH_PX:
        left, top = _window(first.boxes[rng.integers(len(first.boxes))], zoom, tile_px)
    canvas = np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    boxes: list[Box] = []
    for y in range(-top, HEIGHT_PX, tile_px[1]):
        for x in range(-left, WIDTH_PX, tile_px[0]):
            frame = first if (x, y) == (-left, -top) else frames[rng.integers(len(frames))]
            _paste(canvas, frame.image, zoom, x, y)
            moved = (_moved(box, zoom, x, y) for box in frame.boxes)
            boxes += [box for box in moved if _is_visible(box, x, y, tile_px)]
    return Labelled(canvas, tuple(boxes))


def _window(box: Box, zoom: float, tile_px: tuple[int, int]) -> tuple[int, int]:
    """Left and top of the window, in scaled pixels, that has a person in its middle."""
    left = zoom * (box.x1 + box.x2) / 2 - WIDTH_PX / 2
    top = zoom * (box.y1 + box.y2) / 2 - HEIGHT_PX / 2
    return (
        round(min(max(left, 0), tile_px[0] - WIDTH_PX)),
        round(min(max(top, 0), tile_px[1] - HEIGHT_PX)),
    )


def _paste(canvas: Image, image: Image, zoom: float, x: int, y: int) -> None:
    method = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    size = round(image.shape[1] * zoom), round(image.shape[0] * zoom)
    tile = cv2.resize(image, size, interpolation=method)
    seen = tile[max(0, -y) : HEIGHT_PX - y, max(0, -x) : WIDTH_PX - x]
    top, left = max(0, y), max(0, x)
    canvas[top : top + seen.shape[0], left : left + seen.shape[1]] = seen


def _moved(box: Box, zoom: float, x: int, y: int) -> Box:
    return Box(zoom * box.x1 + x, zoom * box.y1 + y, zoom * box.x2 + x, zoom * box.y2 + y)


def _is_visible(box: Box, x: int, y: int, tile_px: tuple[int, int]) -> bool:
    """Whether neither the scene nor the frame cuts a person off."""
    right, bottom = min(x + tile_px[0], WIDTH_PX), min(y + tile_px[1], HEIGHT_PX)
    sides = min(box.x2, right) - max(box.x1, x, 0), min(box.y2, bottom) - max(box.y1, y, 0)
    return min(sides) > 0 and sides[0] * sides[1] >= LEAST_VISIBLE * box.area
