"""Several detectors look at a picture: whom do they agree on?"""

from __future__ import annotations

import numpy as np
import pytest

from edge_reid.core.geometry import Box
from edge_reid.core.types import Detection
from trainer.detector.agreement import agreed


def seen(score: float, left: float) -> Detection:
    return Detection(Box(left, 0, left + 10, 30), score)


def test_whom_two_are_sure_of_is_there_between_their_boxes() -> None:
    people = agreed([[seen(0.9, 0)], [seen(0.6, 2)], []])
    (box,) = people.boxes
    assert box == pytest.approx([2 * 0.6 / 1.5, 0, 2 * 0.6 / 1.5 + 10, 30])
    assert people.scores == pytest.approx([(1 + (0.9 + 0.6) / 2) / 2])


def test_whom_only_one_sees_is_there_if_that_one_is_very_sure() -> None:
    assert len(agreed([[seen(0.95, 0)], []]).boxes) == 1
    assert len(agreed([[seen(0.8, 0)], []]).boxes) == 0


def test_two_people_of_one_detector_are_two_however_near() -> None:
    people = agreed([[seen(0.9, 0), seen(0.8, 3)], [seen(0.9, 0), seen(0.8, 3)]])
    assert sorted(people.boxes[:, 0]) == pytest.approx([0, 3])


def test_nobody_is_nobody() -> None:
    people = agreed([[], []])
    assert people.boxes.shape == (0, 4)
    assert people.scores.dtype == np.float32
