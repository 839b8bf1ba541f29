"""Contested detections are embedded once, if at all, and compared with what tracks looked like."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edge_reid.agent.contested_looks import ContestedLooks
from edge_reid.core.geometry import Box
from edge_reid.core.types import Detection, Frame, Image, Vector
from edge_reid.matching.likelihood_ratio import LikelihoodRatio
from edge_reid.vision.crops import cut

RED, BLUE = np.eye(2, dtype=np.float32)
TRACKS = {1: RED, 2: BLUE}
RATIO = LikelihoodRatio(genuine=(0.8, 0.2), impostor=(0.0, 0.2))
ON_THE_LEFT = Detection(Box(10, 10, 50, 110), 0.9)
ON_THE_RIGHT = Detection(Box(110, 10, 150, 110), 0.9)


class Larger:
    """A picture of three times as many pixels a side; `is_there`: whether it can be cut from."""

    def __init__(self, frame: Frame, *, is_there: bool = True) -> None:
        self._image = np.ascontiguousarray(frame.image.repeat(3, 0).repeat(3, 1))
        self._is_there = is_there

    def cut(self, box: Box) -> Image | None:
        return cut(self._image, _thrice(box)).copy() if self._is_there else None

    def height_px(self, box: Box) -> float | None:
        return _thrice(box).height


def _thrice(box: Box) -> Box:
    return Box(3 * box.x1, 3 * box.y1, 3 * box.x2, 3 * box.y2)


class Eye:
    """An embedder of what is bright: red on the left half of the picture, blue on the right."""

    def __init__(self) -> None:
        image = np.zeros((120, 200, 3), np.uint8)
        image[:, :100] = 200
        self.frame = Frame(image, 0, 0.0)
        self.crops: list[tuple[int, ...]] = []

    def embed(self, crop: Image) -> Vector:
        self.crops.append(crop.shape)
        return RED if crop.mean() > 100 else BLUE

    def looks(
        self,
        *,
        min_height_px: int = 48,
        larger: Larger | None = None,
        has_time: Callable[[], bool] = lambda: True,
    ) -> ContestedLooks:
        return ContestedLooks(
            self.frame,
            embed=self.embed,
            larger=lambda: larger,
            has_time=has_time,
            seen_before=TRACKS.get,
            ratio=RATIO,
            min_height_px=min_height_px,
        )


def test_who_looks_like_a_track_has_evidence_for_it_and_is_embedded_once() -> None:
    eye = Eye()
    looks = eye.looks()
    assert looks.evidence(1, ON_THE_LEFT) == pytest.approx(RATIO.log_of(1.0))
    assert looks.evidence(2, ON_THE_LEFT) == pytest.approx(RATIO.log_of(0.0))
    assert looks.evidence(2, ON_THE_RIGHT) > 0 > looks.evidence(1, ON_THE_RIGHT)
    assert eye.crops == [(100, 40, 3)] * 2
    assert looks.embeddings == 2


def test_of_a_track_without_crops_nothing_is_known_and_nothing_is_embedded() -> None:
    eye = Eye()
    assert not eye.looks().can_tell(3, ON_THE_LEFT)
    assert eye.looks().evidence(3, ON_THE_LEFT) is None
    assert eye.crops == []


def test_who_is_too_small_or_outside_of_the_picture_is_not_embedded() -> None:
    eye = Eye()
    assert eye.looks(min_height_px=100).can_tell(1, ON_THE_LEFT)
    assert not eye.looks(min_height_px=101).can_tell(1, ON_THE_LEFT)
    assert eye.looks(min_height_px=101).evidence(1, ON_THE_LEFT) is None
    outside = Detection(Box(-60, 10, -20, 110), 0.9)
    assert not eye.looks().can_tell(1, outside)
    assert eye.looks().evidence(1, outside) is None
    assert eye.crops == []


def test_who_is_small_in_the_frame_and_tall_in_the_larger_picture_is_known() -> None:
    eye = Eye()
    looks = eye.looks(min_height_px=300, larger=Larger(eye.frame))
    assert looks.can_tell(1, ON_THE_LEFT)
    assert looks.evidence(1, ON_THE_LEFT) == pytest.approx(RATIO.log_of(1.0))
    assert eye.crops == [(300, 120, 3)]
    assert not eye.looks(min_height_px=301, larger=Larger(eye.frame)).can_tell(1, ON_THE_LEFT)


def test_who_is_not_in_the_larger_picture_after_all_is_too_small_again() -> None:
    eye = Eye()
    looks = eye.looks(min_height_px=300, larger=Larger(eye.frame, is_there=False))
    assert looks.evidence(1, ON_THE_LEFT) is None
    assert (eye.crops, looks.embeddings, looks.given_up) == ([], 0, 0)


def test_when_no_time_is_left_nobody_else_is_embedded_and_that_is_counted() -> None:
    eye = Eye()
    looks = eye.looks(has_time=lambda: not eye.crops)
    assert looks.evidence(1, ON_THE_LEFT) is not None
    assert looks.evidence(1, ON_THE_RIGHT) is None
    assert looks.evidence(2, ON_THE_RIGHT) is None
    assert looks.evidence(2, ON_THE_LEFT) is not None, "they are embedded already"
    assert (looks.embeddings, looks.given_up) == (1, 1)
