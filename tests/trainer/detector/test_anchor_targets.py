"""What anchors are told of people is what the device reads out of them again."""

from __future__ import annotations

import numpy as np
import pytest

from edge_reid.vision.detectors.ssd_family import AnchorLevel, anchor_boxes, ssd_boxes
from trainer.detector.agreement import AgreedPeople
from trainer.detector.anchor_targets import anchor_targets

ANCHORS = anchor_boxes(64, 64, [AnchorLevel(stride=16, sizes=((8.0, 24.0), (12.0, 40.0)))])


def people(*boxes: tuple[float, float, float, float]) -> AgreedPeople:
    scores = np.linspace(0.9, 0.8, len(boxes), dtype=np.float32)
    return AgreedPeople(np.array(boxes, np.float32).reshape(-1, 4), scores)


def test_the_boxes_read_out_of_what_is_told_are_the_people() -> None:
    there = people((20, 13, 28, 38), (40, 10, 53, 52))
    targets = anchor_targets(there, ANCHORS)
    told = targets.scores > 0
    boxes = ssd_boxes(targets.offsets[told], ANCHORS[told])
    whom = [int(np.argmin(np.abs(there.boxes - box).sum(axis=1))) for box in boxes]
    assert set(whom) == {0, 1}
    assert boxes == pytest.approx(there.boxes[whom], abs=1e-4)
    assert targets.scores[told] == pytest.approx(there.scores[whom])


def test_somebody_between_anchors_is_the_nearest_ones_to_find() -> None:
    targets = anchor_targets(people((17, 18, 25, 38)), ANCHORS)
    assert np.count_nonzero(targets.scores) == 1


def test_somebody_whom_no_anchor_comes_near_and_nobody_at_all_are_told_to_none() -> None:
    assert not anchor_targets(people((10, 10, 12, 13)), ANCHORS).scores.any()
    assert not anchor_targets(people(), ANCHORS).scores.any()
