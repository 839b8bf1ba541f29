"""Who is who: the pairing of predicted boxes with detected ones that are most alike in sum."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import lap
import numpy as np
from numpy.typing import NDArray

from edge_reid.core.geometry import Box, Boxes, iou_matrix

Pairs = tuple[tuple[int, int], ...]
"""(row, column) of each pair, by row."""
PairMatrix = NDArray[np.bool_]
"""(rows, columns), whether something holds of a pair."""
Evidence = Callable[[int, int], float | None]
"""How much looks speak for a pair (row, column), as a natural logarithm of a likelihood ratio;
None: they cannot tell after all."""

_HEIGHT_RATIO = 1.8
"""Of the taller box to the other one; farther apart they are two people, one behind the other."""
_MOST_EVIDENCE = 6.0
"""More is not believed of looks, as people dress alike and hide each other."""
_NOWHERE = -1e9
"""A log ratio that is far from all others, and of which a difference can be taken."""
_NEVER = 2.0
"""Cost of a pair that is not allowed: more than that of leaving both alone, which is at most 1."""


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
    may_pair = (overlap >= min_iou) & similar_heights(a, b)
    cost = np.where(may_pair, 1.0 - likeness, _NEVER).astype(np.float64)
    return _cheapest(cost, alone=1.0)


@dataclass(frozen=True, slots=True)
class DecidedPairs:
    """What was decided where looks can tell."""

    pairs: Pairs
    rows: frozenset[int]
    """All that were decided; those in no pair are left alone."""


def pair_by_likelihood(
    log_ratios: NDArray[np.float64], can_tell: PairMatrix, evidence: Evidence
) -> DecidedPairs:
    """The likeliest pairing of those rows and columns of whom looks can tell, or of any that they
    could be mistaken for. The others are left to whoever goes by places alone.

    Args:
        log_ratios: (rows, columns), how many times likelier it is by places that a pair is one
            person, as natural logarithms; −inf: it cannot be.
        can_tell: where looks are to be had, of pairs that `may_be`.
        evidence: asked of contested pairs only: where another pair comes as near as looks can tell.
            The most contested come first. A column of which it says None looks tell nothing of.
    """
    if not log_ratios.size:
        return DecidedPairs((), frozenset())
    may_pair = may_be(log_ratios)
    can_tell = may_pair & can_tell
    is_concerned = _linked(may_pair, can_tell.any(axis=1))
    contested = _contested(log_ratios, may_pair & is_concerned[:, None])
    gains = np.where(may_pair, log_ratios, 0.0)
    for row, column in _most_contested_first(log_ratios, contested, contested & can_tell):
        weight = evidence(row, column)
        if weight is None:
            can_tell[:, column] = False
        else:
            gains[row, column] += min(max(weight, -_MOST_EVIDENCE), _MOST_EVIDENCE)
    is_decided = _linked(may_pair, can_tell.any(axis=1))
    cost = np.where(may_pair & is_decided[:, None] & (gains > 0), -gains, _NEVER)
    rows = frozenset(np.flatnonzero(is_decided).tolist())
    return DecidedPairs(_cheapest(cost, alone=0.0), rows)


def may_be(log_ratios: NDArray[np.float64]) -> PairMatrix:
    """Where looks at their best could make one person of a pair: (rows, columns)."""
    return np.asarray(log_ratios > -_MOST_EVIDENCE)


def _linked(may_pair: PairMatrix, rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Those rows, and all that may be paired with a column that one of them may be paired with."""
    while True:
        columns = (may_pair & rows[:, None]).any(axis=0)
        further = rows | (may_pair & columns).any(axis=1)
        if (further == rows).all():
            return rows
        rows = further


def _contested(ratios: NDArray[np.float64], may_pair: PairMatrix) -> PairMatrix:
    """Pairs of which looks may decide: the likeliest of a row or a column, and those that come as
    near to it as looks can tell, if there are more than one.
    """
    ratios = np.where(may_pair, ratios, -np.inf)
    best = np.maximum(ratios.max(axis=1)[:, None], ratios.max(axis=0))
    is_near = may_pair & (ratios >= best - _MOST_EVIDENCE)
    by_row, by_column = is_near.sum(axis=1), is_near.sum(axis=0)
    return np.asarray(is_near & ((by_row > 1)[:, None] | (by_column > 1)))


def _most_contested_first(
    ratios: NDArray[np.float64], contested: PairMatrix, asked: PairMatrix
) -> Iterator[tuple[int, int]]:
    """(row, column) of the pairs to ask of, column by column: first that of the pair to which a
    rival, in its row or its column, comes nearest.
    """
    if not asked.any():
        return
    known = np.where(contested, ratios, _NOWHERE)
    by_column, by_row = (abs(known - _best_other(known, axis)) for axis in (0, 1))
    lead = np.where(asked, np.minimum(by_column, by_row), np.inf).min(axis=0)
    for column in np.argsort(lead, kind="stable").tolist():
        for row in np.flatnonzero(asked[:, column]).tolist():
            yield row, column


def _best_other(ratios: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Of each pair, the likeliest of the others in its column (axis 0) or its row (axis 1)."""
    if ratios.shape[axis] == 1:
        return np.full_like(ratios, _NOWHERE)
    ordered = np.sort(ratios, axis=axis)
    best, second = (np.take(ordered, [place], axis=axis) for place in (-1, -2))
    return np.asarray(np.where(ratios == best, second, best))


def _cheapest(cost: NDArray[np.float64], *, alone: float) -> Pairs:
    """The pairing of least total cost; `alone`: what it costs to leave a row and a column alone."""
    _, column_of_row, _ = lap.lapjv(cost, extend_cost=True, cost_limit=alone)
    return tuple((row, int(column)) for row, column in enumerate(column_of_row) if column >= 0)


def similar_heights(a: Boxes, b: Boxes) -> PairMatrix:
    """Whether the heights of every pair differ by less than `_HEIGHT_RATIO`: (N, M)."""
    first, second = (a[:, 3] - a[:, 1])[:, None], (b[:, 3] - b[:, 1])[None]
    return np.asarray(np.maximum(first, second) < _HEIGHT_RATIO * np.minimum(first, second))


def _height_iou_matrix(a: Boxes, b: Boxes) -> NDArray[np.float32]:
    """Intersection over union of the vertical extents of every pair: (N, M) float32."""
    top, bottom = a[:, None, 1], a[:, None, 3]
    shared = np.clip(np.minimum(bottom, b[:, 3]) - np.maximum(top, b[:, 1]), 0.0, None)
    union = (bottom - top) + (b[:, 3] - b[:, 1]) - shared
    return np.asarray(shared / np.where(union > 0, union, 1.0), np.float32)


def _array(boxes: Sequence[Box]) -> Boxes:
    return np.stack([box.to_array() for box in boxes])


def _buffered(boxes: Boxes, share: float) -> Boxes:
    """The boxes, wider and taller by this share of their sides, at either end."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return np.asarray(boxes + share * np.concatenate([-sides, sides], axis=1), np.float32)
