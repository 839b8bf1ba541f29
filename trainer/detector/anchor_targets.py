"""What the anchors of an SSD are to say of the people in a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_reid.core.geometry import iou_matrix
from edge_reid.vision.detectors.ssd_family import CENTRE_VARIANCE, SIZE_VARIANCE
from trainer.detector.agreement import AgreedPeople

FloatArray = npt.NDArray[np.float32]

_OVERLAP = 0.5
"""Least IoU of an anchor and a person whom it is to find (Liu et al., "SSD", ECCV 2016)."""
_LEAST_OVERLAP = 0.2
"""Of the anchor nearest to a person; somebody further from all of them is nobody's to find."""


@dataclass(frozen=True, slots=True, eq=False)
class AnchorTargets:
    """What N anchors are to say.

    Attributes:
        scores: (N,) of the person that an anchor is to find, 0 of all others.
        offsets: (N, 4) from the anchor to that person, as the network gives them.
    """

    scores: FloatArray
    offsets: FloatArray


def anchor_targets(people: AgreedPeople, anchors: FloatArray) -> AnchorTargets:
    """Each person is to be found by every anchor near them, and by the nearest one anyway.

    Args:
        people: in pixels of the network's input.
        anchors: (N, 4) centre x, centre y, width, height.
    """
    scores, offsets = np.zeros(len(anchors), np.float32), np.zeros((len(anchors), 4), np.float32)
    if not len(people.boxes):
        return AnchorTargets(scores, offsets)
    overlaps = iou_matrix(_corners(anchors), people.boxes)
    whom, how_much = overlaps.argmax(axis=1), overlaps.max(axis=1)
    for person, nearest in enumerate(overlaps.argmax(axis=0)):
        if overlaps[nearest, person] >= _LEAST_OVERLAP:
            whom[nearest], how_much[nearest] = person, 1.0
    found = how_much >= _OVERLAP
    scores[found] = people.scores[whom[found]]
    offsets[found] = _offsets(people.boxes[whom[found]], anchors[found])
    return AnchorTargets(scores, offsets)


def _corners(anchors: FloatArray) -> FloatArray:
    centres, half = anchors[:, :2], anchors[:, 2:] / 2
    return np.hstack((centres - half, centres + half))


def _offsets(boxes: FloatArray, anchors: FloatArray) -> FloatArray:
    """The inverse of `ssd_boxes`."""
    centres, sizes = (boxes[:, :2] + boxes[:, 2:]) / 2, np.maximum(boxes[:, 2:] - boxes[:, :2], 1)
    moved = (centres - anchors[:, :2]) / anchors[:, 2:] / CENTRE_VARIANCE
    return np.hstack((moved, np.log(sizes / anchors[:, 2:]) / SIZE_VARIANCE))
