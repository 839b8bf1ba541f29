"""A clock in the picture: its number, as black and white blocks that survive any codec."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edge_reid.core.types import Image

BITS = 12
BLOCK_PX = 32


def numbered(pictures: Iterator[Image]) -> Iterator[Image]:
    """The same, each with its number (below 4096) along its upper edge; at least 384 px wide."""
    for number, picture in enumerate(pictures):
        for bit in range(BITS):
            left = bit * BLOCK_PX
            level = 235 if number >> bit & 1 else 20
            picture[:BLOCK_PX, left : left + BLOCK_PX] = level
        yield picture


def number_in(picture: Image) -> int:
    """What `numbered` wrote."""
    middle = BLOCK_PX // 2
    shades = picture[middle, middle : BITS * BLOCK_PX : BLOCK_PX, 1]
    return int(np.dot(shades > 128, 1 << np.arange(BITS)))
