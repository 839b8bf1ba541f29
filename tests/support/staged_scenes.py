"""Scenes that the campus clip does not have: its people, put onto its empty background."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from support import campus

from edge_reid.core.geometry import Box
from edge_reid.core.types import Image
from edge_reid.vision.crops import cut

GROUND_PX = 325
"""Where everybody's feet are."""
HEIGHT_PX = 110
DIFFERENT_LEVELS = 24
"""A pixel that differs so much from the background is the person's."""


def write_scene(path: Path, walks: Mapping[str, Sequence[float]]) -> None:
    """A clip in which each of these people walks along a line; who is named last walks in front.

    Args:
        walks: by identity, the middle of the person in every frame, in pixels from the left.
    """
    length = len(next(iter(walks.values())))
    codec = cv2.VideoWriter.fourcc(*"mp4v")
    height, width = _background().shape[:2]
    film = cv2.VideoWriter(str(path), codec, campus.FPS, (width, height))
    looks = {identity: _looks(identity) for identity in walks}
    for number in range(length):
        picture = _background().copy()
        for identity, walk in walks.items():
            crop, mask = looks[identity][number // 3 % len(looks[identity])]
            _paste(picture, crop, mask, walk[number])
        film.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    film.release()


@cache
def _background() -> Image:
    """What stays when everybody moves."""
    frames = campus.read_frames(set(range(0, campus.FRAMES, 20)))
    return np.median(np.stack(list(frames.values())), axis=0).astype(np.uint8)


@cache
def _looks(identity: str) -> tuple[tuple[Image, np.ndarray], ...]:
    """(picture, how opaque 0..1) of a person at moments of the first visit, `HEIGHT_PX` tall."""
    (person,) = campus.people(identity)
    enrolled = {frame for frame, _ in person.enrol}
    boxes = {
        frame: box
        for frame, box in person.visits[0].boxes.items()
        if frame not in enrolled and _is_clear(box, frame, identity)
    }
    frames = campus.read_frames(set(boxes))
    return tuple(_cut_out(frames[frame], box) for frame, box in boxes.items())


def _is_clear(box: Box, frame: int, identity: str) -> bool:
    """Tall enough, and nobody labelled beside it."""
    wide = Box(box.x1 - 20, box.y1, box.x2 + 20, box.y2)
    others = [
        visit.boxes[frame]
        for person in campus.people()
        for visit in person.visits
        if person.identity != identity and frame in visit.boxes
    ]
    is_alone = all(other.x2 < wide.x1 or other.x1 > wide.x2 for other in others)
    return is_alone and box.height > 70


def _cut_out(frame: Image, box: Box) -> tuple[Image, np.ndarray]:
    size = (round(box.width * HEIGHT_PX / box.height), HEIGHT_PX)
    there, empty = cut(frame, box), cut(_background(), box)
    differs = np.abs(there.astype(int) - empty).max(axis=2) > DIFFERENT_LEVELS
    solid = cv2.morphologyEx(differs.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5)))
    crop = cv2.resize(there, size, interpolation=cv2.INTER_CUBIC)
    return crop, cv2.GaussianBlur(cv2.resize(solid.astype(np.float32), size), (3, 3), 0)


def _paste(picture: Image, crop: Image, mask: np.ndarray, middle_px: float) -> None:
    """Onto the picture, cut off at its sides."""
    left, top = round(middle_px - crop.shape[1] / 2), GROUND_PX - crop.shape[0]
    start, stop = max(0, -left), min(crop.shape[1], picture.shape[1] - left)
    if start >= stop:
        return
    under = picture[top : top + crop.shape[0], left + start : left + stop]
    opaque = mask[:, start:stop, None]
    under[:] = (opaque * crop[:, start:stop] + (1 - opaque) * under).astype(np.uint8)
