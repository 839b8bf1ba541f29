"""Whom a box shows at a moment, by the labels of a recording."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

from edge_reid.core.geometry import Box, iou_matrix
from edge_reid.scoring.ground_truth import GroundTruth, LabelledBox, LabelledPerson, LabelledVisit

SAME_BOX_IOU = 0.4
"""A box that overlaps a label so much shows that person."""
GAP_S = 1.0
"""Between two labels no further apart a person is taken to move evenly."""
NEAR_S = 0.2
"""A label holds so long before the first and after the last of a stretch."""
EDGE_S = 0.5
"""A visit is as exact as this: people label what they see."""


class LabelLookup:
    """Answers for one recording."""

    def __init__(self, truth: GroundTruth) -> None:
        self._truth = truth
        self._visits = [
            (person, visit, sorted(visit.boxes))
            for person in truth.people
            for visit in person.visits
        ]
        self._people = {person.identity: person for person in truth.people}

    def identity_in(self, box: Box, frame: float) -> str | None:
        """Whom a box shows; None for somebody not labelled there and then."""
        labels = [
            (person.identity, label)
            for person, visit, boxes in self._visits
            if visit.spans(frame, self._truth.fps * NEAR_S)
            and (label := self._label_at(boxes, frame)) is not None
        ]
        if not labels:
            return None
        rows = np.stack([label.to_array() for _, label in labels])
        overlaps = iou_matrix(box.to_array()[None], rows)[0]
        best = int(overlaps.argmax())
        return labels[best][0] if overlaps[best] >= SAME_BOX_IOU else None

    def visit_of(self, identity: str, frame: float) -> tuple[LabelledPerson, LabelledVisit] | None:
        """The visit in which somebody is in view then; None: they are not."""
        person = self._people.get(identity)
        edge = self._truth.fps * EDGE_S
        for visit in person.visits if person else ():
            if person and visit.spans(frame, edge):
                return person, visit
        return None

    def _label_at(self, boxes: list[LabelledBox], frame: float) -> Box | None:
        """Where a person stands, between the labels before and after; None: nobody has said."""
        fps = self._truth.fps
        at = bisect_left([row[0] for row in boxes], frame)
        before, after = boxes[max(0, at - 1) : at], boxes[at : at + 1]
        if before and after and after[0][0] - before[0][0] <= GAP_S * fps:
            return _between(before[0], after[0], frame)
        nearest = min((*before, *after), key=lambda row: abs(row[0] - frame), default=None)
        if nearest is None or abs(nearest[0] - frame) > NEAR_S * fps:
            return None
        return Box(*nearest[1:])


def _between(before: LabelledBox, after: LabelledBox, frame: float) -> Box:
    share = (frame - before[0]) / (after[0] - before[0])
    edges = (a + share * (b - a) for a, b in zip(before[1:], after[1:], strict=True))
    return Box(*edges)
