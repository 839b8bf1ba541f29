"""Scenes put people where their labels say, at the height that the zoom makes of them."""

from __future__ import annotations

import numpy as np
import pytest
from support.scaled_scenes import HEIGHT_PX, WIDTH_PX, ZOOMS, Labelled, scene

from edge_reid.core.geometry import Box

PERSON = Box(400, 200, 440, 280)


def frame() -> Labelled:
    """A white person on black."""
    image = np.zeros((576, 768, 3), np.uint8)
    image[200:280, 400:440] = 255
    return Labelled(image, (PERSON,))


@pytest.mark.parametrize("zoom", ZOOMS)
def test_a_label_covers_the_person_and_nobody_is_left_over(zoom: float) -> None:
    made = scene([frame()], zoom, np.random.default_rng(3))
    assert made.image.shape == (HEIGHT_PX, WIDTH_PX, 3)
    assert made.boxes
    white = made.image[..., 0] > 127
    for box in made.boxes:
        assert box.height == pytest.approx(80 * zoom)
        left, top, right, bottom = (round(edge) for edge in (box.x1, box.y1, box.x2, box.y2))
        assert white[max(top, 0) : bottom, max(left, 0) : right].mean() > 0.85
        white[max(top - 2, 0) : bottom + 2, max(left - 2, 0) : right + 2] = False
    # Whom an edge cuts off is not asked for, and is all that may remain.
    remaining = np.argwhere(white)
    assert not len(remaining) or touches_an_edge(remaining)


def touches_an_edge(pixels: np.ndarray) -> bool:
    return bool(((pixels <= 0) | (pixels >= (HEIGHT_PX - 1, WIDTH_PX - 1))).any())


def test_the_same_seed_gives_the_same_scene() -> None:
    first, second = (scene([frame()], 0.95, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first.image, second.image)
    assert first.boxes == second.boxes
