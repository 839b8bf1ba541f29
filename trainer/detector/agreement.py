"""What several detectors say of a picture, as one answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_reid.core.geometry import Boxes, iou
from edge_reid.core.types import Detection

_SAME_PERSON = 0.5
"""Least overlap (IoU) of two teachers' boxes for one person."""
_SURE = 0.45
"""Least mean score of two teachers; what only one has seen counts half."""


@dataclass(frozen=True, slots=True, eq=False)
class AgreedPeople:
    """Who is in a picture.

    Attributes:
        boxes: (N, 4) float32, x1 y1 x2 y2 in pixels.
        scores: (N,) float32, how sure it is.
    """

    boxes: Boxes
    scores: npt.NDArray[np.float32]


def agreed(answers: Sequence[Sequence[Detection]]) -> AgreedPeople:
    """Whom two of some teachers are sure of, on an average; boxes are means, weighted by score."""
    boxes, scores = list[npt.NDArray[np.float32]](), list[float]()
    for group in _groups(answers):
        sure = sum(sorted((each.score for each in group.values()), reverse=True)[:2]) / 2
        if sure >= _SURE:
            boxes.append(_mean_box(list(group.values())))
            scores.append((1 + sure) / 2)  # bolder, as the student sees less than they do
    return AgreedPeople(np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32))


def _groups(answers: Sequence[Sequence[Detection]]) -> list[dict[int, Detection]]:
    """For each person the answers by the number of the teacher, the surest answer first."""
    said = [(number, each) for number, answer in enumerate(answers) for each in answer]
    groups: list[dict[int, Detection]] = []
    for number, detection in sorted(said, key=lambda pair: -pair[1].score):
        free = [group for group in groups if number not in group]
        overlaps = [iou(next(iter(group.values())).box, detection.box) for group in free]
        best = int(np.argmax(overlaps)) if overlaps else -1
        if overlaps and overlaps[best] >= _SAME_PERSON:
            free[best][number] = detection
        else:
            groups.append({number: detection})
    return groups


def _mean_box(group: Sequence[Detection]) -> npt.NDArray[np.float32]:
    boxes = np.stack([each.box.to_array() for each in group])
    mean = np.average(boxes, axis=0, weights=[each.score for each in group])
    return np.asarray(mean, np.float32)
