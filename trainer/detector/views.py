"""Pictures to teach with: frames as seen from nearer, from farther away and in worse light.

Nobody labels them, so a view may be anything that shows people as a camera does: its teachers are
asked about the very picture that is learnt from (function matching: Beyer et al., "Knowledge
distillation: A good teacher is patient and consistent", CVPR 2022).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from edge_reid.core.types import Image
from trainer.data.augment import augment
from trainer.recipe.augment_settings import AugmentConfig

VIEW_PX = 1080, 1920
"""Height and width: what most cameras give."""
_ZOOMS = 0.4, 2.7
"""Of a frame as high as the view: below 1 several stand side by side, above 1 a part is seen."""
_LIGHT = AugmentConfig(
    shift=0.0,
    brightness=0.1,
    contrast=0.3,
    white_balance=0.15,
    grey=0.2,
    shrink=0.2,
    jpeg=0.5,
    erase=0.0,
)


def draw_view(frames: Sequence[Image], rng: np.random.Generator) -> Image:
    """A view (1080, 1920, 3) RGB uint8 of frames (H, W, 3), fixed by the state of `rng` alone."""
    zoom = float(np.exp(rng.uniform(*np.log(_ZOOMS))))
    return np.asarray(augment(_tiled(frames, zoom, rng)[np.newaxis], _LIGHT, rng)[0], np.uint8)


def _tiled(frames: Sequence[Image], zoom: float, rng: np.random.Generator) -> Image:
    height, width = VIEW_PX
    view = np.zeros((height, width, 3), np.uint8)
    top = 0
    while top < height:
        left, row_px = 0, height
        while left < width:
            tile = _window(_scaled(frames[rng.integers(len(frames))], zoom), rng)
            seen = tile[: height - top, : width - left]
            view[top : top + seen.shape[0], left : left + seen.shape[1]] = seen
            left, row_px = left + tile.shape[1], min(row_px, tile.shape[0])
        top += row_px
    return view


def _scaled(frame: Image, zoom: float) -> Image:
    scale = zoom * VIEW_PX[0] / frame.shape[0]
    size = max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(frame, size, interpolation=method), np.uint8)


def _window(tile: Image, rng: np.random.Generator) -> Image:
    """As much of it as a view can show, from anywhere."""
    height, width = (min(side, most) for side, most in zip(tile.shape, VIEW_PX, strict=False))
    top = rng.integers(tile.shape[0] - height + 1)
    left = rng.integers(tile.shape[1] - width + 1)
    return tile[top : top + height, left : left + width]
