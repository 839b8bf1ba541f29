"""How likely a detection shows the person of a track, beside somebody who is not followed.

Where a track is expected, how surely, and whether somebody stands before it are all in one number:
so it knows by itself how far is too far, and that who was lost for long has a lesser claim.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_reid.core.geometry import Box, Boxes, intersection_matrix
from edge_reid.core.types import Detection
from edge_reid.vision.assign import similar_heights
from edge_reid.vision.kalman import Motion, expected

Ratios = NDArray[np.float64]
"""(tracks, detections) float64, natural logarithms of how many times likelier; above 0: the person
of this track."""

_FOUND = 0.9
_FOUND_HIDDEN = 0.3
_FADING_S = 8.0
"""How often somebody is found at a look, if they show, and if they are hidden; for a track that is
lost it fades: who was not seen for so long may not be there any more."""
_SOMEBODY_ELSE = -2.0
"""Logarithm of how many boxes of people who are not followed lie within a square height, and differ
from what is expected by a height in width and height."""
_WEAK = 3.0
"""What is added to that for a weak detection: they are mostly of things, shadows and parts."""
_TAIL = 4.0
"""Degrees of freedom of Student's t: people surprise more often than a normal distribution says."""
_HIDDEN_SHARE = 0.5
_LOWER = 0.02
"""Box heights: who stands lower in the picture by so much is nearer, and hides the others."""
_SIDES = 4


def log_ratios(
    motions: Sequence[Motion],
    unseen_s: Sequence[float],
    detections: Sequence[Detection],
    *,
    strong_score: float,
) -> Ratios:
    """How many times likelier each detection is if it shows the person of each track.

    Args:
        motions: what is believed of each track now.
        unseen_s: for how long each was not seen.
        detections: all of this look.
        strong_score: who scores less is a weak detection.
    """
    if not motions or not detections:
        return np.zeros((len(motions), len(detections)))
    detected = _rows([each.box for each in detections])
    predicted = _rows([motion.box for motion in motions])
    hidden = _are_hidden(predicted, detected)
    found = np.log(np.where(hidden, _FOUND_HIDDEN, _FOUND)) - np.asarray(unseen_s) / _FADING_S
    weak = np.array([each.score < strong_score for each in detections])
    somebody_else = _SOMEBODY_ELSE + np.where(weak, _WEAK, 0.0)
    there = np.stack([_log_densities(motion, detected) for motion in motions])
    odds = found - np.log1p(-np.exp(found))
    ratios = odds[:, None] + there - somebody_else[None]
    return np.where(similar_heights(predicted, detected), ratios, -np.inf)


def _are_hidden(boxes: Boxes, detected: Boxes) -> NDArray[np.bool_]:
    """Whether somebody detected who stands lower covers more than half of each box: (N,)."""
    heights = boxes[:, 3] - boxes[:, 1]
    is_lower = detected[None, :, 3] > (boxes[:, 3] + _LOWER * heights)[:, None]
    covered = np.where(is_lower, intersection_matrix(boxes, detected), 0.0).max(axis=1, initial=0.0)
    areas = np.maximum((boxes[:, 2] - boxes[:, 0]) * heights, 1.0)
    return np.asarray(covered > _HIDDEN_SHARE * areas)


def _log_densities(motion: Motion, detected: Boxes) -> NDArray[np.float64]:
    """Of every detection, (M,): Student's t of centre and sides, in heights of the track."""
    mean, variance = expected(motion)
    height = max(float(mean[3]), 1.0)
    differences = (_centres_and_sides(detected) - mean) / height
    spread = variance / height**2
    distances = (differences**2 / spread).sum(axis=1)
    constant = math.lgamma((_TAIL + _SIDES) / 2) - math.lgamma(_TAIL / 2)
    constant -= _SIDES / 2 * math.log(_TAIL * math.pi) + 0.5 * float(np.log(spread).sum())
    return np.asarray(constant - (_TAIL + _SIDES) / 2 * np.log1p(distances / _TAIL))


def _centres_and_sides(boxes: Boxes) -> NDArray[np.float64]:
    top_left, bottom_right = boxes[:, :2].astype(float), boxes[:, 2:].astype(float)
    return np.concatenate([(top_left + bottom_right) / 2, bottom_right - top_left], axis=1)


def _rows(boxes: Sequence[Box]) -> Boxes:
    return np.stack([box.to_array() for box in boxes])
