"""Who is who: the pairing of predicted boxes with detected ones that are most alike in sum."""

from __future__ import annotations

from collections.abc import Sequence

import lap
import numpy as np
from numpy.typing import NDArray

from edge_reid.core.geometry import Box, Boxes, iou_matrix

Pairs = tuple[tuple[int, int], ...]
"""(row, column) of each pair, by row."""

_HEIGHT_RATIO = 1.8
"""Of the taller box to the other one; farther apart they are two people, one behind the other."""
_NEVER = 2.0
"""Cost of a pair that is not allowed: more than that of leaving both alone, which is 1."""


def pair_by_overlap(
    rows: Sequence[Box],
    columns: Sequence[Box],
    *,
    min_iou: float,
    buffer: float = 0.0,
    trust: Sequence[float] | None = None,
) -> Pairs:
    """The one-to-one pairing of greatest total likeness; every pair has at least `min_iou`, and
    heights that differ by less than `_HEIGHT_RATIO`.

    Likeness is IoU times the IoU of the vertical extents (Hybrid-SORT, Yang et al. 2024): of two
    people who cross, the farther one is smaller and stands higher in the picture. Solved exactly
    by the Jonker-Volgenant algorithm (package `lap`).

    Args:
        rows: predicted boxes.
        columns: detected boxes.
        min_iou: least intersection over union of a pair.
        buffer: makes all boxes larger by this share of their sides, at either end.
        trust: 0..1 for each row, times which its likeness counts; None: 1 for all.
    """
    if not rows or not columns:
        return ()
    a, b = _buffered(_array(rows), buffer), _buffered(_array(columns), buffer)
    overlap = iou_matrix(a, b)
    likeness = overlap * _height_iou_matrix(a, b)
    if trust is not None:
        likeness = likeness * np.asarray(trust, np.float32)[:, None]
    may_pair = (overlap >= min_iou) & _similar_heights(a, b)
    cost = np.where(may_pair, 1.0 - likeness, _NEVER).astype(np.float64)
    _, column_of_row, _ = lap.lapjv(cost, extend_cost=True, cost_limit=1.0)
    return tuple((row, int(column)) for row, column in enumerate(column_of_row) if column >= 0)


def _height_iou_matrix(a: Boxes, b: Boxes) -> NDArray[np.float32]:
    """Intersection over union of the vertical extents of every pair: (N, M) float32."""
    top, bottom = a[:, None, 1], a[:, None, 3]
    shared = np.clip(np.minimum(bottom, b[:, 3]) - np.maximum(top, b[:, 1]), 0.0, None)
    union = (bottom - top) + (b[:, 3] - b[:, 1]) - shared
    return np.asarray(shared / np.where(union > 0, union, 1.0), np.float32)


def _similar_heights(a: Boxes, b: Boxes) -> NDArray[np.bool_]:
    """Whether the heights of every pair differ by less than `_HEIGHT_RATIO`: (N, M)."""
    first, second = (a[:, 3] - a[:, 1])[:, None], (b[:, 3] - b[:, 1])[None]
    return np.asarray(np.maximum(first, second) < _HEIGHT_RATIO * np.minimum(first, second))


def _array(boxes: Sequence[Box]) -> Boxes:
    return np.stack([box.to_array() for box in boxes])


def _buffered(boxes: Boxes, share: float) -> Boxes:
    """The boxes, wider and taller by this share of their sides, at either end."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return np.asarray(boxes + share * np.concatenate([-sides, sides], axis=1), np.float32)
