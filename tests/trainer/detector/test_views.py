"""Views of frames are pictures of one size, drawn by the seed alone."""

from __future__ import annotations

import numpy as np
from support.campus import read_frames

from trainer.detector.views import VIEW_PX, draw_view


def test_views_are_as_large_as_a_cameras_picture_and_the_same_for_a_seed() -> None:
    frames = list(read_frames({0, 300}).values())
    one, same, other = (
        [draw_view(frames, rng) for _ in range(6)]
        for rng in (np.random.default_rng(seed) for seed in (1, 1, 2))
    )
    assert {(view.shape, view.dtype.name) for view in one} == {((*VIEW_PX, 3), "uint8")}
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one[0], other[0])
    assert all(view.std() > 5 for view in one), "they show something"


def test_a_frame_of_another_shape_fills_the_view_as_well() -> None:
    tall = np.full((900, 300, 3), 200, np.uint8)
    for seed in range(8):
        view = draw_view([tall], np.random.default_rng(seed))
        assert np.mean(view.max(axis=2) < 30) < 0.7, "mostly not black"
