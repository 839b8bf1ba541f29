"""Simulated streets whose people have looks: pictures of real people, pasted where they walk.

Who is nearer hides who is farther, so that a crop of a detection shows what a camera would: the
person, somebody else's shoulder, a pillar. A walker has three pictures, one a second in turn.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from support.simulated_street import SIZE_PX, Street, simulate
from support.tracking_clips import TrackingClip

from edge_reid.core.geometry import Box
from edge_reid.core.types import Image
from trainer.data.datasets import read_source

PICTURES = 3
FRAMES_A_PICTURE = 10
_MARGIN = 0.15
"""Of a picture's width, at either side: background, which hides nobody."""
_STONE, _SKY = (120, 115, 110), (160, 160, 165)


def wardrobe(source: Path) -> list[list[Image]]:
    """Pictures of each person of a labelled set at one camera, the one with the most of them; who
    has fewer than two is left out.
    """
    data = read_source(source)
    seen: defaultdict[tuple[int, int], list[Path]] = defaultdict(list)
    for path, label, camera in zip(data.paths, data.labels, data.cameras, strict=True):
        if label >= 0:
            seen[int(label), int(camera)].append(path)
    best: dict[int, list[Path]] = {}
    for (label, _), paths in sorted(seen.items()):
        if len(paths) > max(1, len(best.get(label, ()))):
            best[label] = paths
    return [[_read(path) for path in paths[:PICTURES]] for paths in best.values()]


def dressed_clip(
    street: Street, seed: int, people: Sequence[Sequence[Image]], seconds: int = 40
) -> tuple[TrackingClip, list[Image]]:
    """The clip of `simulated_clip`, and its frames, RGB; every walker is somebody of `people`."""
    clip, walkers = simulate(street, seed, seconds)
    order = np.random.default_rng([seed, 99]).permutation(len(people))
    looks = [people[order[number % len(people)]] for number in range(len(walkers))]
    frames = [_picture(street, walkers, looks, number) for number in range(len(clip.labels))]
    return clip, frames


def _picture(
    street: Street,
    walkers: Sequence[dict[int, Box]],
    looks: Sequence[Sequence[Image]],
    frame: int,
) -> Image:
    """Everybody of a frame, the farthest first; pillars stand in the middle of the street."""
    picture = np.full((SIZE_PX[1], SIZE_PX[0], 3), _SKY, np.uint8)
    middle = (street.near_px + street.far_px) / 2 + 20
    here = [
        (boxes[frame], look) for boxes, look in zip(walkers, looks, strict=True) if frame in boxes
    ]
    here.sort(key=lambda one: one[0].y2)
    for box, look in [one for one in here if one[0].y2 < middle]:
        _paste(picture, look[frame // FRAMES_A_PICTURE % len(look)], box)
    for left, width in street.pillars:
        picture[: int(middle), int(left) : int(left + width)] = _STONE
    for box, look in [one for one in here if one[0].y2 >= middle]:
        _paste(picture, look[frame // FRAMES_A_PICTURE % len(look)], box)
    return picture


def _paste(picture: Image, look: Image, box: Box) -> None:
    """The middle of a look, scaled into the box, cut off at the edges of the picture."""
    width, height = max(2, round(box.width)), max(2, round(box.height))
    scaled, margin = (
        cv2.resize(look, (width, height), interpolation=cv2.INTER_AREA),
        round(_MARGIN * width),
    )
    left, top = round(box.x1) + margin, round(box.y1)
    shown = scaled[:, margin : width - margin]
    right, bottom = min(left + shown.shape[1], SIZE_PX[0]), min(top + height, SIZE_PX[1])
    x, y = max(left, 0), max(top, 0)
    if x < right and y < bottom:
        picture[y:bottom, x:right] = shown[y - top : bottom - top, x - left : right - left]


def _read(path: Path) -> Image:
    return np.asarray(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), np.uint8)
